"""Releases: which adapter answers which threads, since when, by whose word.

Every change is one more Rollout row and one Audit row; nothing here touches an engine. Changes of
one team come one after the other. All functions take a session inside `transaction(engine)`; those
that only read also take one of `reading(engine)`.
"""

from __future__ import annotations

import hashlib

from sqlalchemy import func
from sqlmodel import Session, col, select

from bot import audit
from bot.store import bases, rollouts
from bot.store.history import ReleaseView, earlier_live, history
from bot.store.once import insert_once
from bot.store.schema import (
    Adapter,
    Evaluation,
    Release,
    Rollout,
    RolloutAction,
    Team,
    ThreadRelease,
)
from bot.store.teams import lock_team

__all__ = [
    "NoSuchRelease",
    "NotProven",
    "NothingToRollBackTo",
    "OtherBase",
    "Paused",
    "ReleaseError",
    "ReleaseView",
    "adapter_of",
    "add_candidate",
    "canary",
    "check_base",
    "desired_adapters",
    "discard",
    "earlier_live",
    "end_canary",
    "ensure_team",
    "fallback",
    "for_thread",
    "history",
    "leave_other_base",
    "live",
    "promote",
    "roll_back",
]


class ReleaseError(Exception):
    """A change of releases that cannot be made; the message is one line for an admin."""


class NoSuchRelease(ReleaseError):
    """There is no release of that name, or it never was live."""


class NothingToRollBackTo(ReleaseError):
    """No other release is left to go back to."""


class NotProven(ReleaseError):
    """The release's adapter has not passed the gate."""


class OtherBase(ReleaseError):
    """The release's adapter was trained on another base model than the one that is served."""


class Paused(ReleaseError):
    """Mynah is paused: only rolling back changes what is live."""


def ensure_team(session: Session, team_id: str) -> Team:
    """The team's row; a new team gets v1, the base model, live from the start."""
    team = lock_team(session, team_id)
    if rollouts.live_row(session, team_id) is None:
        base = _new_release(session, team_id, adapter_id=None)
        _write(session, base, RolloutAction.PROMOTE, 1, by="mynah", reason="the base model")
    return team


def live(session: Session, team_id: str) -> Release:
    """The release that answers new threads. Raises NoSuchRelease before `ensure_team`."""
    return _release(session, _live_row(session, team_id).release_id)


def canary(session: Session, team_id: str) -> Release | None:
    """The release that answers some new threads beside the live one, if any."""
    row = rollouts.canary_row(session, _live_row(session, team_id))
    return None if row is None else _release(session, row.release_id)


def adapter_of(session: Session, release: Release) -> Adapter | None:
    """The release's adapter; None for the base model."""
    return None if release.adapter_id is None else session.get_one(Adapter, release.adapter_id)


def for_thread(session: Session, team_id: str, channel: str, thread_ts: str) -> Release:
    """The release that answers in this thread; the first call decides, and the thread keeps it.

    It keeps it while that release is live, canary, or the one before the live one. After a roll
    back, and otherwise, the thread goes to the live one.
    """
    key = (team_id, channel, thread_ts)
    row = _live_row(session, team_id)
    kept = session.get(ThreadRelease, key)
    if kept is None:
        chosen = _choose(session, row, key)
        first = ThreadRelease(
            team_id=team_id, channel=channel, thread_ts=thread_ts, release_id=chosen
        )
        insert_once(session, first)
        kept = session.get_one(ThreadRelease, key)
    elif kept.release_id not in rollouts.in_use(session, row):
        kept.release_id = row.release_id
        session.add(kept)
    return _release(session, kept.release_id)


def add_candidate(session: Session, team_id: str, adapter_id: int, by: str) -> Release:
    """A release with share 0 for the adapter: loaded on the replicas, to be evaluated.

    An adapter has one release in a team: added again, it gets the same one.
    """
    lock_team(session, team_id)
    adapter = session.get(Adapter, adapter_id)
    if adapter is None or adapter.team_id != team_id:
        raise NoSuchRelease(f"the team has no adapter {adapter_id}")
    known = select(Release).where(Release.team_id == team_id, Release.adapter_id == adapter_id)
    release = session.exec(known).first() or _new_release(session, team_id, adapter_id)
    last = rollouts.newest_row(session, release)
    answering = release.id in rollouts.in_use(session, _live_row(session, team_id))
    if not answering and (last is None or last.action != RolloutAction.CANDIDATE):
        _write(session, release, RolloutAction.CANDIDATE, 0, by=by, reason="")
    return release


