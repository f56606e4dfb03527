"""A run that passed and waits for an admin, as the worker leaves it."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session

from bot import releases, run_message
from bot.store.schema import Dataset, Evaluation, Run, RunStatus, RunTrigger
from tests.bot.released import made_adapter
from tests.stores import TEAM

MARKS = {name: {"hits": hits, "of": 5} for name, hits in (("base", 0), ("live", 2))}
FIGURES: dict[str, Any] = {"wordings": MARKS | {"candidate": {"hits": 4, "of": 5}}, "score": 0.8}
COUNTS = {"train": 25, "held_out_wording": 5, "held_out_question": 2, "refused": {}}


def passed(
    session: Session,
    name: str = "mynah-0123456789ab",
    *,
    channel: str = "C0ADMIN",
    picture: bytes | None = None,
    page: str | None = None,
) -> Run:
    """A proven run with its candidate and its message."""
    run = Run(team_id=TEAM, trigger=RunTrigger.SCHEDULE, report_channel=channel)
    train(session, run, name, COUNTS)
    return prove(session, run, name, picture, page)


def train(session: Session, run: Run, name: str, counts: dict[str, Any]) -> None:
    """The run has chosen its examples and trains."""
    frozen = Dataset(team_id=TEAM, content_hash=name, path="/nowhere", counts=counts)
    session.add(frozen)
    session.flush()
    run.status, run.dataset_id = RunStatus.RUNNING, frozen.id
    session.add(run)
    session.flush()


def prove(
    session: Session, run: Run, name: str, picture: bytes | None, page: str | None = None
) -> Run:
    """What it trained passed, and the run's message says so."""
    adapter = made_adapter(session, name)
    run.status, run.adapter_id, run.reasons = RunStatus.PROVEN, adapter.id, ["4 of 5 right"]
    session.add(run)
    session.flush()
    session.add(
        Evaluation(
            team_id=TEAM, run_id=run.id or 0, adapter_id=adapter.id or 0, figures=FIGURES,
            passed=True, reasons=["4 of 5 right"], picture=picture, page=page,
        )
    )  # fmt: skip
    releases.add_candidate(session, TEAM, adapter.id or 0, by="gate")
    said = run_message.tell(session, run, step="end", admin_channel="C0ADMIN")
    assert said is not None
    run_message.show(session, run, said)
    return run
