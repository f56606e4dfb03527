"""Reading the rollouts: which release is live, which one came before, which ones are on trial.

Rollout rows are append-only. The newest row of a team with share 1 says what is live; the newest
with a share between 0 and 1 that came after it is a canary, until a later row of the same release
ends that. The newest row SHADOW names the shadow, likewise until a later row of the same release;
the rows of shadowing say nothing else about it.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, func
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, exists, select
from sqlmodel.sql.expression import SelectOfScalar

from bot.store import bases
from bot.store.schema import SHADOWING, Release, Rollout, RolloutAction


def live_row(session: Session, team_id: str) -> Rollout | None:
    """The row that made the live release live; None for a team without releases."""
    rows = _newest_first(team_id).where(Rollout.share == 1).limit(1)
    return session.exec(rows).first()


def canary_row(session: Session, live: Rollout) -> Rollout | None:
    """The row of the release that answers some new threads beside the live one, if any."""
    rows = _newest_first(live.team_id).where(col(Rollout.id) > live.id)
    newest = session.exec(rows.where(Rollout.share > 0).limit(1)).first()
    if newest is None:
        return None
    ended = rows.where(Rollout.release_id == newest.release_id, col(Rollout.id) > newest.id)
    return None if session.exec(ended.limit(1)).first() else newest


def shadow_row(session: Session, team_id: str) -> Rollout | None:
    """The row of the release that answers for the record alone, if any."""
    last = last_shadow_row(session, team_id)
    if last is None:
        return None
    ended = _newest_first(team_id).where(
        Rollout.release_id == last.release_id, col(Rollout.id) > last.id
    )
    return None if session.exec(ended.limit(1)).first() else last


def last_shadow_row(session: Session, team_id: str) -> Rollout | None:
    """The same, also when that is over."""
    rows = _newest_first(team_id).where(Rollout.action == RolloutAction.SHADOW)
    return session.exec(rows.limit(1)).first()


def open_candidates(session: Session, team_id: str) -> list[Release]:
    """Releases on trial with share 0: neither promoted nor discarded since they were added."""
    rows = (
        select(Release)
        .join(Rollout, col(Rollout.release_id) == Release.id)
        .where(
            Release.team_id == team_id, Rollout.action == RolloutAction.CANDIDATE, ~_superseded()
        )
        .order_by(col(Release.number))
    )
    return list(session.exec(rows))


def newest_row(session: Session, release: Release) -> Rollout | None:
    """What last happened to the release itself, but for shadowing."""
    own = Rollout.release_id == release.id, col(Rollout.action).not_in(SHADOWING)
    return session.exec(_newest_first(release.team_id).where(*own).limit(1)).first()


def last_used(session: Session, release: Release) -> datetime | None:
    """When something last happened to the release, whatever it was."""
    rows = select(func.max(Rollout.at)).where(Rollout.release_id == release.id)
    return session.exec(rows).one()


def never_rolled_back(session: Session, team_id: str, before: int) -> Release | None:
    """The newest release with a number under `before` that was live and never rolled back, and that
    fits the base model.

    The base always qualifies: nothing is earlier that one could roll back to from it.
    """
    rows = (
        select(Release)
        .where(Release.team_id == team_id, Release.number < before, ever_live())
        .where(~was_rolled_back(), bases.fits())
        .order_by(col(Release.number).desc())
        .limit(1)
    )
    return session.exec(rows).first()


def was_live(session: Session, release: Release) -> bool:
    """Whether the release ever answered all new threads."""
    rows = select(Release.id).where(Release.id == release.id, ever_live())
    return session.exec(rows).first() is not None


def answered(session: Session, release: Release) -> bool:
    """Whether the release ever answered anybody, be it as a canary."""
    rows = select(Rollout.id).where(Rollout.release_id == release.id, col(Rollout.share) > 0)
    return session.exec(rows.limit(1)).first() is not None


def ever_live() -> ColumnElement[bool]:
    """For a query over Release: it answered all new threads at some time."""
    return exists().where(col(Rollout.release_id) == Release.id, col(Rollout.share) == 1)


def was_rolled_back() -> ColumnElement[bool]:
    """For a query over Release: somebody went from it to a release with a smaller number.

    Going forward again by name says nothing against the release that is left.
    """
    target = aliased(Release, name="target")
    return exists().where(
        col(Rollout.replaces_id) == Release.id,
        col(Rollout.action) == RolloutAction.ROLL_BACK,
        col(Rollout.release_id) == target.id,
        col(target.number) < Release.number,
    )


def in_use(session: Session, live: Rollout) -> set[int]:
    """Ids of the releases that threads may keep: live, canary, and the one that live replaced."""
    used = {live.release_id}
    if live.action == RolloutAction.PROMOTE and live.replaces_id is not None:
        used.add(live.replaces_id)
    canary = canary_row(session, live)
    return used if canary is None else used | {canary.release_id}


def wanted(session: Session, team_id: str) -> set[int]:
    """Ids of the team's releases that replicas should be able to answer by."""
    live = live_row(session, team_id)
    if live is None:
        return set()
    leaving = canary_row(session, live) or live
    number = session.get_one(Release, leaving.release_id).number
    fallback = never_rolled_back(session, team_id, number)
    ids = {id_of(release) for release in open_candidates(session, team_id)}
    if (shadow := shadow_row(session, team_id)) is not None:
        ids.add(shadow.release_id)
    return ids | in_use(session, live) | ({id_of(fallback)} if fallback else set())


def id_of(release: Release) -> int:
    """The id of a release that is in the database."""
    if release.id is None:
        raise ValueError("the release was not stored yet")
    return release.id


def _newest_first(team_id: str) -> SelectOfScalar[Rollout]:
    return select(Rollout).where(Rollout.team_id == team_id).order_by(col(Rollout.id).desc())


def _superseded() -> ColumnElement[bool]:
    """A later row says something else about the same release."""
    later = aliased(Rollout, name="later")
    return exists().where(
        col(later.team_id) == Rollout.team_id,
        col(later.release_id) == Rollout.release_id,
        col(later.id) > Rollout.id,
        col(later.action).not_in(SHADOWING),
    )