def promote(
    session: Session, release: Release, *, by: str, reason: str = "", share: float = 1
) -> Rollout:
    """Let the release answer `share` of new threads: below 1 it is a canary.

    Promoting what is live changes nothing, nor does a canary's share that it has already.

    Raises:
        NotProven: its adapter's newest evaluation did not pass or is missing, or the gate wants to
            bring back what a person rolled back.
        OtherBase: its adapter does not fit the base model.
        Paused: the team's releases must not change now.
    """
    if not 0 < share <= 1:
        raise ValueError(f"a share is above 0 and at most 1, not {share}")
    if lock_team(session, release.team_id).paused:
        raise Paused(Paused.__doc__)
    row = _live_row(session, release.team_id)
    if row.release_id == release.id:
        return row
    out = rollouts.canary_row(session, row)
    if out is not None and (out.release_id, out.share) == (release.id, share):
        return out
    check_base(session, release)
    _check_proven(session, release, by)
    return _write(
        session, release, RolloutAction.PROMOTE, share, by=by, reason=reason, replaces=row
    )


def discard(session: Session, release: Release, *, by: str, reason: str = "") -> Rollout | None:
    """Take a candidate off the replicas; None when the release is in use or no open candidate."""
    lock_team(session, release.team_id)
    if release not in rollouts.open_candidates(session, release.team_id):
        return None
    return _write(session, release, RolloutAction.DISCARD, 0, by=by, reason=reason)


def end_canary(
    session: Session, release: Release, *, by: str, reason: str = "", waits: bool
) -> Rollout | None:
    """Let the canary answer no new threads; None when the release is no canary.

    What is live stays. That is not said against the release, which is what tells it from rolling
    back: `waits` keeps it on the replicas as a candidate, else it is discarded.
    """
    lock_team(session, release.team_id)
    row = rollouts.canary_row(session, _live_row(session, release.team_id))
    if row is None or row.release_id != release.id:
        return None
    action = RolloutAction.CANDIDATE if waits else RolloutAction.DISCARD
    return _write(session, release, action, 0, by=by, reason=reason)


def roll_back(
    session: Session, team_id: str, *, by: str, number: int | None = None, reason: str = ""
) -> Rollout:
    """Make an earlier release live again, at once and for all threads.

    Without a number: the newest earlier release that was never rolled back. With one: any release
    that was live before. A canary counts as the release to go back from, to what is live.

    Raises:
        NoSuchRelease: the number is unknown, or that release was never live.
        NothingToRollBackTo: it is live already, or nothing earlier is left.
        OtherBase: the named one's adapter does not fit the base model.
    """
    lock_team(session, team_id)
    row = _live_row(session, team_id)
    leaving = rollouts.canary_row(session, row) or row
    if number is None and leaving is not row:
        target = _release(session, row.release_id)
    else:
        target = _target(session, _release(session, leaving.release_id), number)
    return _write(
        session, target, RolloutAction.ROLL_BACK, 1, by=by, reason=reason, replaces=leaving
    )


def leave_other_base(session: Session, team_id: str, *, by: str, reason: str) -> Release | None:
    """Let the base model answer in the place of a release that does not fit it any more, and of a
    canary that does not; the one that answered, or None where all that answers fits.

    That says nothing against it: when its base is served again, one can go back to it.
    """
    lock_team(session, team_id)
    row = _live_row(session, team_id)
    canary = rollouts.canary_row(session, row)
    stays = bases.is_fit(session, row.release_id)
    if stays and (canary is None or bases.is_fit(session, canary.release_id)):
        return None
    left = canary if stays and canary else row
    target = _release(session, row.release_id) if stays else _first(session, team_id)
    _write(session, target, RolloutAction.REBASE, 1, by=by, reason=reason, replaces=left)
    return _release(session, left.release_id)


def fallback(session: Session, team_id: str) -> Release | None:
    """Where a roll back without a number goes; None when nothing is earlier."""
    row = _live_row(session, team_id)
    live = _release(session, row.release_id)
    if rollouts.canary_row(session, row) is not None:
        return live
    return rollouts.never_rolled_back(session, team_id, live.number)


