"""The end of a run: stored, told, and its candidate taken off the servers unless it went live."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlmodel import Session, select

from bot import releases
from bot.store import runs
from bot.store.schema import Dataset, Evaluation, Release, Run, RunStatus
from training import report
from training.telling import somebody_waits, tell


def end(
    session: Session,
    run: Run,
    fence: int,
    status: RunStatus,
    reasons: Sequence[str],
    *,
    admin_channel: str,
) -> None:
    """Finish the run, in the caller's transaction.

    Raises:
        LostRun: another worker has taken the run over; the transaction must not be committed.
    """
    run_id = id_of(run)
    runs.finish_run(session, run_id, fence, status, reasons)
    release = candidate(session, run)
    if release is not None and status is not RunStatus.RELEASED:
        releases.discard(session, release, by="gate", reason="; ".join(reasons))
    if status is RunStatus.REFUSED and not somebody_waits(run):
        return  # a nightly "nothing new" would teach people to overlook what Mynah says
    text = report.summary(
        run,
        status,
        reasons,
        number=release.number if release else None,
        figures=figures(session, run),
        counts=dataset_counts(session, run),
    )
    tell(session, run, text, step="end", admin_channel=admin_channel)


def candidate(session: Session, run: Run) -> Release | None:
    """The release of the run's adapter, if it came that far."""
    if run.adapter_id is None:
        return None
    rows = select(Release).where(
        Release.team_id == run.team_id, Release.adapter_id == run.adapter_id
    )
    return session.exec(rows).first()


def figures(session: Session, run: Run) -> dict[str, object] | None:
    """The figures of the run's evaluation, if it came that far."""
    found = session.exec(select(Evaluation).where(Evaluation.run_id == run.id)).first()
    return found.figures if found else None


def dataset_counts(session: Session, run: Run) -> dict[str, Any] | None:
    """What went into the run's dataset, if it came that far."""
    if run.dataset_id is None:
        return None
    return session.get_one(Dataset, run.dataset_id).counts


def id_of(run: Run) -> int:
    """The id of a run that is in the database."""
    if run.id is None:
        raise ValueError("the run was not stored yet")
    return run.id
