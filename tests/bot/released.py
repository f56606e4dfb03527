"""Making adapters, evaluations and releases for tests, as a training cycle would."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import Session

from bot import releases
from bot.store.schema import Adapter, Evaluation, Release, Run, RunStatus, RunTrigger
from tests.stores import TEAM

BASE_SHA256 = "0"  # of the base model that the adapters were trained on


def made_adapter(
    session: Session, name: str, team_id: str = TEAM, base_sha256: str = BASE_SHA256
) -> Adapter:
    """A stored adapter; its files do not exist."""
    adapter = Adapter(
        team_id=team_id, name=name, sha256=name, path=f"/nowhere/{name}", base_model="base",
        base_sha256=base_sha256, rank=16,
    )  # fmt: skip
    session.add(adapter)
    session.flush()
    return adapter


def candidate(
    session: Session, name: str, team_id: str = TEAM, base_sha256: str = BASE_SHA256
) -> Release:
    """A candidate release of a new adapter."""
    releases.ensure_team(session, team_id)
    adapter = made_adapter(session, name, team_id, base_sha256)
    return releases.add_candidate(session, team_id, adapter.id or 0, "worker")


def evaluate(
    session: Session,
    release: Release,
    *,
    passed: bool = True,
    reasons: Sequence[str] = (),
    score: float | None = None,
) -> None:
    """A run that ended, with its evaluation of the release's adapter."""
    run = Run(team_id=release.team_id, trigger=RunTrigger.COMMAND, status=RunStatus.KEPT)
    session.add(run)
    session.flush()
    row = Evaluation(
        team_id=release.team_id, run_id=run.id or 0, adapter_id=release.adapter_id or 0,
        passed=passed, reasons=list(reasons), figures={"score": score},
    )  # fmt: skip
    session.add(row)
    session.flush()


def promoted(
    session: Session,
    name: str,
    *,
    team_id: str = TEAM,
    score: float | None = None,
    share: float = 1,
    base_sha256: str = BASE_SHA256,
) -> Release:
    """A release of a new adapter that passed the gate and was promoted by it."""
    release = candidate(session, name, team_id, base_sha256)
    evaluate(session, release, score=score)
    releases.promote(session, release, by="gate", reason="passed", share=share)
    return release
