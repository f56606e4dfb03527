"""Numbers that are written in English words: "fifty", "twenty-five", "two hundred and six"."""

from __future__ import annotations

import re

_UNITS_TEXT = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
    sixteen seventeen eighteen nineteen
"""
_TENS_TEXT = "twenty thirty forty fifty sixty seventy eighty ninety"
_UNITS = {word: number for number, word in enumerate(_UNITS_TEXT.split())}
_TENS = {word: 10 * number for number, word in enumerate(_TENS_TEXT.split(), 2)}
_SMALL = _UNITS | _TENS | {"dozen": 12}
_GREAT = {"thousand": 1000, "million": 1_000_000}


def _any(words: dict[str, int]) -> str:
    return f"(?:{'|'.join(words)})"


_DIGIT = _any({word: number for word, number in _UNITS.items() if 0 < number < 10})
_TO_99 = rf"(?:{_any(_TENS)}(?:[ -]{_DIGIT})?|{_any(_UNITS)}|dozen)"
_TO_999 = rf"(?:(?:{_DIGIT}[ -])?hundred(?:(?: and)?[ -]{_TO_99})?|{_TO_99})"
_NUMBER = re.compile(
    rf"\b(?:(?:{_TO_999}[ -])?{_any(_GREAT)}(?:(?: and)?[ -]{_TO_999})?|{_TO_999})\b"
)
_WORD = re.compile(r"[a-z]+")


def spelled(text: str) -> set[str]:
    """The numbers that a text in lower case spells out, in digits.

    Not "one" by itself, which mostly is no number: see `may_be_one`.
    """
    found = (match[0] for match in _NUMBER.finditer(text))
    return {str(_value(words)) for words in found if words != "one"}


def may_be_one(text: str) -> bool:
    """Whether a text in lower case says "one", of which only its reader knows what it is."""
    return re.search(r"\bone\b", text) is not None


def _value(words: str) -> int:
    total = part = 0
    for word in _WORD.findall(words):
        if word in _GREAT:
            total, part = total + (part or 1) * _GREAT[word], 0
        elif word == "hundred":
            part = (part or 1) * 100
        else:
            part += _SMALL.get(word, 0)  # "and"
    return total + part
