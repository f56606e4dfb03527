"""One person's word is at most so much of what is learned."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from bot.store.schema import Example
from training.influence import FREE, balanced

TEAM = "T0MYNAH"


def told(*counts: int) -> list[Example]:
    """So many examples by each of several people, by turns."""
    people = [who for turn in range(max(counts, default=0)) for who in _left(counts, turn)]
    return [
        Example(id=number, team_id=TEAM, approved_by=f"U{who}", content_hash="")
        for number, who in enumerate(people, 1)
    ]


def _left(counts: tuple[int, ...], turn: int) -> list[int]:
    return [who for who, count in enumerate(counts) if turn < count]


shares = st.integers(1, 100).map(lambda percent: percent / 100)
# How many examples each has, not the examples: a failing one would be told in 200 kB.
houses = st.lists(st.integers(0, 120), max_size=6)


@given(houses, shares)
def test_nobody_is_heard_more_than_allowed(counts: list[int], most: float) -> None:
    """Whoever taught how much: each has at most the share, or the few that always count."""
    house = told(*counts)
    kept, left_out = balanced(house, most)
    said = Counter(example.approved_by for example in kept)
    assert all(count <= max(FREE, most * len(kept) + 1e-6) for count in said.values())
    assert len(kept) + left_out == len(house)


@given(houses, shares)
def test_the_newest_are_kept_in_their_order(counts: list[int], most: float) -> None:
    """What is left out of a person's is older than all that is kept of theirs."""
    house = told(*counts)
    kept, _ = balanced(house, most)
    ids = {example.id or 0 for example in kept}
    assert [example for example in house if example.id in ids] == kept
    for who in {example.approved_by for example in house}:
        mine = [example.id or 0 for example in house if example.approved_by == who]
        count = sum(one in ids for one in mine)
        assert {one for one in mine if one in ids} == set(mine[len(mine) - count :])


@given(houses, shares)
def test_no_more_is_left_out_than_has_to_be(counts: list[int], most: float) -> None:
    """One more of everybody who lost some would be too much, and who lost none kept all."""
    house = told(*counts)
    kept, left_out = balanced(house, most)
    said = Counter(example.approved_by for example in kept)
    had = Counter(example.approved_by for example in house)
    cut = [who for who in had if said[who] < had[who]]
    if left_out:
        more = max(said[who] for who in cut) + 1
        assert more > max(FREE, most * (len(kept) + len(cut)))


def test_a_house_with_one_teacher_learns() -> None:
    """Nobody else is there to be heard: the newest few count, and without a limit all do."""
    house = told(50)
    assert [example.id for example in balanced(house, 0.5)[0]] == list(range(31, 51))
    assert balanced(house, 1.0) == (house, 0)


def test_a_share_is_met_to_the_example() -> None:
    """100 by one, 30 by others: at half, 30 of the 100 stay; no rounding takes one more."""
    kept, left_out = balanced(told(100, 30), 0.5)
    assert (len(kept), left_out) == (60, 70)


@given(houses, shares, st.integers(0, 60))
def test_nothing_of_a_file_is_left_out(counts: list[int], most: float, rows: int) -> None:
    """What somebody imported is nobody's word: all of it stays, and counts for the whole."""
    house = told(*counts)
    first = len(house) + 1
    file = [
        Example(id=first + row, team_id=TEAM, approved_by="import by U0", content_hash="")
        for row in range(rows)
    ]
    kept, left_out = balanced(house + file, most)
    assert [one for one in kept if one in file] == file
    assert left_out <= balanced(house, most)[1]


def test_a_file_of_a_thousand_is_learned_whole() -> None:
    """By whom it came does not matter; that person's own marks in Slack are their word."""
    file = [
        Example(id=row, team_id=TEAM, approved_by="import by U0", content_hash="")
        for row in range(100, 1100)
    ]
    assert balanced(file, 0.1) == (file, 0)
    assert balanced(told(50) + file, 0.01)[1] == 50 - FREE
