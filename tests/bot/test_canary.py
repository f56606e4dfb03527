"""What is to be done with a canary, by what people did in its threads and in what is live's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import Engine
from sqlmodel import Session

from bot import canary, releases
from bot.canary import Decision, Trial, Verdict, judge
from bot.store.database import reading, transaction
from bot.store.schema import FeedbackKind, now
from tests.bot.released import promoted
from tests.bot.threads import Threads
from tests.stores import TEAM

Do = Callable[[Threads], object]
DAYS = 7.0


def on_trial(store: Engine, do: Do) -> Trial:
    """v3, a canary beside v2, after something was done."""
    with transaction(store) as session:
        promoted(session, "a")
        promoted(session, "b", share=0.5)
        do(Threads(session))
    with reading(store) as session:
        found = canary.trial(session, TEAM)
    assert found is not None
    return found


def verdict(store: Engine, do: Do, *, days_later: float = 0, error: float = 0.05) -> Verdict:
    """What is to be done with it."""
    at = now() + timedelta(days=days_later)
    return judge(on_trial(store, do), error=error, days=DAYS, at=at)


def much_worse(made: Threads) -> None:
    """The canary went well half of the times, what is live nearly always; four people rated."""
    made.together((3, 50, 50), (2, 90, 10))


def as_good(made: Threads) -> None:
    """Both went well nearly always."""
    made.together((3, 190, 10), (2, 180, 20))


def test_without_a_canary_there_is_nothing_to_judge(store: Engine) -> None:
    """One release for everybody, or no team at all."""
    with transaction(store) as session:
        promoted(session, "a")
        assert canary.trial(session, TEAM) is None
        assert canary.trial(session, "T9") is None


def test_a_worse_one_is_rolled_back(store: Engine) -> None:
    """With the counts of both, and how likely that is chance."""
    found = verdict(store, much_worse)
    assert found.decision is Decision.ROLL_BACK
    assert found.reason.startswith(
        "50 of 100 threads went well, of v2's in the same time 90 of 100: so large a difference is "
        "chance in fewer than 1 of "
    )


def test_one_as_good_is_promoted(store: Engine) -> None:
    """Once it is clear that it is not much worse."""
    found = verdict(store, as_good)
    assert found.decision is Decision.PROMOTE
    assert "one that is 15 points worse looks so good in fewer than 1 of" in found.reason


def test_little_is_not_enough_to_decide(store: Engine) -> None:
    """It goes on, and when its time is over that is said."""

    def do(made: Threads) -> None:
        made.together((3, 10, 0), (2, 10, 10))

    assert verdict(store, do) == Verdict(
        Decision.GO_ON, "10 of 10 threads went well, of v2's in the same time 10 of 20"
    )


def test_a_canary_that_nobody_uses_ends(store: Engine) -> None:
    """After its days, with the reason; a moment before, it goes on."""
    found = on_trial(store, lambda made: None)
    began = found.canary.at
    before = judge(found, error=0.05, days=DAYS, at=began + timedelta(days=DAYS, seconds=-1))
    after = judge(found, error=0.05, days=DAYS, at=began + timedelta(days=DAYS))
    assert before.decision is Decision.GO_ON
    assert after.decision is Decision.NOT_ENOUGH
    assert after.reason == (
        "nobody said how a thread went yet: after 7 days that is not enough to tell"
    )


def test_what_is_clear_when_the_time_is_over_is_decided(store: Engine) -> None:
    """Being late, because no worker ran, loses nothing."""
    assert verdict(store, much_worse, days_later=30).decision is Decision.ROLL_BACK


@pytest.mark.parametrize("who", ["alone", "among others"])
def test_one_person_alone_rolls_nothing_back(store: Engine, who: str) -> None:
    """Somebody rejects every answer of the canary and approves all others: without their word
    nothing is wrong with it, so it is not rolled back; in the end their name is told."""

    def do(made: Threads) -> None:
        if who == "among others":
            made.together((3, 20, 0), (2, 20, 0))
        made.together((3, 0, 100), (2, 100, 0), users=("U0GRUDGE",))

    found = verdict(store, do)
    assert found.decision is Decision.GO_ON
    late = judge(on_trial_again(store), error=0.05, days=DAYS, at=now() + timedelta(days=8))
    assert (late.decision, late.leans_on) == (Decision.NOT_ENOUGH, "U0GRUDGE")
    assert late.reason.endswith("not enough to tell, as it rests on what one person said")


def on_trial_again(store: Engine) -> Trial:
    """The canary that is out."""
    with reading(store) as session:
        found = canary.trial(session, TEAM)
    assert found is not None
    return found


def test_one_person_alone_pushes_nothing_through(store: Engine) -> None:
    """Somebody likes every answer of the canary: that alone does not promote it."""

    def do(made: Threads) -> None:
        made.together((3, 200, 0), (2, 180, 20), users=("U0FAN",))

    assert verdict(store, do).decision is Decision.GO_ON


def test_one_persons_grudge_does_not_hide_what_the_others_say(store: Engine) -> None:
    """A good canary is promoted by the others' word where one person rejects some of it."""

    def do(made: Threads) -> None:
        for seed in range(10):
            made.together((3, 30, 0), (2, 30, 0), seed=seed)
            made.say(made.ask(3), FeedbackKind.REJECT, "U0GRUDGE")

    assert verdict(store, do).decision is Decision.PROMOTE


def test_many_words_on_one_thread_are_one_outcome(store: Engine) -> None:
    """A crowd in one thread does not roll back either: a thread is what is dealt by chance."""

    def do(made: Threads) -> None:
        made.together((3, 20, 0), (2, 20, 0))
        one = made.ask(3)
        for user in range(200):
            made.say(one, FeedbackKind.REJECT, f"U{user}")

    assert verdict(store, do).decision is Decision.GO_ON


def test_the_bar_is_a_setting(store: Engine) -> None:
    """What is enough for one error rate is too little for a smaller one."""

    def do(made: Threads) -> None:
        made.together((3, 20, 20), (2, 40, 0))

    found = on_trial(store, do)
    assert judge(found, error=0.2, days=DAYS, at=now()).decision is Decision.ROLL_BACK
    assert judge(found, error=1e-6, days=DAYS, at=now()).decision is Decision.GO_ON


def test_a_small_share_beside_a_large_one_is_compared_fairly(store: Engine) -> None:
    """What is live has ten threads to the canary's hundred: all are used, in blocks of both."""

    def do(made: Threads) -> None:
        made.together((3, 200, 200), (2, 40, 0))

    assert verdict(store, do).decision is Decision.ROLL_BACK


def test_an_ended_canary_is_over(store: Engine) -> None:
    """Promoted, rolled back or ended it is no canary, and an older one does not come back."""
    with transaction(store) as session:
        promoted(session, "a")
        promoted(session, "b", share=0.5)
        third = promoted(session, "c", share=0.5)
        assert ended(session) == 4
        row = releases.end_canary(session, third, by="canary", reason="why", waits=False)
        assert row is not None
        assert canary.trial(session, TEAM) is None
        assert releases.end_canary(session, third, by="canary", waits=False) is None
        assert releases.live(session, TEAM).number == 2
        assert [one.name for one in releases.desired_adapters(session)] == ["a"]


def ended(session: Session) -> int:
    """The number of the canary that is out."""
    found = canary.trial(session, TEAM)
    assert found is not None
    return found.number
