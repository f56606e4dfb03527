"""The bets of a canary: nobody gains by them where nothing is worse, however often they look."""

from __future__ import annotations

from math import comb, exp

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.betting import LEAST, Floats, blocks, evidence, swapped

ERROR = 0.05
counts = st.integers(1, 6)
chances = st.floats(0, 1)


def draw(seed: int, canary: float, live: float, share: float, length: int) -> Floats:
    """Blocks of a made-up canary (b) and of what is live (a)."""
    made = np.random.default_rng(seed)
    of_canary = made.random(length) < share
    good = made.random(length) < np.where(of_canary, canary, live)
    return blocks(list(of_canary), list(good))[0]


@settings(max_examples=200, deadline=None)
@given(
    before=st.lists(st.tuples(counts, st.floats(0, 1), counts, st.floats(0, 1)), max_size=4),
    n_a=counts, n_b=counts, a=chances, below=st.floats(0, 1),
    margin=st.sampled_from([0.0, 0.05, 0.15, 0.3]),
)  # fmt: skip
def test_no_block_is_a_fair_bet_for_who_is_wrong(
    before: list[tuple[int, float, int, float]],
    n_a: int,
    n_b: int,
    a: float,
    below: float,
    margin: float,
) -> None:
    """Whatever came before, a block's expected factor is at most 1 where b is not better than a by
    more than less `margin`: all outcomes of a block are gone through, with their chances."""
    past = np.array([[na, round(na * x), nb, round(nb * y)] for na, x, nb, y in before], float)
    past = past.reshape(-1, 4)
    b = max(0.0, a - margin - below)
    if b + margin > a:  # a chance is not below 0: then there is nothing to be wrong about
        return
    stake = exp(evidence(past, margin)[-1]) if len(past) else 1.0
    expected = sum(
        chance(n_a, good_a, a) * chance(n_b, good_b, b)
        * exp(evidence(np.vstack([past, [n_a, good_a, n_b, good_b]]), margin)[-1])
        for good_a in range(n_a + 1)
        for good_b in range(n_b + 1)
    )  # fmt: skip
    assert expected <= stake * (1 + 1e-9)


def chance(n: int, good: int, p: float) -> float:
    """Of so many good ones of n."""
    return comb(n, good) * p**good * (1 - p) ** (n - good)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60))
def test_blocks_lose_and_invent_nothing(outcomes: list[tuple[bool, bool]]) -> None:
    """Each outcome is in one block at most, in order; each block holds some of both streams, and
    only what could not fill one is left over."""
    rows, ends = blocks([b for b, _ in outcomes], [good for _, good in outcomes])
    begins = [0, *ends][: len(ends)]
    for row, begin, end in zip(rows, begins, ends, strict=True):
        held = outcomes[begin:end]
        of_b = [good for b, good in held if b]
        of_a = [good for b, good in held if not b]
        assert list(row) == [len(of_a), sum(of_a), len(of_b), sum(of_b)]
        assert of_a
        assert of_b
        assert len(held) >= LEAST
    left = outcomes[ends[-1] if ends else 0 :]
    assert len(left) < LEAST or len({b for b, _ in left}) == 1


@pytest.mark.parametrize(("rate", "share"), [(0.5, 0.5), (0.85, 0.2), (0.95, 0.8)])
def test_a_canary_that_is_no_worse_is_hardly_ever_rolled_back(rate: float, share: float) -> None:
    """Looked at after each block of 600 outcomes, at most 1 in 20 is ever called worse."""
    wrong = [
        evidence(swapped(draw(seed, rate, rate, share, 600))).max() >= np.log(1 / ERROR)
        for seed in range(300)
    ]
    assert np.mean(wrong) <= ERROR


def test_a_rate_that_changes_with_time_fools_nobody() -> None:
    """Good mornings and bad evenings for both alike are no difference, and do not hide one."""
    made = np.random.default_rng(7)
    wrong: list[bool] = []
    found: list[bool] = []
    for _ in range(200):
        of_canary = made.random(600) < 0.5
        rate = 0.65 + 0.3 * np.sin(np.arange(600) / 40)
        for worse, hits in ((0.0, wrong), (0.25, found)):
            good = made.random(600) < np.clip(rate - worse * of_canary, 0, 1)
            rows, _ = blocks(list(of_canary), list(good))
            hits.append(evidence(swapped(rows)).max() >= np.log(1 / ERROR))
    assert np.mean(wrong) <= ERROR
    assert np.mean(found) > 0.9


def test_a_drop_of_fifteen_points_is_found() -> None:
    """85 % down to 70 %, half of the threads each: mostly within 450 outcomes."""
    found = [
        evidence(swapped(draw(seed, 0.7, 0.85, 0.5, 450))).max() >= np.log(1 / ERROR)
        for seed in range(200)
    ]
    assert np.mean(found) >= 0.75


def test_one_as_good_is_soon_known_not_to_be_much_worse() -> None:
    """The bet with a margin is won by what is as good, and not by what is worse by the margin."""
    as_good = [evidence(draw(seed, 0.85, 0.85, 0.5, 450), 0.15).max() for seed in range(200)]
    worse = [evidence(draw(seed, 0.7, 0.85, 0.5, 450), 0.15).max() for seed in range(200)]
    assert np.mean(np.array(as_good) >= np.log(1 / ERROR)) >= 0.75
    assert np.mean(np.array(worse) >= np.log(1 / ERROR)) <= ERROR
