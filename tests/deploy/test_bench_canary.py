"""The canary bench: its claim on fixed seeds, and that it plays what the worker does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from bot.canary import Decision, Trial, judge
from bot.outcomes import Sign
from bot.store.schema import Rollout, RolloutAction
from deploy.bench.canary import ERROR, NEVER, Threads, World, deal, ends, figures, play, table

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("world", [World(0.85), World(0.6, share=0.5), World(0.95, grudge=True)])
def test_false_roll_backs_are_rare(world: World) -> None:
    """A canary that is no worse, looked at after each of 500 feedbacks: at most 5 % go back; also
    where one of the raters is against it."""
    assert np.mean([one.worse < NEVER for one in ends(world, 60, 500)]) <= ERROR


def test_a_worse_one_is_found_and_not_promoted() -> None:
    """15 points less, half of the threads: four of five are rolled back within 700 feedbacks."""
    found = figures(World(0.9, 0.15, 0.5), 40, 700)
    assert found["rolled_back"] >= 0.8
    assert found["promoted"] <= ERROR
    assert found["rolled_back_80"] <= 700


def test_one_person_would_have_rolled_it_back_alone() -> None:
    """One in five who rejects everything wins where nobody asks whose word it is; as it is, not."""
    found = list(ends(World(0.9, share=0.5, grudge=True), 10, 600))
    assert all(one.worse_by_all < NEVER for one in found)
    assert not any(one.worse < NEVER for one in found)


@pytest.mark.parametrize("world", [World(0.9, 0.4, 0.5), World(0.9, share=0.5)])
def test_it_plays_what_the_worker_does(world: World) -> None:
    """After each feedback the bench says what the worker would decide."""
    threads = deal(world, 300, np.random.default_rng(3))
    found = play(threads)
    first = min(found.worse, found.fine)
    assert first < NEVER
    expected = Decision.ROLL_BACK if found.worse <= found.fine else Decision.PROMOTE
    assert decided(threads, first) is expected
    assert all(decided(threads, count) is Decision.GO_ON for count in range(first))


def decided(threads: Threads, count: int) -> Decision:
    """What the worker would do after so many feedbacks."""
    live, canary = (
        Rollout(
            id=number, team_id="T", release_id=number, share=share, by="gate", at=BEGAN,
            action=RolloutAction.PROMOTE,
        )
        for number, share in ((1, 1), (2, 0.5))
    )  # fmt: skip
    said = [
        Sign(
            ("C", str(place)),
            2 if threads.of_canary[place] else 1,
            f"U{threads.by[place]}",
            bool(threads.good[place]),
            BEGAN + timedelta(seconds=place),
        )
        for place in range(count)
    ]
    return judge(Trial(canary, live, 2, 1, said), error=ERROR, days=7, at=BEGAN).decision


def test_the_table_names_what_was_found() -> None:
    """Counts, shares, and a dash for what did not come about."""
    one = figures(World(0.9, share=0.5), 2, 100)
    found = {"same": [one], "worse": [one], "broken": [one], "grudge": [one], "drift": [one]}
    lines = list(table(found))
    assert any(" 90%   50%" in line and "–" in line for line in lines)
    assert any("rejects every answer" in line for line in lines)
