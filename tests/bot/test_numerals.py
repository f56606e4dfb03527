"""Numbers in words: read as they are written, and only as far as one number goes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.numerals import spelled

_WORDS = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
    sixteen seventeen eighteen nineteen
"""
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
SMALL, TENS = _WORDS.split(), _TENS.split()


def written(number: int, hyphen: str, joined: str) -> str:
    """A number below a thousand millions, as people write it."""
    for size, name in ((1_000_000, "million"), (1000, "thousand"), (100, "hundred")):
        if number >= size:
            many, rest = divmod(number, size)
            head = f"{written(many, hyphen, joined)} {name}"
            return f"{head}{joined}{written(rest, hyphen, joined)}" if rest else head
    if number < 20:
        return SMALL[number]
    tens = TENS[number // 10 - 2]
    return f"{tens}{hyphen}{SMALL[number % 10]}" if number % 10 else tens


@given(
    st.integers(0, 999_999).filter(lambda number: number != 1),
    st.sampled_from(" -"), st.sampled_from([" ", " and "]),
)  # fmt: skip
def test_what_is_written_is_read(number: int, hyphen: str, joined: str) -> None:
    """With a hyphen or without, with "and" or without, in the midst of a sentence."""
    text = f"it takes {written(number, hyphen, joined)} days"
    assert spelled(text) == {str(number)}


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("between five and ten", {"5", "10"}),
        ("two, three or four", {"2", "3", "4"}),
        ("nineteen ninety", {"19", "90"}),
        ("a dozen", {"12"}),
        ("hundreds of tension", set()),
        ("someone often weighs one", set()),
    ],
)
def test_what_is_listed_are_several(text: str, numbers: set[str]) -> None:
    """Nor is a number what only begins like one."""
    assert spelled(text) == numbers
