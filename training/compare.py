"""Adapters against their base in torch: log-probabilities and KL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoTokenizer

from serving.client import BASE
from training.comparing import Likelihood
from training.learner import load_base, prepare
from training.logits import AnswerHead, Batch, kl, pack
from training.recipe import Recipe
from training.replay import Reply
from training.rows import Row
from training.tokens import Encoded, Encoder

BATCH = 8


class Comparison:
    """One base model with adapters on it, all in bfloat16 as they are served."""

    def __init__(self, base_model: str, adapters: Mapping[str, Path], recipe: Recipe) -> None:
        prepare(recipe.seed)
        tokenizer = AutoTokenizer.from_pretrained(base_model)
        self.encoder = Encoder(
            tokenizer, max_prompt=recipe.max_prompt_tokens, max_answer=recipe.max_answer_tokens
        )
        self.model = _with_adapters(load_base(base_model), adapters)
        self.head = AnswerHead(self.model)

    def logprob(self, name: str, pairs: Sequence[tuple[str, str]]) -> float:
        """Mean natural-log probability a token of the answers to the questions; 0 without any."""
        found = self.likelihoods(name, pairs)
        tokens = sum(one.tokens for one in found)
        return sum(one.total for one in found) / tokens if tokens else 0.0

    def likelihoods(self, name: str, pairs: Sequence[tuple[str, str]]) -> list[Likelihood]:
        """The natural-log probability of each answer to its question."""
        items = [self.encoder.encode(question, answer) for question, answer in pairs]
        scores: list[float] = []
        with self._as(name):
            for batch in self._batches(items):
                logits = self.head.logits(self.head.states(batch)).float()
                picked = logits.log_softmax(-1).gather(1, batch["targets"][:, None])
                scores += picked[:, 0].tolist()
        ends = accumulate(len(item.answer) for item in items)
        return [
            Likelihood(sum(scores[end - len(item.answer) : end]), len(item.answer))
            for item, end in zip(items, ends, strict=True)
        ]

    def prefers(
        self, name: str, chosen: Sequence[Likelihood], rows: Sequence[Row]
    ) -> list[bool | None]:
        """Whether the approved answers are likelier a token than the rejected ones.

        Args:
            chosen: how likely the approved answers of the rows are.

        Returns:
            None for a row that has no rejected answer.
        """
        pairs = [(row.question, row.rejected) for row in rows if row.rejected]
        rejected = iter(self.likelihoods(name, pairs))
        return [
            chosen[at].mean > next(rejected).mean if row.rejected else None
            for at, row in enumerate(rows)
        ]

    def kl(self, name: str, replies: Sequence[Reply], say: Callable[[float], None]) -> float:
        """Mean KL(base || adapter) a token over the base's own answers, in nats."""
        encode = self.encoder.encode
        items = [encode(r.prompt, r.answer, ended=r.ended) for r in replies if r.answer]
        total, tokens = 0.0, 0
        for batch in self._batches(items):
            with self._as(BASE):
                reference = self.head.logits(self.head.states(batch))
            with self._as(name):
                apart = kl(reference, self.head.logits(self.head.states(batch)))
            total, tokens = total + apart.sum().item(), tokens + len(apart)
            say(tokens / sum(len(item.answer) for item in items))
        return total / tokens if tokens else 0.0

    def _batches(self, items: Sequence[Encoded]) -> Iterator[Batch]:
        for start in range(0, len(items), BATCH):
            packed = pack(items[start : start + BATCH])
            yield {name: tensor.to(self.model.device) for name, tensor in packed.items()}

    @contextmanager
    def _as(self, name: str) -> Iterator[None]:
        if name == BASE:
            with torch.no_grad(), self.model.disable_adapter():
                yield
        else:
            self.model.set_adapter(name)
            with torch.no_grad():
                yield


def _with_adapters(base: Any, adapters: Mapping[str, Path]) -> Any:
    (first, path), *others = adapters.items()
    model = PeftModel.from_pretrained(base, str(path), adapter_name=first)
    for name, path in others:
        model.load_adapter(str(path), adapter_name=name)
    return model.to(torch.bfloat16).eval()
