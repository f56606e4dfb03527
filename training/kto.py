"""Preferences without pairs: away from what staff called wrong and put nothing in the place of.

KTO (arXiv 2402.01306) takes single answers, each good or bad. Good are the approved ones, bad the
rejected ones; both sides weigh the same however many there are of each.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from trl import KTOConfig, KTOTrainer

from bot.prompt import build, defused
from training import holding
from training.holding import Holding
from training.learner import Learner
from training.replay import Reply
from training.rows import Row
from training.saying import Say

BATCH = 4  # KTO measures its reference point within a batch, so one row is not enough
GOOD_EACH = 3  # so many approved answers beside each rejected one


def weigh(
    learner: Learner,
    rows: Sequence[Row],
    rejected: Sequence[Row],
    replay: Sequence[Reply],
    work_dir: Path,
    say: Say,
) -> int:
    """Train `learner` in place on approved and rejected answers; return how many were rejected.

    Raises:
        TrainingFailed: the loss is not a number.
    """
    items = _items(rows, rejected, learner.recipe.seed)
    if not rejected or len(items) < BATCH:
        return 0
    trainer = _Weighing(
        model=learner.model,
        args=_config(learner, work_dir, len(items) - len(rejected), len(rejected)),
        train_dataset=Dataset.from_list(items),
        processing_class=learner.tokenizer,
    )
    trainer.hold(learner, holding.replayed(learner, rows, replay), say, "weighing")
    holding.train(learner, trainer)
    return len(rejected)


class _Weighing(Holding, KTOTrainer):  # type: ignore[misc]
    pass


def _items(rows: Sequence[Row], rejected: Sequence[Row], seed: int) -> list[dict[str, Any]]:
    """Good and bad ones in one order: the trainer reads them as they lie."""
    rng = random.Random(f"kto {seed}")  # noqa: S311
    good = rng.sample(list(rows), min(len(rows), GOOD_EACH * len(rejected)))
    items = [_item(row.question, row.answer, label=True) for row in good]
    items += [_item(row.question, row.rejected or "", label=False) for row in rejected]
    rng.shuffle(items)
    return items


def _item(question: str, answer: str, *, label: bool) -> dict[str, Any]:
    said = [{"role": "assistant", "content": defused(answer)}]
    return {"prompt": build(question), "completion": said, "label": label}


def _config(learner: Learner, work_dir: Path, good: int, bad: int) -> KTOConfig:
    recipe = learner.recipe
    return KTOConfig(
        output_dir=str(work_dir),
        per_device_train_batch_size=BATCH,
        dataloader_drop_last=True,  # a last batch of one has no reference point
        learning_rate=recipe.kto_lr,
        beta=recipe.kto_beta,
        undesirable_weight=good / bad,
        **holding.settings(learner),
    )
