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

Batch = dict[str, torch.Tensor]


class UnusualHead(Exception):
    """This model's logits are more than its LM head on its last hidden state."""


def pack(items: Sequence[Encoded]) -> Batch:
    """Lay exchanges behind each other in one sequence, after the beginning that all prompts share.

    The system prompt is read once a batch instead of once a row, and nothing is padded: 40 % fewer
    tokens for short questions, with the same result. Each token sees the shared beginning and its
    own row alone, at the positions it would have had there.

    Returns:
        input_ids and position_ids (1, s), attention_mask (1, 1, s, s, added to the scores), and
        for the n answer tokens: `targets`, their ids, and `before`, the positions predicting them.
    """
    shared = _shared(items)
    ids, places, owners = items[0].prompt[:shared], list(range(shared)), [-1] * shared
    before: list[int] = []
    for owner, item in enumerate(items):
        own = item.prompt[shared:] + item.answer
        first = len(ids) + len(item.prompt) - shared - 1
        before += range(first, first + len(item.answer))
        places += range(shared, shared + len(own))
        owners += [owner] * len(own)
        ids += own
    return {
        "input_ids": torch.tensor([ids]),
        "position_ids": torch.tensor([places]),
        "attention_mask": _mask(torch.tensor(owners)),
        "before": torch.tensor(before),
        "targets": torch.tensor([token for item in items for token in item.answer]),
    }


def _shared(items: Sequence[Encoded]) -> int:
    # One token of each prompt stays its own: it predicts the answer's first.
    longest = min(len(item.prompt) for item in items) - 1
    first = items[0].prompt
    same = (all(item.prompt[i] == first[i] for item in items) for i in range(longest))
    return next((i for i, equal in enumerate(same) if not equal), longest)


def _mask(owners: torch.Tensor) -> torch.Tensor:
    seen = (owners[:, None] == owners[None, :]) | (owners[None, :] == -1)
    seen = seen.tril()
    lowest = torch.finfo(torch.bfloat16).min
    return torch.zeros(seen.shape, dtype=torch.bfloat16).masked_fill(~seen, lowest)[None, None]


class AnswerHead:
    """Hidden states and logits at the positions that predict the answers' tokens."""

    def __init__(self, model: Any) -> None:
        self.causal = model.get_base_model() if hasattr(model, "get_base_model") else model

    def states(self, batch: Batch, *, noise: float = 0.0) -> torch.Tensor:
        """Last hidden states, (n, hidden size), in the order of the batch's targets.

        Args:
            noise: NEFTune's alpha: so much uniform noise on what is read (arXiv 2310.05914).
        """
        words = self.causal.get_input_embeddings()(batch["input_ids"])
        if noise:
            # The paper's L is the length of one row, not of a whole packed sequence.
            length = int(batch["position_ids"].max()) + 1
            size = noise / (length * words.shape[-1]) ** 0.5
            words = words + torch.empty_like(words).uniform_(-size, size)
        hidden = self.causal.base_model(
            inputs_embeds=words,
            position_ids=batch["position_ids"],
            attention_mask=batch["attention_mask"],
            use_cache=False,
        ).last_hidden_state
        states: torch.Tensor = hidden[0, batch["before"]]
        return states

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Logits over the whole vocabulary, (n, vocabulary)."""
        logits: torch.Tensor = self.causal.get_output_embeddings()(states)
        return logits

    def check(self, item: Encoded, other: Encoded) -> None:
        """Compare with the model's own logits for one exchange, read alone.

        Raises:
            UnusualHead: they differ (logit scaling, soft caps, attention without masks): such a
                model needs its own way here.
        """
        ids = torch.tensor([other.prompt + other.answer], device=self.causal.device)
        both = {name: tensor.to(ids.device) for name, tensor in pack([item, other]).items()}
        with torch.no_grad():
            own = self.causal(input_ids=ids, use_cache=False).logits[0, len(other.prompt) - 1 : -1]
            ours = self.logits(self.states(both)[-len(other.answer) :])
        if kl(own, ours).mean() > 0.02:
            raise UnusualHead(UnusualHead.__doc__)


def kl(reference: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """KL(reference || model) for each token in nats, from two (n, vocabulary) logits: (n,)."""
    expected = functional.log_softmax(reference.float(), dim=-1)
    given = functional.log_softmax(logits.float(), dim=-1)
    return functional.kl_div(given, expected, reduction="none", log_target=True).sum(-1)
