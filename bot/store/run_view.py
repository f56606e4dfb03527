"""A run as people read it: how far it is or how it ended, and what it found on its way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, select

from bot.store import rollouts
from bot.store.schema import Dataset, Evaluation, Release, Run, RunStatus

Json = Mapping[str, Any]


@dataclass(frozen=True)
class RunView:
    """One run, with what its steps have left so far; None for what it has not come to."""

    id: int
    status: RunStatus
    phase: str = ""
    progress: float = 0.0  # of this phase, 0 to 1
    left_s: float | None = None  # seconds until the phase ends, where that can be told
    requested_by: str | None = None
    reasons: Sequence[str] = ()
    counts: Json | None = None  # of the dataset
    trained: bool = False
    figures: Json | None = None  # of the evaluation
    passed: bool | None = None
    verdict: Sequence[str] = ()  # the gate's reasons
    number: int | None = None  # of the release of its adapter
    live: int | None = None  # number of the release that answers now
    by: str = ""  # who promoted or discarded what had passed


def view(session: Session, run: Run, *, left_s: float | None = None, by: str = "") -> RunView:
    """The run, read together with what it has left."""
    release = candidate(session, run)
    found = evaluation(session, run)
    dataset = session.get_one(Dataset, run.dataset_id) if run.dataset_id else None
    return RunView(
        id=id_of(run), status=run.status, phase=run.phase, progress=run.progress, left_s=left_s,
        requested_by=run.requested_by, reasons=run.reasons,
        counts=dataset.counts if dataset else None, trained=run.adapter_id is not None,
        figures=found.figures if found else None, passed=found.passed if found else None,
        verdict=found.reasons if found else (), number=release.number if release else None,
        live=_live(session, run.team_id), by=by,
    )  # fmt: skip


def candidate(session: Session, run: Run) -> Release | None:
    """The release of the run's adapter, if it came that far."""
    if run.adapter_id is None:
        return None
    rows = select(Release).where(
        Release.team_id == run.team_id, Release.adapter_id == run.adapter_id
    )
    return session.exec(rows).first()


def evaluation(session: Session, run: Run) -> Evaluation | None:
    """The run's evaluation, if it came that far."""
    return session.exec(select(Evaluation).where(Evaluation.run_id == run.id)).first()


def id_of(run: Run) -> int:
    """The id of a run that is in the database."""
    if run.id is None:
        raise ValueError("the run was not stored yet")
    return run.id


def _live(session: Session, team_id: str) -> int | None:
    row = rollouts.live_row(session, team_id)
    return session.get_one(Release, row.release_id).number if row else None
