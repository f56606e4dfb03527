"""Which questions ask alike: twins, clusters, and neighbours that are not quite either.

A *wording* is one way to ask; two questions are *twins* when they ask in nearly the same words; a
*cluster* is everything that was asked about one fact (the same answer, or twins). Groups are
written as a list that gives, for each question, the smallest index in its group.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable, Sequence

from training.neighbours import Pair, Vectors, close_to, groups, links

# Measured with MiniLM on the demo's 250 wordings: no two facts ask alike above 0.87, and only
# near-copies of one question do above 0.90.
TWIN = 0.90
RELATED = 0.75  # above this, a question may well be about the fact of another cluster

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
    return grouped(len(questions), twin_pairs(questions, vectors))


def twin_pairs(questions: Sequence[str], vectors: Vectors) -> list[Pair]:
    """Pairs that link all twins; where questions are very many, nearly all."""
    words = [_words(question) for question in questions]
    pairs = _same([frozenset(some) for some in words])
    for members in groups([_codes(some) for some in words]).values():
        pairs += ((members[one], members[two]) for one, two in links(vectors[members], TWIN))
    return pairs


def overlooked(held: Collection[int], questions: Sequence[str], vectors: Vectors) -> list[Pair]:
    """Twins of which one is in `held` and the other is not: none of them escapes."""
    words = [frozenset(_words(question)) for question in questions]
    codes = [_codes(some) for some in words]
    within = set(held)
    close = close_to(sorted(within), vectors, TWIN)
    pairs = [(one, two) for one, two in close if codes[one] == codes[two]]
    for same in groups(words).values():
        pairs += ((one, two) for one in same if one in within for two in same)
    return [(one, two) for one, two in pairs if two not in within]


def clusters(twin_of: Sequence[int], answers: Sequence[str]) -> list[int]:
    """Group questions about one fact: their answers are the same, or the questions are twins."""
    pairs = _same(twin_of) + _same([plain(answer) for answer in answers])
    return grouped(len(answers), pairs)


def joined(groups_of: Sequence[int], marks: Sequence[str | None]) -> list[int]:
    """Larger groups: those that share a mark are one. None is no mark."""
    marked = [(mark, None) if mark else (None, at) for at, mark in enumerate(marks)]
    return grouped(len(marks), _same(groups_of) + _same(marked))


def related(rows: Sequence[int], cluster_of: Sequence[int], vectors: Vectors) -> set[int]:
    """The clusters of these rows that come close to another: it may be the same fact after all."""
    pairs = close_to(rows, vectors, RELATED)
    return {cluster_of[one] for one, two in pairs if cluster_of[one] != cluster_of[two]}


def plain(text: str) -> str:
    """The words of a text in lower case, without punctuation."""
    return " ".join(re.findall(r"\w+", text.casefold())) or text.strip()


def grouped(count: int, pairs: Sequence[Pair]) -> list[int]:
    """The smallest member of the group that each index is linked to (union-find)."""
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


def _words(question: str) -> set[str]:
    words = set(plain(question).split())
    return (words - _FILLERS) or words


def _codes(words: Collection[str]) -> frozenset[str]:
    return frozenset(word for word in words if any(map(str.isdigit, word)))


def _same(keys: Sequence[Hashable]) -> list[Pair]:
    return [(group[0], other) for group in groups(keys).values() for other in group[1:]]
