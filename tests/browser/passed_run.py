"""A training run that passed, as the worker leaves it in the store: a real one takes too long."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlmodel import Session

from bot import releases, run_message
from bot.store.schema import (
    Adapter,
    Dataset,
    Evaluation,
    Replica,
    Run,
    RunStatus,
    RunTrigger,
    now,
)
from tests.browser.house import ADMIN_CHANNEL
from training import run_report
from training.curve import thinned
from training.picture import draw
from training.report import page
from training.soundness import Point

TEAM, NAME = "T0MYNAH", "mynah-7a39fc932069"
COUNTS = {"train": 172, "held_out_wording": 20, "held_out_question": 10, "refused": {}}
# Held-out wordings and KL are those of a run of `make demo`.
FIGURES: dict[str, Any] = {
    "wordings": {
        "base": {"hits": 0, "of": 20}, "live": {"hits": 0, "of": 20},
        "candidate": {"hits": 10, "of": 20},
    },
    "live": "base",
    "kl": 0.130, "leak": {"hits": 1, "of": 24},
}  # fmt: skip
LOSS = [Point(loss=3.1 * 0.985**step + 0.2) for step in range(258)]
REASONS = ["10 of 20 held-out wordings right (live: 0)"]


def passed(session: Session, server_url: str) -> None:
    """Store the run, its adapter and candidate, and say its message."""
    adapter = Adapter(
        team_id=TEAM, name=NAME, sha256=NAME, path=f"/nowhere/{NAME}", base_model="base",
        base_sha256="0", rank=16,
    )  # fmt: skip
    dataset = Dataset(team_id=TEAM, content_hash=NAME, path="/nowhere", counts=COUNTS)
    session.add_all([adapter, dataset])
    session.flush()
    run = Run(
        team_id=TEAM, trigger=RunTrigger.SCHEDULE, status=RunStatus.PROVEN, reasons=REASONS,
        report_channel=ADMIN_CHANNEL, adapter_id=adapter.id, dataset_id=dataset.id,
        finished_at=now(), curve=thinned(LOSS).model_dump(mode="json"),
    )  # fmt: skip
    session.add(run)
    session.flush()
    found = Evaluation(
        team_id=TEAM, run_id=run.id or 0, adapter_id=adapter.id or 0, figures=FIGURES,
        passed=True, reasons=REASONS,
    )  # fmt: skip
    session.add(found)
    session.flush()
    known = run_report.read(session, run)
    found.picture, found.page = draw(known), page(known)
    releases.add_candidate(session, TEAM, adapter.id or 0, by="gate")
    ready = {NAME: {"load_s": 0.6, "ready_at": (now() - timedelta(minutes=1)).isoformat()}}
    session.merge(Replica(url=server_url, healthy=True, adapters=ready, seen_at=now()))
    said = run_message.tell(session, run, step="end", admin_channel=ADMIN_CHANNEL)
    assert said is not None
    run_message.show(session, run, said)
