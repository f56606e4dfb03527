"""Logits of the answers alone, and how far two models are apart on them.

The LM head is a fifth of a small model's work and prompts are two thirds of the tokens, so scoring
only what is learned is the largest saving there is on a CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from training.tokens import Encoded

IGNORE = -100  # PyTorch's label for a token that is not scored
Batch = dict[str, torch.Tensor]


class UnusualHead(Exception):
    """This model's logits are more than its LM head on its last hidden state."""


def pad(items: Sequence[Encoded], pad_id: int) -> Batch:
    """Pad exchanges on the right: input_ids, attention_mask and labels, each (len(items), longest)."""
    longest = max(len(item.prompt) + len(item.answer) for item in items)
    ids = torch.full((len(items), longest), pad_id)
    mask = torch.zeros((len(items), longest), dtype=torch.long)
    labels = torch.full((len(items), longest), IGNORE)
    for row, item in enumerate(items):
        whole = torch.tensor(item.prompt + item.answer)
        ids[row, : len(whole)] = whole
        mask[row, : len(whole)] = 1
        labels[row, len(item.prompt) : len(whole)] = whole[len(item.prompt) :]
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def targets(batch: Batch) -> torch.Tensor:
    """The answers' token ids, all rows behind each other: (n,)."""
    labels = batch["labels"][:, 1:]
    return labels[labels != IGNORE]


class AnswerHead:
    """Hidden states and logits at the positions that predict the answers' tokens."""

    def __init__(self, model: Any) -> None:
        self.causal = model.get_base_model() if hasattr(model, "get_base_model") else model

    def states(self, batch: Batch) -> torch.Tensor:
        """Last hidden states, (n, hidden size), in the order of `targets`."""
        hidden = self.causal.base_model(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False
        ).last_hidden_state
        picked: torch.Tensor = hidden[:, :-1][batch["labels"][:, 1:] != IGNORE]
        return picked

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Logits over the whole vocabulary, (n, vocabulary)."""
        logits: torch.Tensor = self.causal.get_output_embeddings()(states)
        return logits

    @torch.no_grad()
    def check(self, batch: Batch) -> None:
        """Compare with the model's own logits once.

        Raises:
            UnusualHead: they differ (logit scaling, soft caps): such a model needs its own head here.
        """
        whole = self.causal(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False
        ).logits[:, :-1][batch["labels"][:, 1:] != IGNORE]
        ours = self.logits(self.states(batch))
        if not torch.allclose(whole.float(), ours.float(), rtol=0.05, atol=0.05):
            raise UnusualHead(UnusualHead.__doc__)


def kl(reference: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """KL(reference || model) for each token in nats, from two (n, vocabulary) logits: (n,)."""
    expected = functional.log_softmax(reference.float(), dim=-1)
    given = functional.log_softmax(logits.float(), dim=-1)
    return functional.kl_div(given, expected, reduction="none", log_target=True).sum(-1)