def desired_adapters(session: Session) -> list[Adapter]:
    """What every replica should hold, over all teams: the adapters of what is live, of the release
    before it, of the one that a roll back would go to, of the canary and of open candidates; those
    alone that fit the base model."""
    wanted: set[int] = set()
    for team_id in session.exec(select(Team.team_id)):
        wanted |= rollouts.wanted(session, team_id)
    ids = session.exec(
        select(Release.adapter_id).where(col(Release.id).in_(wanted), bases.fits())
    ).all()
    rows = select(Adapter).where(col(Adapter.id).in_(ids)).order_by(col(Adapter.id))
    return list(session.exec(rows))


def _choose(session: Session, row: Rollout, thread: tuple[str, str, str]) -> int:
    canary = rollouts.canary_row(session, row)
    if canary is None:
        return row.release_id
    digest = hashlib.sha256("\0".join(thread).encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    return canary.release_id if place < canary.share else row.release_id


def _target(session: Session, leaving: Release, number: int | None) -> Release:
    if number is None:
        earlier = rollouts.never_rolled_back(session, leaving.team_id, leaving.number)
        if earlier is None:
            raise NothingToRollBackTo(f"v{leaving.number} is live and nothing is earlier than it")
        return earlier
    named = select(Release).where(Release.team_id == leaving.team_id, Release.number == number)
    release = session.exec(named).first()
    if release is None:
        raise NoSuchRelease(f"there is no release v{number}")
    if release.id == leaving.id:
        raise NothingToRollBackTo(f"v{number} is live already")
    if not rollouts.was_live(session, release):
        raise NoSuchRelease(f"v{number} was never live, so there is nothing to go back to")
    check_base(session, release)
    return release


def check_base(session: Session, release: Release) -> None:
    """Raises OtherBase where the release's adapter does not fit the base model."""
    base = bases.newest(session)
    if base is None or bases.is_fit(session, rollouts.id_of(release)):
        return
    adapter = session.get_one(Adapter, release.adapter_id)
    trained_on = bases.named(adapter.base_model, adapter.base_sha256)
    raise OtherBase(
        f"v{release.number} was trained on {trained_on}, and what is served is "
        f"{bases.named(base.model, base.sha256)}: it can answer only where its own base is served"
    )


def _check_proven(session: Session, release: Release, by: str) -> None:
    name = f"v{release.number}"
    if release.adapter_id is not None:
        rows = select(Evaluation).where(Evaluation.adapter_id == release.adapter_id)
        newest = session.exec(rows.order_by(col(Evaluation.id).desc())).first()
        if newest is None:
            raise NotProven(f"{name} was not evaluated yet")
        if not newest.passed:
            raise NotProven(f"{name} did not pass: {'; '.join(newest.reasons)}")
    taken_back = select(Release.id).where(Release.id == release.id, rollouts.was_rolled_back())
    if by == "gate" and session.exec(taken_back).first() is not None:
        raise NotProven(f"{name} was rolled back before; only an admin brings it back")


def _live_row(session: Session, team_id: str) -> Rollout:
    row = rollouts.live_row(session, team_id)
    if row is None:
        raise NoSuchRelease(f"team {team_id} has no releases yet")
    return row


def _release(session: Session, release_id: int) -> Release:
    return session.get_one(Release, release_id)


def _first(session: Session, team_id: str) -> Release:
    """v1, the base model."""
    rows = select(Release).where(Release.team_id == team_id, col(Release.adapter_id).is_(None))
    return session.exec(rows.order_by(col(Release.number)).limit(1)).one()


def _new_release(session: Session, team_id: str, adapter_id: int | None) -> Release:
    last = select(func.max(Release.number)).where(Release.team_id == team_id)
    release = Release(
        team_id=team_id, number=(session.exec(last).one() or 0) + 1, adapter_id=adapter_id
    )
    session.add(release)
    session.flush()
    return release


def _write(
    session: Session,
    release: Release,
    action: RolloutAction,
    share: float,
    *,
    by: str,
    reason: str,
    replaces: Rollout | None = None,
) -> Rollout:
    row = Rollout(
        team_id=release.team_id, release_id=rollouts.id_of(release), share=share, action=action,
        replaces_id=replaces.release_id if replaces else None, by=by, reason=reason,
    )  # fmt: skip
    session.add(row)
    session.flush()
    subject = f"release:{release.number}"
    detail = {"share": share, "reason": reason}
    audit.record(session, release.team_id, by, f"release.{action.value}", subject, **detail)
    return row
