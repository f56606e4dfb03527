"""Which examples an answer may have been learned from: evidence from the words, no proof."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log1p

from bot.embedder import Embedder
from bot.quality import normalised
from bot.store.schema import Example

# Texts are embedded for so many at most, those with most words in common: embedding is slow, and
# what shares no rare word with an answer has hardly taught it.
LOOKED_AT = 200
SHOWN = 3  # shared words


@dataclass(frozen=True)
class Suspect:
    """An example, and how near it comes to a question and its answer: each figure 0 to 1."""

    example: Example
    question: float  # cosine of the two questions
    answer: float  # cosine of the two answers
    words: float  # share of the answer's words that the example's has, rare ones weighing most
    shared: tuple[str, ...]  # the rarest of them

    @property
    def score(self) -> float:
        """What suspects are ordered by."""
        return (self.question + self.answer + self.words) / 3


def rank(
    question: str, answer: str, examples: Sequence[Example], embedder: Embedder, *, most: int
) -> list[Suspect]:
    """The `most` examples that come nearest, nearest first; those without words are passed over."""
    told = [example for example in examples if example.answer]
    weights = _weights(told)
    said = _words(answer)

    def in_common(example: Example) -> float:
        asked = _weight(_words(question) & _words(example.question), weights)
        return asked + _weight(said & _words(example.answer), weights)

    near = heapq.nlargest(LOOKED_AT, told, key=in_common)
    questions = _cosines(embedder, question, [example.question for example in near])
    answers = _cosines(embedder, answer, [example.answer for example in near])
    found = [
        _suspect(example, asked, like, said, weights)
        for example, asked, like in zip(near, questions, answers, strict=True)
    ]
    return heapq.nlargest(most, found, key=lambda one: (one.score, one.example.id or 0))


def _suspect(
    example: Example, asked: float, like: float, said: set[str], weights: dict[str, float]
) -> Suspect:
    shared = said & _words(example.answer)
    whole = _weight(said, weights)
    rarest = sorted(shared, key=lambda word: (-weights.get(word, 0.0), word))
    return Suspect(
        example, asked, like, _weight(shared, weights) / whole if whole else 0.0,
        tuple(rarest[:SHOWN]),
    )  # fmt: skip


def _cosines(embedder: Embedder, text: str, others: Sequence[str]) -> list[float]:
    if not others:
        return []
    rows = embedder.embed([text, *others])
    return [max(0.0, float(cosine)) for cosine in rows[1:] @ rows[0]]


def _weights(examples: Sequence[Example]) -> dict[str, float]:
    """Each word by how few of the answers have it."""
    found = Counter(word for example in examples for word in _words(example.answer))
    return {word: log1p(len(examples) / count) for word, count in found.items()}


def _weight(words: Iterable[str], weights: dict[str, float]) -> float:
    rarest = max(weights.values(), default=1.0)  # of a word that no example has
    return sum(weights.get(word, rarest) for word in words)


def _words(text: str) -> set[str]:
    return set(normalised(text).split())
