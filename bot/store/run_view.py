"""A run as people read it: how far it is or how it ended, and what it found on its way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, col, select

from bot.store import rollouts
from bot.store.schema import Dataset, Evaluation, Release, Run, RunStatus, Trial

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Tried:
    """One recipe of a run, and what the gate found of its adapter; None for what is not known."""

    name: str
    best: bool = False  # of those of a run that is over
    verdict: str = ""  # "pass", "fail", "unclear"; "" before it was measured
    right: int | None = None  # of `of` held-out wordings
    of: int | None = None
    kl: float | None = None  # to the base, nats a token
    left_out: str | None = None  # why it came to no adapter


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
    share: float | None = None  # of new threads, while that release is a canary
    live: int | None = None  # number of the release that answers now
    by: str = ""  # who promoted or discarded what had passed
    tried: Sequence[Tried] = ()


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
        share=share(session, release), live=_live(session, run.team_id), by=by,
        tried=tried(session, run),
    )  # fmt: skip


def candidate(session: Session, run: Run) -> Release | None:
    """The release of the run's adapter, if it came that far."""
    if run.adapter_id is None:
        return None
    rows = select(Release).where(
        Release.team_id == run.team_id, Release.adapter_id == run.adapter_id
    )
    return session.exec(rows).first()


def of_release(session: Session, release: Release) -> Run | None:
    """The newest run that left the release's adapter."""
    if release.adapter_id is None:
        return None
    rows = select(Run).where(Run.team_id == release.team_id, Run.adapter_id == release.adapter_id)
    return session.exec(rows.order_by(col(Run.id).desc())).first()


def evaluation(session: Session, run: Run) -> Evaluation | None:
    """The evaluation of the run's adapter, if it came that far."""
    rows = select(Evaluation).where(
        Evaluation.run_id == run.id, Evaluation.adapter_id == run.adapter_id
    )
    return session.exec(rows).first()


def tried(session: Session, run: Run) -> list[Tried]:
    """The recipes of the run, in their order."""
    rows = select(Trial).where(Trial.run_id == run.id).order_by(col(Trial.id))
    found = {
        one.adapter_id: one
        for one in session.exec(select(Evaluation).where(Evaluation.run_id == run.id))
    }
    return [_tried(run, one, found.get(one.adapter_id or 0)) for one in session.exec(rows)]


def id_of(run: Run) -> int:
    """The id of a run that is in the database."""
    if run.id is None:
        raise ValueError("the run was not stored yet")
    return run.id


def _tried(run: Run, trial: Trial, found: Evaluation | None) -> Tried:
    if found is None:
        return Tried(trial.name, left_out=trial.left_out)
    marks = (found.figures.get("wordings") or {}).get("candidate") or {}
    return Tried(
        trial.name, best=_over(run) and run.adapter_id == trial.adapter_id, verdict=found.verdict,
        right=marks.get("hits"), of=marks.get("of"), kl=found.figures.get("kl"),
    )  # fmt: skip


def _over(run: Run) -> bool:
    return run.status not in (RunStatus.QUEUED, RunStatus.RUNNING)


def share(session: Session, release: Release | None) -> float | None:
    """The share of new threads that it answers as a canary; None while it is none."""
    live = rollouts.live_row(session, release.team_id) if release else None
    canary = rollouts.canary_row(session, live) if live else None
    here = release is not None and canary is not None and canary.release_id == release.id
    return canary.share if here and canary else None


def _live(session: Session, team_id: str) -> int | None:
    row = rollouts.live_row(session, team_id)
    return session.get_one(Release, row.release_id).number if row else None
