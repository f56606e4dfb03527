"""Which questions ask alike: twins, clusters, and neighbours that are not quite either.

A *wording* is one way to ask; two questions are *twins* when they ask in nearly the same words; a
*cluster* is everything that was asked about one fact (the same answer, or twins). Groups are
written as a list that gives, for each question, the smallest index in its group.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

K = TypeVar("K")
Vectors = NDArray[np.float32]  # (n, d), unit rows

# Measured with MiniLM on the demo's 250 wordings: no two facts ask alike above 0.87, and only
# near-copies of one question do above 0.90.
TWIN = 0.90
RELATED = 0.75  # above this, a question may well be about the fact of another cluster
BLOCK = 512  # rows compared at once: memory stays flat with many examples

_FILLERS = frozenset(
    re.findall(
        r"\w+",
        "a an the is are was be do does did i we you me my our your it to of in on for and at what"
        " which how can could would please pls hi hello hey thanks tell know",
    )
)


def twins(questions: Sequence[str], vectors: Vectors) -> list[int]:
    """Group questions that are nearly the same: equal but for filler words, or close in meaning.

    Questions that name different numbers or codes are never twins, however close they look
    ("What does error 331 mean?", "What does error 208 mean?").
    """
    return _components(len(questions), _twin_pairs(questions, vectors))


def clusters(twin_of: Sequence[int], answers: Sequence[str]) -> list[int]:
    """Group questions about one fact: their answers are the same, or the questions are twins."""
    pairs = _same(twin_of) + _same([plain(answer) for answer in answers])
    return _components(len(answers), pairs)


def joined(groups_of: Sequence[int], marks: Sequence[str | None]) -> list[int]:
    """Larger groups: those that share a mark are one. None is no mark."""
    marked = [(mark, None) if mark else (None, at) for at, mark in enumerate(marks)]
    return _components(len(marks), _same(groups_of) + _same(marked))


def related(cluster_of: Sequence[int], vectors: Vectors) -> set[int]:
    """The clusters that come close to another one: they may be about the same fact after all."""
    found: set[int] = set()
    for first, second in _close(vectors, RELATED):
        if cluster_of[first] != cluster_of[second]:
            found |= {cluster_of[first], cluster_of[second]}
    return found


def groups(keys: Sequence[K]) -> dict[K, list[int]]:
    """The indices that share a key, by key, in order of appearance."""
    members: defaultdict[K, list[int]] = defaultdict(list)
    for at, key in enumerate(keys):
        members[key].append(at)
    return dict(members)


def plain(text: str) -> str:
    """The words of a text in lower case, without punctuation."""
    return " ".join(re.findall(r"\w+", text.casefold())) or text.strip()


def _twin_pairs(questions: Sequence[str], vectors: Vectors) -> list[tuple[int, int]]:
    words = [_words(question) for question in questions]
    codes = [{word for word in some if any(map(str.isdigit, word))} for some in words]
    near = [(one, two) for one, two in _close(vectors, TWIN) if codes[one] == codes[two]]
    return near + _same([frozenset(some) for some in words])


def _words(question: str) -> set[str]:
    words = set(plain(question).split())
    return (words - _FILLERS) or words


def _close(vectors: Vectors, least: float) -> Iterator[tuple[int, int]]:
    for start in range(0, len(vectors), BLOCK):
        likeness = vectors[start : start + BLOCK] @ vectors.T
        for row, second in np.argwhere(likeness >= least):
            first = start + int(row)
            if first < second:
                yield first, int(second)


def _same(keys: Sequence[K]) -> list[tuple[int, int]]:
    return [(group[0], other) for group in groups(keys).values() for other in group[1:]]


def _components(count: int, pairs: Sequence[tuple[int, int]]) -> list[int]:
    """The smallest member of each index's connected component (union-find)."""
    parent = list(range(count))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    for first, second in pairs:
        low, high = sorted((root(first), root(second)))
        parent[high] = low
    return [root(at) for at in range(count)]
