"""Slices: where a candidate lost more than by luck, however many were looked at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from training.asked import Asked, Said
from training.setbacks import sign_test, slices


def wordings(lost: int, of: int, channel: str, start: int, fact_of: int = 1) -> list[Asked]:
    """Wordings of a channel of which live knew all and the candidate lost some; `fact_of` to each
    fact."""
    return [
        Asked(
            sort="wording", question="q", wanted="a", cluster=start + at // fact_of,
            slices={"channel": channel, "place": "everywhere"},
            said={
                "base": Said(text="", right=False), "live": Said(text="", right=True),
                "candidate": Said(text="", right=at >= lost),
            },
        )
        for at in range(of)
    ]  # fmt: skip


def worse(asked: Sequence[Asked]) -> list[tuple[str, str]]:
    return [(one.name, one.value) for one in slices(asked) if one.worse]


def test_a_slice_that_lost_most_is_named() -> None:
    """With its numbers; one that lost nothing is not, nor what holds every question."""
    asked = wordings(8, 9, "C0BILLING", 0) + wordings(0, 20, "C0HELP", 100)
    assert worse(asked) == [("channel", "C0BILLING")]
    billing = next(one for one in slices(asked) if one.worse)
    assert (billing.marks.candidate.hits, billing.marks.live.hits, billing.marks.live.of) == (
        1,
        9,
        9,
    )
    everywhere = next(one for one in slices(asked) if one.name == "place")
    assert everywhere.chance is None


def test_few_facts_tell_nothing() -> None:
    """Nine wordings of two facts are two losses, which may be luck."""
    asked = wordings(9, 9, "C0BILLING", 0, fact_of=5) + wordings(0, 20, "C0HELP", 100)
    assert worse(asked) == []


def test_who_looks_at_many_slices_needs_more() -> None:
    """Five facts of five are worse in one of two channels, and luck in one of ten."""
    few = wordings(5, 5, "C0", 0) + wordings(0, 9, "C1", 100)
    many = few + [one for at in range(2, 11) for one in wordings(0, 9, f"C{at}", 100 * at)]
    assert worse(few) == []  # 1 in 32, twice
    bad = wordings(6, 6, "C0", 0) + wordings(0, 9, "C1", 100)
    assert worse(bad) == [("channel", "C0")]  # 1 in 64, twice
    assert worse([*bad, *many[14:]]) == []  # 1 in 64, eleven times


def test_luck_rarely_names_a_slice() -> None:
    """Two models that are alike, in twelve channels: in at most one evaluation of twenty any slice
    is called worse."""
    generator = np.random.default_rng(5)
    named = 0
    for _ in range(200):
        asked = []
        for channel in range(12):
            for one in wordings(0, 12, f"C{channel}", 100 * channel):
                live, ours = (bool(right) for right in generator.random(2) < 0.5)
                said = {
                    "live": Said(text="", right=live), "candidate": Said(text="", right=ours),
                    "base": Said(text="", right=False),
                }  # fmt: skip
                asked.append(one.model_copy(update={"said": said}))
        named += bool(worse(asked))
    assert named / 200 <= 0.05


@pytest.mark.parametrize(
    ("more", "less", "chance"), [(5, 0, 1 / 32), (1, 1, 0.75), (0, 3, 1.0), (0, 0, 1.0)]
)
def test_the_sign_test_is_exact(more: int, less: int, chance: float) -> None:
    """As a coin would fall."""
    assert sign_test(more, less) == pytest.approx(chance)
