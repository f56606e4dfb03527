"""What an admin promotes by name, to everybody or to a share of new threads.

What waits for a decision, the canary that is out, or any release that answered before. All
functions take a session inside `transaction(engine)`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from sqlmodel import Session, select

from bot import deciding, releases
from bot.deciding import Decided, NothingWaits
from bot.releases import ReleaseError
from bot.store import rollouts
from bot.store.run_view import of_release
from bot.store.schema import Release, RolloutAction, Run, RunStatus

_SHARE = re.compile(r"(\d{1,3}(?:\.\d+)?)%|(0?\.\d+)")


class BadShare(Exception):
    """What was named as a share is none."""


class Promoted(NamedTuple):
    """What was promoted, to how many of new threads, and instead of what."""

    number: int
    share: float
    live: int  # the release that answered before; and the other threads, below a share of 1
    run: Run | None  # whose message tells of it
    rollout_id: int

    @property
    def step(self) -> str:
        """Which change of the run's message tells of it."""
        return f"promoted:{self.rollout_id}"


def promote(
    session: Session, team_id: str, *, by: str, number: int | None = None, share: float = 1
) -> Promoted:
    """Let a release answer `share` of new threads; without a number what waits, or the canary.

    Another share for a canary begins its trial anew.

    Raises:
        NothingWaits: none was named and none waits, or there is none of that number.
        Decided: it is live already, or was discarded.
        ReleaseError: it answers so many already.
        NotProven, OtherBase, Paused: as `releases.promote`.
    """
    before = releases.live(session, team_id).number
    one = deciding.waiting(session, team_id)
    if one is not None and number in (None, one.release.number):
        deciding.promote(session, one, by=by, share=share)
        return _promoted(session, one.release, share, before, one.run)
    release = _named(session, team_id, number)
    last = rollouts.newest_row(session, release)
    row = releases.promote(session, release, by=by, reason="an admin named it", share=share)
    if last is not None and row.id == last.id:
        raise ReleaseError(f"v{release.number} answers {share:.0%} of new threads already")
    run = of_release(session, release)
    tells = run is not None and run.status is RunStatus.RELEASED
    return _promoted(session, release, share, before, run if tells else None)


def share_in(words: Sequence[str]) -> tuple[list[str], float]:
    """The other words, and the share among them, as "25%" or "0.25"; 1 where none is.

    Raises:
        BadShare: it is not above 0 and at most 100 %.
    """
    rest, share = [], 1.0
    for word in words:
        if (found := _SHARE.fullmatch(word)) is None:
            rest.append(word)
            continue
        share = float(found[1]) / 100 if found[1] else float(found[2])
    if not 0 < share <= 1:
        raise BadShare(BadShare.__doc__)
    return rest, share


def _promoted(
    session: Session, release: Release, share: float, before: int, run: Run | None
) -> Promoted:
    row = rollouts.newest_row(session, release)
    return Promoted(release.number, share, before, run, (row.id or 0) if row else 0)


def _named(session: Session, team_id: str, number: int | None) -> Release:
    if number is None:
        if (out := releases.canary(session, team_id)) is None:
            raise NothingWaits("nothing waits for a decision")
        return out
    named = select(Release).where(Release.team_id == team_id, Release.number == number)
    release = session.exec(named).first()
    last = rollouts.newest_row(session, release) if release else None
    if release is None or last is None:
        raise NothingWaits(f"there is no release v{number}")
    releases.check_base(session, release)  # what became of it before is not what hinders it
    if last.action is RolloutAction.DISCARD or releases.live(session, team_id) == release:
        raise Decided(release, last)
    return release
