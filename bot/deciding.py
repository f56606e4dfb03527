"""What passed the gate and waits for an admin: promoted or discarded once, by who comes first.

A run waits as `RunStatus.PROVEN`: because `MYNAH_RELEASE` is `ask`, because Mynah was paused or a
canary was out when it ended, or because its own canary's time was over. Its candidate stays loaded
and answers nobody. One waits at a time: what passes later takes its place. All functions take a
session inside `transaction(engine)`; `waiting` also takes one of `reading(engine)`.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlmodel import Session, col, select

from bot import audit, releases
from bot.releases import ReleaseError
from bot.store import rollouts
from bot.store.run_view import candidate
from bot.store.schema import Release, Rollout, RolloutAction, Run, RunStatus
from bot.store.teams import lock_team

WORDS = {
    RolloutAction.PROMOTE: "promoted",
    RolloutAction.ROLL_BACK: "brought back",
    RolloutAction.DISCARD: "discarded",
    RolloutAction.CANDIDATE: "tried again",
    RolloutAction.REBASE: "put in the place of what was trained on another base model",
}


class Waiting(NamedTuple):
    """A run that passed, and the release of its adapter."""

    run: Run
    release: Release


class NothingWaits(ReleaseError):
    """Nothing waits for an admin's decision."""


class Decided(ReleaseError):
    """The candidate does not wait any more: `last` is what became of it."""

    def __init__(self, release: Release, last: Rollout) -> None:
        self.number, self.last = release.number, last
        why = f" ({last.reason})" if last.reason and last.action is RolloutAction.DISCARD else ""
        super().__init__(f"v{release.number} was {WORDS[last.action]} by {last.by}{why}")


def waiting(session: Session, team_id: str) -> Waiting | None:
    """What waits for an admin, if anything does."""
    rows = select(Run).where(Run.team_id == team_id, Run.status == RunStatus.PROVEN)
    for run in session.exec(rows.order_by(col(Run.id).desc())):
        if (release := candidate(session, run)) is not None:
            return Waiting(run, release)
    return None


def promote(session: Session, one: Waiting, *, by: str, share: float = 1) -> None:
    """Let the candidate answer `share` of new threads.

    Raises:
        Decided: somebody decided before, or a later run took its place.
        NotProven: measured again meanwhile, it did not pass.
        Paused: the team's releases must not change now.
    """
    _check_waits(session, one)
    why = "; ".join(one.run.reasons)
    releases.promote(session, one.release, by=by, reason=why, share=share)
    _settle(session, one.run, RunStatus.RELEASED, by)


def discard(session: Session, one: Waiting, *, by: str, reason: str = "") -> None:
    """Take the candidate off the servers. Raises Decided."""
    _check_waits(session, one)
    releases.discard(session, one.release, by=by, reason=reason)
    _settle(session, one.run, RunStatus.KEPT, by)


def take_back(session: Session, run: Run, *, by: str, reason: str) -> None:
    """What the run had released answers no more."""
    run.reasons = [*run.reasons, reason]
    _settle(session, run, RunStatus.KEPT, by)


def ask(session: Session, run: Run, *, by: str, reason: str) -> bool:
    """What the run had released waits for an admin again; False where a later run waits already,
    to which it gives way."""
    asks = waiting(session, run.team_id) is None
    run.reasons = [*run.reasons, reason]
    _settle(session, run, RunStatus.PROVEN if asks else RunStatus.KEPT, by)
    return asks


def pass_on(session: Session, older: Run, newer: Run) -> None:
    """The same candidate was measured again and passed: from now on it is the newer run's."""
    if newer.status is RunStatus.RELEASED:
        _settle(session, older, RunStatus.RELEASED, f"run {newer.id}")
    else:
        older.reasons = [*older.reasons, f"run {newer.id} measured it again"]
        _settle(session, older, RunStatus.KEPT, f"run {newer.id}")


def find(session: Session, team_id: str, number: int | None) -> Waiting:
    """The waiting candidate of this number, or the one that waits. Raises NothingWaits, Decided."""
    one = waiting(session, team_id)
    if number is None or (one is not None and one.release.number == number):
        if one is None:
            raise NothingWaits("nothing waits for a decision")
        return one
    named = select(Release).where(Release.team_id == team_id, Release.number == number)
    release = session.exec(named).first()
    last = rollouts.newest_row(session, release) if release else None
    if release is None or last is None:
        raise NothingWaits(f"there is no release v{number}")
    raise Decided(release, last)


def of_run(session: Session, team_id: str, run_id: int) -> Waiting:
    """A run with its candidate, whether it waits or not. Raises NothingWaits."""
    run = session.get(Run, run_id)
    release = candidate(session, run) if run is not None and run.team_id == team_id else None
    if run is None or release is None:
        raise NothingWaits(f"run {run_id} left nothing to decide on")
    return Waiting(run, release)


def _check_waits(session: Session, one: Waiting) -> None:
    lock_team(session, one.run.team_id)
    session.refresh(one.run)
    is_open = one.release in rollouts.open_candidates(session, one.run.team_id)
    if one.run.status is RunStatus.PROVEN and is_open:
        return
    last = rollouts.newest_row(session, one.release)
    raise Decided(one.release, last) if last else NothingWaits(NothingWaits.__doc__)


def _settle(session: Session, run: Run, status: RunStatus, by: str) -> None:
    run.status = status
    session.add(run)
    session.flush()
    audit.record(session, run.team_id, by, f"run.{status.value}", f"run:{run.id}")
