"""The end of a run: stored, told, and its candidate taken off the servers unless it may answer."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import Session, col, select

from bot import deciding, releases, run_message
from bot.deciding import Waiting
from bot.store import runs
from bot.store.run_view import candidate, id_of
from bot.store.schema import Release, Run, RunStatus
from training.telling import somebody_waits

PASSED = (RunStatus.RELEASED, RunStatus.PROVEN)
TRAINED = (*PASSED, RunStatus.KEPT, RunStatus.UNCLEAR)


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
    runs.finish_run(session, id_of(run), fence, status, reasons)
    release = candidate(session, run)
    if status in TRAINED:
        _give_way(session, run, release, admin_channel)
    if release is not None and status not in PASSED and not waits(session, release):
        releases.discard(session, release, by="gate", reason="; ".join(reasons))
    if status is RunStatus.REFUSED and not somebody_waits(run):
        return  # a nightly "nothing new" would teach people to overlook what Mynah says
    said = run_message.tell(session, run, step="end", admin_channel=admin_channel)
    if said is not None:
        run_message.show(session, run, said)


def _give_way(session: Session, run: Run, release: Release | None, admin_channel: str) -> None:
    """What waited for an admin gives way to what passed after it, and to its own new verdict."""
    for older in _waiting(session, run):
        again, by = older.release == release, f"run {run.id}"
        if again and run.status in PASSED:
            deciding.pass_on(session, older.run, run)
        elif again or run.status in PASSED:
            why = "measured again, it did not pass" if again else f"{by} passed after it"
            deciding.discard(session, older, by=by, reason=why)
        else:
            continue
        run_message.tell(session, older.run, step="decided", admin_channel=admin_channel, by=by)


def _waiting(session: Session, run: Run) -> list[Waiting]:
    rows = select(Run).where(
        Run.team_id == run.team_id, Run.status == RunStatus.PROVEN, Run.id != run.id
    )
    found = [(one, candidate(session, one)) for one in session.exec(rows.order_by(col(Run.id)))]
    return [Waiting(one, release) for one, release in found if release is not None]


def waits(session: Session, release: Release) -> bool:
    """Whether it is the candidate of an earlier run, too, that waits for an admin."""
    waiting = deciding.waiting(session, release.team_id)
    return waiting is not None and waiting.release == release
