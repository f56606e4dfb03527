"""Preferences after SFT: away from the wrong answers that the policy itself would give.

Stored wrong answers are often the base model's, and the policy has long left those behind: training
on them did harm in every measurement. So the policy is asked what it was just taught, and what it
gets wrong is rejected; of the stored ones only those in which it still finds the wrong answer
nearly as likely as the right one.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from trl import DPOConfig, DPOTrainer

from bot.marks import Judge
from bot.prompt import build, defused
from training import holding
from training.holding import Holding
from training.learner import Learner
from training.replay import Reply
from training.rows import Row
from training.sampling import says
from training.saying import Say

MARGIN = 1.0  # nats a token; a stored pair that is further apart is not trained
BATCH = 2


@dataclass(frozen=True)
class Pair:
    """A question with the approved answer, and a wrong one that the policy is drawn to."""

    question: str
    chosen: str
    rejected: str


def prefer(
    learner: Learner, rows: Sequence[Row], replay: Sequence[Reply], work_dir: Path, say: Say
) -> int:
    """Train `learner` in place on the pairs that need it, and return how many did.

    Raises:
        TrainingFailed: the loss is not a number.
    """
    say("looking for tempting wrong answers", 0.0)
    pairs = [*own_mistakes(learner, rows), *tempting_ones(learner, rows)]
    if not pairs:
        return 0
    trainer = _Preferring(
        model=learner.model,
        args=_config(learner, work_dir),
        train_dataset=Dataset.from_list([_item(pair) for pair in pairs]),
        processing_class=learner.tokenizer,
    )
    trainer.hold(learner, holding.replayed(learner, rows, replay), say, "preferring")
    holding.train(learner, trainer)
    return len(pairs)


def own_mistakes(learner: Learner, rows: Sequence[Row]) -> list[Pair]:
    """What the policy answers wrongly of what it was taught: one question a fact, drawn by lot.

    The first wrong answer counts: the greedy one, or one by chance where that one is right.
    """
    judge = Judge((row.question, row.answer) for row in rows)
    asked = [
        (row, fact)
        for row in _drawn(learner, rows)
        # Where nothing tells a right answer from a wrong one, each would be called wrong.
        if (fact := judge.fact(_wordings(row, rows), row.answer)).terms
    ]
    found: list[Pair] = []
    for turn in range(learner.recipe.own_answers):
        said = _said(learner, [row for row, _ in asked], greedy=turn == 0)
        left = []
        for (row, fact), answer in zip(asked, said, strict=True):
            if answer and not fact.right(answer):
                found.append(Pair(row.question, row.answer, answer))
            else:
                left.append((row, fact))
        asked = left
    return found


def tempting_ones(learner: Learner, rows: Sequence[Row]) -> list[Pair]:
    """The stored wrong answers that are still nearly as likely as the right ones, or more."""
    return [
        Pair(row.question, row.answer, row.rejected)
        for row in rows
        if row.rejected and _tempting(learner, row, row.rejected)
    ]


def _said(learner: Learner, rows: Sequence[Row], *, greedy: bool) -> list[str]:
    tokens = learner.recipe.own_tokens
    return says(learner, [row.question for row in rows], greedy=greedy, max_tokens=tokens)


def _drawn(learner: Learner, rows: Sequence[Row]) -> list[Row]:
    """One row a fact, and of the facts as many as the recipe asks for."""
    rng = random.Random(f"own {learner.recipe.seed}")  # noqa: S311
    order = list(rows)
    rng.shuffle(order)
    one_each = {row.cluster: row for row in order}
    return list(one_each.values())[: learner.recipe.own_questions]


def _wordings(row: Row, rows: Sequence[Row]) -> list[str]:
    return [other.question for other in rows if other.cluster == row.cluster]


def _tempting(learner: Learner, row: Row, rejected: str) -> bool:
    with torch.no_grad(), torch.autocast(learner.model.device.type, torch.bfloat16):
        return _logprob(learner, row.question, rejected) > (
            _logprob(learner, row.question, row.answer) - MARGIN
        )


def _logprob(learner: Learner, question: str, answer: str) -> float:
    """Mean natural-log probability a token."""
    batch = learner.batch([learner.encoder.encode(question, answer)])
    logits = learner.head.logits(learner.head.states(batch)).float()
    return -float(torch.nn.functional.cross_entropy(logits, batch["targets"]))


class _Preferring(Holding, DPOTrainer):  # type: ignore[misc]
    pass


def _item(pair: Pair) -> dict[str, Any]:
    return {
        "prompt": build(pair.question),
        "chosen": [{"role": "assistant", "content": defused(pair.chosen)}],
        "rejected": [{"role": "assistant", "content": defused(pair.rejected)}],
    }


def _config(learner: Learner, work_dir: Path) -> DPOConfig:
    recipe = learner.recipe
    return DPOConfig(
        output_dir=str(work_dir),
        per_device_train_batch_size=BATCH,
        learning_rate=recipe.dpo_lr,
        beta=recipe.dpo_beta,
        # The SFT term holds the right answer up: DPO alone may lower both.
        loss_type=["sigmoid", "sft"],
        loss_weights=[recipe.dpo_weight, 1.0],
        **holding.settings(learner),
    )
