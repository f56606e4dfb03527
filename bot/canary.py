"""A canary: a release that answers some new threads, until what people do there says what to do.

Compared are the threads that began since it answers: those dealt to it with those dealt to what is
live, which came at the same time (`bot.outcomes` says how a thread went). Which is which is decided
by a hash, so nothing but the release tells them apart. However small one side's share is, outcomes
are compared in blocks that hold some of both (`bot.betting`); the smaller side says how fast that
goes.

Two bets run, and each may be looked at after every outcome:

- that the canary is worse than what is live. Won, it is rolled back. The chance that a canary that
  is no worse is ever rolled back is at most `error`;
- that it is not worse by MARGIN or more. Won, it answers everybody. The chance that one that is
  worse by that much is ever promoted is at most `error`.

A bet is won only if it is won without any one person's word, too: whoever it is, they alone neither
roll a release back nor push it through, and the chances above hold whatever that one person does.

A release that answers all new threads is no longer watched: it could only be compared with what was
before it, and people, questions and raters change by themselves. `make bench-canary` shows how
often such a comparison would take back a release that is no worse.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from math import exp, inf, log

from sqlmodel import Session

from bot import betting
from bot.outcomes import Outcome, Sign, outcomes, signs
from bot.store import rollouts
from bot.store.schema import Release, Rollout

MARGIN = 0.15  # a release that is worse by so much is not to be promoted
_MOST_TOLD = 1_000_000  # an e-value beyond this is told as "more than"


class Decision(StrEnum):
    """What to do with a canary."""

    GO_ON = "go on"
    ROLL_BACK = "roll back"
    PROMOTE = "promote"
    NOT_ENOUGH = "not enough"  # the time is over


@dataclass(frozen=True)
class Count:
    """How many threads went well, of those of which somebody said how they went."""

    well: int = 0
    of: int = 0

    def __str__(self) -> str:
        return f"{self.well} of {self.of}"


@dataclass(frozen=True)
class Trial:
    """A canary as it stands: which releases, since when, and what people did."""

    canary: Rollout
    live: Rollout
    number: int
    live_number: int
    said: Sequence[Sign]

    def count(self, release_id: int) -> Count:
        """How the threads of one of the two went."""
        mine = [one.good for one in outcomes(self.said) if one.release_id == release_id]
        return Count(sum(mine), len(mine))

    @property
    def so_far(self) -> str:
        """What people did until now, in words."""
        canary, live = self.count(self.canary.release_id), self.count(self.live.release_id)
        if not canary.of and not live.of:
            return "nobody said how a thread went yet"
        return f"{canary} threads went well, of v{self.live_number}'s in the same time {live}"


@dataclass(frozen=True)
class Verdict:
    """What to do, and why, in words for an admin."""

    decision: Decision
    reason: str
    leans_on: str | None = None  # the person without whose word there is too little to decide


@dataclass(frozen=True)
class Evidence:
    """The e-values of a bet: of all that was said, and without the person it leans on most."""

    all: float
    without: float
    person: str | None = None

    def won(self, error: float) -> bool:
        """Whether it is enough, whoever's word is left out."""
        return min(self.all, self.without) * error >= 1


def trial(session: Session, team_id: str) -> Trial | None:
    """The team's canary; None when none is out. The session may be one that only reads."""
    live = rollouts.live_row(session, team_id)
    canary = rollouts.canary_row(session, live) if live else None
    if live is None or canary is None:
        return None
    number, live_number = (
        session.get_one(Release, row.release_id).number for row in (canary, live)
    )
    compared = (canary.release_id, live.release_id)
    said = signs(session, team_id, compared, canary.at)
    return Trial(canary, live, number, live_number, said)


def judge(found: Trial, *, error: float, days: float, at: datetime) -> Verdict:
    """What is to be done with a canary now.

    Args:
        error: the chance to roll back one that is no worse, or to promote one that is worse by
            MARGIN.
        days: after so many it ends, decided or not.
    """
    worse = _evidence(found, error, worse=True)
    if worse.won(error):
        why = f"so large a difference is chance in fewer than 1 of {_times(worse)} canaries"
        return Verdict(Decision.ROLL_BACK, f"{found.so_far}: {why}")
    fine = _evidence(found, error, worse=False)
    if fine.won(error):
        why = f"one that is {MARGIN * 100:.0f} points worse looks so good in fewer than 1 of"
        return Verdict(Decision.PROMOTE, f"{found.so_far}: {why} {_times(fine)} canaries")
    if at - found.canary.at < timedelta(days=days):
        return Verdict(Decision.GO_ON, found.so_far)
    why = f"after {days:g} day{'s' if days != 1 else ''} that is not enough to tell"
    leaning = next((bet.person for bet in (worse, fine) if bet.all * error >= 1), None)
    if leaning is not None:
        why += ", as it rests on what one person said"
    return Verdict(Decision.NOT_ENOUGH, f"{found.so_far}: {why}", leaning)


def _evidence(found: Trial, error: float, *, worse: bool) -> Evidence:
    """How clear it is that the canary is worse than what is live; or, that it is not worse by
    MARGIN. Of all that was said, and then without each of the people who said something."""
    whole = _e_value(found, outcomes(found.said), worse=worse)
    if whole * error < 1:  # it is lost already
        return Evidence(whole, whole)
    least, person = inf, None
    # Whoever said most of it is likeliest to be whom it leans on.
    for user, _ in Counter(one.user for one in found.said).most_common():
        rest = _e_value(found, outcomes(found.said, without=user), worse=worse)
        if rest < least:
            least, person = rest, user
        if rest * error < 1:
            break
    return Evidence(whole, least, person)


def _e_value(found: Trial, known: Sequence[Outcome], *, worse: bool) -> float:
    of_canary = [one.release_id == found.canary.release_id for one in known]
    rows, _ = betting.blocks(of_canary, [one.good for one in known])
    if not len(rows):
        return 1.0
    swapped = betting.swapped(rows)
    path = betting.evidence(swapped) if worse else betting.evidence(rows, MARGIN)
    return exp(min(float(path[-1]), log(_MOST_TOLD)))


def _times(bet: Evidence) -> str:
    return f"{min(bet.all, bet.without):,.0f}"
