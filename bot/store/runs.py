"""The queue of runs: one waiting or running for a team, one running on the whole deployment.

A claim is (run, fence). The fence grows with each claim, so that a trainer that was given up for
dead and still writes gets `LostRun` and changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from bot import audit
from bot.store.schema import Run, RunStatus, RunTrigger, Team, now
from bot.store.teams import lock_team

ENDS = (
    RunStatus.RELEASED, RunStatus.PROVEN, RunStatus.KEPT, RunStatus.UNCLEAR, RunStatus.REFUSED,
    RunStatus.FAILED,
)  # fmt: skip
_CHANGEABLE = {"phase", "progress", "reasons", "dataset_id", "adapter_id", "recipe", "curve"}


def message_key(run_id: int | None) -> str:
    """The outbox key of a run's one message: the bot says it first, and the worker changes it."""
    return f"run:{run_id}"


class LostRun(Exception):
    """The run was taken over, or has ended: nothing more may be written to it."""


class Request(NamedTuple):
    """The run that stands for a request, and whether it was made for it."""

    run: Run
    created: bool


def request_run(
    session: Session,
    *,
    team_id: str,
    trigger: RunTrigger,
    requested_by: str | None = None,
    report_channel: str | None = None,
    due_at: datetime | None = None,
    recipe: dict[str, Any],
) -> Request:
    """Queue a run, unless one of the team is waiting or running, or `due_at` already has its run.

    Such a run is returned instead, with `created` False. One that still waits then stands for
    `due_at` too, so that a time that was missed meanwhile is not caught up once more after it.
    """
    lock_team(session, team_id)
    standing = _standing(session, team_id, due_at)
    if standing is not None:
        if due_at is not None and standing.status is RunStatus.QUEUED:
            standing.due_at = due_at
        return Request(standing, created=False)
    run = Run(
        team_id=team_id, trigger=trigger, requested_by=requested_by,
        report_channel=report_channel, due_at=due_at, recipe=recipe,
    )  # fmt: skip
    session.add(run)
    session.flush()
    _note(session, run, requested_by or trigger.value, "run.request")
    return Request(run, created=True)


def claim_run(session: Session, owner: str, lease_s: float) -> Run | None:
    """Take over the running run whose lease ran out, else start the oldest queued one, or None.

    None too while another run's lease holds. Runs of paused teams are not started.
    """
    running = session.exec(
        select(Run).where(Run.status == RunStatus.RUNNING).with_for_update()
    ).first()
    if running is None:
        return _start(session, owner, lease_s)
    if running.lease_until is not None and running.lease_until >= now():
        return None
    return _hold(session, running, owner, lease_s)


def renew_run(session: Session, run_id: int, fence: int, lease_s: float) -> None:
    """Hold the run for another `lease_s` seconds from now. Raises LostRun."""
    _write(session, run_id, fence, lease_until=now() + timedelta(seconds=lease_s))


def update_run(session: Session, run_id: int, fence: int, **fields: Any) -> None:
    """Set some of phase, progress, reasons, dataset_id, adapter_id, recipe, curve. Raises LostRun.

    Without any it makes sure that the run is still held, until the transaction ends.
    """
    unknown = fields.keys() - _CHANGEABLE
    if unknown:
        raise TypeError(f"a run's {', '.join(sorted(unknown))} cannot be set by update_run")
    _write(session, run_id, fence, **fields)


def hand_back_run(session: Session, run_id: int, fence: int) -> None:
    """Let go of the run without ending it: the next claim takes it over at once. Raises LostRun."""
    _write(session, run_id, fence, lease_owner=None, lease_until=None)


def finish_run(
    session: Session, run_id: int, fence: int, status: RunStatus, reasons: Sequence[str]
) -> None:
    """End the run as one of `ENDS`, with the reasons that an admin reads. Raises LostRun."""
    if status not in ENDS:
        raise ValueError(f"a run cannot end as {status}")
    _write(
        session, run_id, fence, status=status, reasons=list(reasons), finished_at=now(),
        lease_owner=None, lease_until=None,
    )  # fmt: skip
    run = session.exec(select(Run).where(Run.id == run_id)).one()
    _note(session, run, "worker", f"run.{status.value}")


def rest_until(run: Run, minutes: float) -> datetime:
    """When servers that rest for the run are back at the latest, however often it is begun anew.

    Args:
        minutes: of the maintenance window, which begins when the run is due or, asked for by a
            person, when it begins.
    """
    return (run.due_at or run.started_at or now()) + timedelta(minutes=minutes)


def running(session: Session) -> Run | None:
    """The run that is under way on this deployment."""
    return session.exec(select(Run).where(Run.status == RunStatus.RUNNING)).first()


def newest(session: Session, team_id: str, n: int) -> list[Run]:
    """The team's last `n` runs, newest first."""
    rows = select(Run).where(Run.team_id == team_id).order_by(col(Run.id).desc()).limit(n)
    return list(session.exec(rows))


def _standing(session: Session, team_id: str, due_at: datetime | None) -> Run | None:
    rows = select(Run).where(Run.team_id == team_id).order_by(col(Run.id).desc())
    if due_at is not None and (run := session.exec(rows.where(Run.due_at == due_at)).first()):
        return run
    return session.exec(rows.where(col(Run.status).not_in(ENDS))).first()


def _start(session: Session, owner: str, lease_s: float) -> Run | None:
    queued = (
        select(Run)
        .join(Team, col(Team.team_id) == Run.team_id)
        .where(Run.status == RunStatus.QUEUED, col(Team.paused).is_(False))
        .order_by(col(Run.id))
        .limit(1)
        .with_for_update(of=Run, skip_locked=True)
    )
    run = session.exec(queued).first()
    if run is None:
        return None
    try:
        with session.begin_nested():
            return _hold(session, run, owner, lease_s)
    except IntegrityError:  # another worker started another run a moment ago
        return None


def _hold(session: Session, run: Run, owner: str, lease_s: float) -> Run:
    run.status = RunStatus.RUNNING
    run.fence += 1
    run.attempts += 1
    run.started_at = run.started_at or now()
    run.lease_owner = owner
    run.lease_until = now() + timedelta(seconds=lease_s)
    session.add(run)
    session.flush()
    return run


def _write(session: Session, run_id: int, fence: int, **values: Any) -> None:
    mine = (col(Run.id) == run_id, col(Run.fence) == fence, col(Run.status) == RunStatus.RUNNING)
    changed = session.scalars(
        update(Run).where(*mine).values(fence=fence, **values).returning(col(Run.id)),
        execution_options={"synchronize_session": "fetch"},
    ).first()
    if changed is None:
        raise LostRun(f"run {run_id}: {LostRun.__doc__}")


def _note(session: Session, run: Run, actor: str, action: str) -> None:
    detail = {"trigger": run.trigger.value, "reasons": run.reasons}
    audit.record(session, run.team_id, actor, action, f"run:{run.id}", **detail)
