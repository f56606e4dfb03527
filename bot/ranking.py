"""Which known answer fits a question best: arithmetic on unit vectors and words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bot.embedder import telling

Floats = NDArray[np.float32]
Numbers = NDArray[np.intp]

# Measured in tests/bot/test_memory.py: against the plain best wording, removing what all questions
# share and letting wordings agree lifts the right answer to the top for 98.3 % instead of 95.4 % of
# held-out wordings (the demo's help desk), and for 100 % instead of 99.3 % (a real FAQ).
_AGREEING = 3  # so many wordings of an answer are heard
_AGREEMENT = 0.5  # and weigh so much against the best one alone
_STEM = 5  # letters: longer words that begin alike count as one
_FEW = 30  # with far fewer questions than this, what they share is not known well enough to remove


@dataclass(frozen=True)
class Place:
    """One answer's place in the ranking.

    `rows` are its questions, most similar first; `similarity` is the first one's cosine,
    `agreement` the mean of the first three, and `score` what answers are ranked by.
    """

    answer: int
    rows: Numbers
    similarity: float
    agreement: float
    score: float

    @property
    def row(self) -> int:
        """Its most similar question."""
        return int(self.rows[0])


def rank(rows: Floats, answers: Numbers, query: Floats) -> Iterator[Place]:
    """Yield answers, best first.

    Args:
        rows: (n, d) unit vectors of known questions, n > 0.
        answers: (n,) which answer each question has: 0, 1, 2 …
        query: (d,) unit vector of the question asked.
    """
    similarities = rows @ query
    scores = _agreed(_without_the_shared(rows, similarities, query), answers)
    for answer in np.argsort(-scores, kind="stable"):
        if not np.isfinite(scores[answer]):
            return
        yield place(int(answer), answers, similarities, float(scores[answer]))


def place(answer: int, answers: Numbers, similarities: Floats, score: float) -> Place:
    """The place of one answer, given the cosine of each known question: both (n,)."""
    mine = np.flatnonzero(answers == answer)
    mine = mine[np.argsort(-similarities[mine], kind="stable")]
    heard = similarities[mine[:_AGREEING]]
    return Place(answer, mine, float(heard[0]), float(heard.mean()), score)


def familiar(question: str, texts: Iterable[str]) -> float:
    """How many of the question's words stand in the texts: 0 to 1.

    What asks for something else about the same product often differs in one word alone, which
    changes its vector little.
    """
    asked = _stems(question)
    known = frozenset[str]().union(*map(_stems, texts))
    return len(asked & known) / max(len(asked), 1)


def _stems(text: str) -> frozenset[str]:
    return frozenset(word[:_STEM] for word in telling(text))


def _without_the_shared(rows: Floats, similarities: Floats, query: Floats) -> Floats:
    """Cosines after taking away the mean question, most of which is the product's name.

    Written out as dot products, so that no second copy of `rows` is made.
    """
    shared = rows.mean(axis=0) * (len(rows) / (len(rows) + _FEW))
    along, asked, square = rows @ shared, shared @ query, shared @ shared
    lengths = (1 - 2 * along + square) * (1 - 2 * asked + square)
    cosines = (similarities - along - asked + square) / np.sqrt(np.maximum(lengths, 1e-6))
    return np.asarray(cosines, dtype=np.float32)


def _agreed(cosines: Floats, answers: Numbers) -> Floats:
    """Each answer's score: its best wording, and how far its next ones agree."""
    order = np.lexsort((-cosines, answers))
    groups = answers[order]
    first = np.searchsorted(groups, groups)  # where each row's answer starts
    heard = order[np.arange(len(order)) - first < _AGREEING]
    size = int(answers.max()) + 1
    best = np.full(size, -np.inf, dtype=np.float32)
    np.maximum.at(best, answers, cosines)
    total, count = np.zeros(size, np.float32), np.zeros(size, np.float32)
    np.add.at(total, answers[heard], cosines[heard])
    np.add.at(count, answers[heard], 1)
    scores = (1 - _AGREEMENT) * best + _AGREEMENT * total / np.maximum(count, 1)
    return np.asarray(scores, dtype=np.float32)
