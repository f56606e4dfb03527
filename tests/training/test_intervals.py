"""Intervals: they hold the truth as often as they say, and what cannot be told is not told."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from training import intervals
from training.asked import Asked, Said, by_slice, lost_pins, marks
from training.intervals import Interval, Part, of_parts

SOME_PARTS = some.lists(
    some.tuples(some.integers(0, 9), some.floats(-50, 50), some.integers(1, 9)), max_size=30
)


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "RESAMPLES", 1000)


def asked(fact: int, ours: bool, live: bool, gain: float = 0.0, **more: object) -> Asked:
    """One held-out wording; the base knows nothing."""
    said = {
        "base": Said(text="?", right=False, logprob=-3.0),
        "live": Said(text="l", right=live, logprob=-2.0),
        "candidate": Said(text="c", right=ours, logprob=-2.0 + gain),
    }
    values = {"sort": "wording", "question": "q", "wanted": "a", "cluster": fact, "tokens": 10}
    return Asked.model_validate({**values, "said": said, **more})


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Forty facts in one to three wordings, some learned and some not: about 95 times in 100."""
    generator = np.random.default_rng(7)
    truth = 0.3 * 0.9 + 0.7 * 0.05 - 0.1
    held = sum(_holds(_evaluation(generator, facts=40), truth) for _ in range(300))
    assert 0.91 <= held / 300 <= 0.985


def test_wordings_of_one_fact_count_as_one() -> None:
    """Ten wordings of each fact are no ten times as much evidence: drawn one by one, they would
    give an interval that holds the truth far too seldom."""
    generator = np.random.default_rng(3)
    held = naive = 0
    for _ in range(200):
        learned = generator.random(30) < 0.5
        parts: list[Part] = [
            (fact, float(learned[fact]), 1.0) for fact in range(30) for _ in range(10)
        ]
        held += _holds(parts, 0.5)
        naive += _holds([(at, total, count) for at, (_, total, count) in enumerate(parts)], 0.5)
    assert held / 200 >= 0.9
    assert naive / 200 < 0.6


def _evaluation(generator: np.random.Generator, facts: int) -> list[Part]:
    parts: list[Part] = []
    for fact in range(facts):
        learned = 0.9 if generator.random() < 0.3 else 0.05
        for _ in range(generator.integers(1, 4)):
            parts.append(
                (fact, float(generator.random() < learned) - (generator.random() < 0.1), 1)
            )
    return parts


def _holds(parts: list[Part], truth: float) -> bool:
    found = of_parts(parts)
    return found is not None and found.low <= truth <= found.high


@given(SOME_PARTS)
def test_an_interval_lies_within_what_was_seen(parts: list[Part]) -> None:
    """It holds what was measured, no fact is beyond it all, and it is the same each time."""
    found = of_parts(parts)
    assert (found is None) == (len({fact for fact, _, _ in parts}) < 2)
    if found is not None:
        each = [total / count for _, total, count in parts]
        assert min(each) - 1e-9 <= found.low <= found.high <= max(each) + 1e-9
        assert of_parts(parts) == found


@given(SOME_PARTS)
def test_the_other_way_round_it_is_the_mirror_image(parts: list[Part]) -> None:
    """Better by so much is worse by so much."""
    found, other = of_parts(parts), of_parts([(f, -total, n) for f, total, n in parts])
    if found is not None and other is not None:
        assert (other.low, other.high) == pytest.approx((-found.high, -found.low))


@pytest.mark.parametrize("difference", [-1.0, 0.0, 1.0])
def test_where_all_agree_there_is_no_width(difference: float) -> None:
    """All right, all wrong, all the same: the interval is that, and nothing complains."""
    assert of_parts([(fact, difference, 1) for fact in range(5)]) == Interval(
        low=difference, high=difference
    )


@pytest.mark.parametrize("parts", [[], [(1, 1.0, 1)], [(1, 1.0, 1), (1, 0.0, 1)]])
def test_one_fact_tells_nothing_of_others(parts: list[Part]) -> None:
    """However many wordings it was asked in."""
    assert of_parts(parts) is None


def test_what_is_no_number_has_no_interval() -> None:
    """One NaN among the log-probabilities, and nothing is claimed."""
    assert of_parts([(1, 1.0, 1), (2, math.nan, 1), (3, 1.0, 1)]) is None


def test_the_gain_weighs_tokens_and_not_answers() -> None:
    """As it always was: the mean over all tokens of the right answers."""
    both = [asked(1, True, False, gain=1.0), asked(2, True, False, gain=0.0, tokens=30)]
    assert intervals.gain(both, "live") == pytest.approx(0.25)
    assert intervals.gain(both, "base") == pytest.approx(1.25)
    assert intervals.gain([], "live") == 0.0
    unmeasured = asked(1, True, True, gain=9.0, tokens=0)
    assert intervals.gain([*both, unmeasured], "live") == pytest.approx(0.25)
    within = intervals.gain_within(both, "live")
    assert within is not None
    assert (within.low, within.high) == pytest.approx((0.0, 1.0))


def test_right_answers_are_compared_with_one_or_the_other() -> None:
    """More than the base always, no more than what is live."""
    level = [asked(fact, ours=True, live=True) for fact in range(4)]
    assert intervals.more_right(level, "live") == Interval(low=0, high=0)
    assert intervals.more_right(level, "base") == Interval(low=1, high=1)
    assert intervals.facts(level) == 4


def test_a_slice_has_marks_of_its_own() -> None:
    """A question counts in each slice that it belongs to, and in no other."""
    found = by_slice([
        asked(1, True, False, slices={"channel": "C1", "age": "new"}),
        asked(2, False, True, slices={"channel": "C2", "age": "new"}),
        asked(3, False, False),
    ])  # fmt: skip
    assert list(found) == [("age", "new"), ("channel", "C1"), ("channel", "C2")]
    assert (found["age", "new"].candidate.hits, found["age", "new"].candidate.of) == (1, 2)
    assert (found["channel", "C2"].live.hits, found["channel", "C2"].candidate.hits) == (1, 0)


@pytest.mark.parametrize(("ours", "live", "lost"), [(0, 1, 1), (1, 1, 0), (0, 0, 0), (1, 0, 0)])
def test_a_pin_is_lost_only_where_live_has_it(ours: bool, live: bool, lost: int) -> None:
    """What nobody answers is no step back; another sort of question is no pin."""
    one = asked(1, bool(ours), bool(live))
    assert lost_pins([one]) == []
    assert len(lost_pins([one.model_copy(update={"sort": "pin"})])) == lost
    assert marks([one]).base.hits == 0
