"""Comparing models: each answer's likelihood is its own, however answers share a batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn import functional

from training.compare import BATCH, Comparison
from training.logits import Batch
from training.rows import Row
from training.tokens import Encoded

VOCABULARY = 50


class Head:
    """Scores a token by its id alone: the higher, the likelier."""

    def states(self, batch: Batch) -> torch.Tensor:
        return batch["targets"]

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        return torch.arange(VOCABULARY, dtype=torch.float32).repeat(len(states), 1) / 10


class Length:
    """Encodes an answer of n letters a as n tokens n."""

    def encode(self, question: str, answer: str) -> Encoded:
        return Encoded(prompt=[1, 2, len(question)], answer=[len(answer)] * len(answer))


class Alone(Comparison):
    """A comparison without a model behind it."""

    def __init__(self) -> None:
        self.model, self.head = SimpleNamespace(device="cpu"), Head()  # type: ignore[assignment]
        self.encoder = Length()  # type: ignore[assignment]

    @contextmanager
    def _as(self, name: str) -> Iterator[None]:
        yield


def test_each_answer_has_its_own_likelihood() -> None:
    """Answers of different lengths, over several batches: each sum and number is right, and the
    mean over all tokens weighs them by their length."""
    pairs: list[Any] = [("q" * at, "a" * (1 + at % 5)) for at in range(2 * BATCH + 3)]
    expected = functional.log_softmax(torch.arange(VOCABULARY, dtype=torch.float32) / 10, -1)
    found = Alone().likelihoods("new", pairs)
    assert [one.tokens for one in found] == [len(answer) for _, answer in pairs]
    assert [one.mean for one in found] == pytest.approx(
        [float(expected[len(answer)]) for _, answer in pairs]
    )
    total = sum(float(expected[len(answer)]) * len(answer) for _, answer in pairs)
    tokens = sum(len(answer) for _, answer in pairs)
    assert Alone().logprob("new", pairs) == pytest.approx(total / tokens)
    assert Alone().logprob("new", []) == 0.0


def test_a_model_prefers_the_answer_that_is_likelier_a_token() -> None:
    """Longer or shorter does not matter; a row without a rejected answer tells nothing."""
    given = [("aaaa", "aa"), ("aa", "aaaa"), ("aa", None), ("aaa", "aaa")]
    rows = [
        Row(
            example_id=at, cluster=at, split="held_out_wording", question="q", answer=answer,
            rejected=rejected,
        )
        for at, (answer, rejected) in enumerate(given)
    ]  # fmt: skip
    alone = Alone()
    chosen = alone.likelihoods("new", [(row.question, row.answer) for row in rows])
    assert alone.prefers("new", chosen, rows) == [True, False, None, False]
