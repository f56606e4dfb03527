"""Preferences after SFT: away from wrong answers that staff replaced, where they still tempt.

Rejected answers are often the base model's, and the policy has long left those behind: training
on them did harm in every measurement. So only the pairs are used in which the policy still finds
the rejected answer nearly as likely as the right one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback
from trl import DPOConfig, DPOTrainer

from bot.prompt import build, defused
from training.failures import TrainingFailed
from training.learner import Learner
from training.rows import Row
from training.saying import Say
from training.sft import Progress

MARGIN = 1.0  # nats a token; a pair that is further apart is not trained
BATCH = 2


def prefer(learner: Learner, rows: Sequence[Row], work_dir: Path, say: Say) -> int:
    """Train `learner` in place on the pairs that need it, and return how many did.

    Short, so it keeps no checkpoints: after a crash it begins again from the end of the SFT and
    comes to the same result.

    Raises:
        TrainingFailed: the loss is not a number.
    """
    say("looking for tempting wrong answers", 0.0)
    pairs = [row for row in rows if row.rejected and tempting(learner, row, row.rejected)]
    if not pairs:
        return 0
    trainer = _Preferring(
        model=learner.model,
        args=_config(learner, work_dir),
        train_dataset=Dataset.from_list([_pair(row) for row in pairs]),
        processing_class=learner.tokenizer,
        callbacks=[Progress(say, "preferring")],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    # The reference policy was a copy of the adapter; it must not be saved with it.
    learner.model.delete_adapter("ref")
    return len(pairs)


def tempting(learner: Learner, row: Row, rejected: str) -> bool:
    """Whether the policy finds the rejected answer nearly as likely as the right one, or more."""
    with torch.no_grad(), torch.autocast(learner.model.device.type, torch.bfloat16):
        return _logprob(learner, row.question, rejected) > (
            _logprob(learner, row.question, row.answer) - MARGIN
        )


def _logprob(learner: Learner, question: str, answer: str) -> float:
    """Mean natural-log probability a token."""
    batch = learner.batch([learner.encoder.encode(question, answer)])
    logits = learner.head.logits(learner.head.states(batch)).float()
    return -float(torch.nn.functional.cross_entropy(logits, batch["targets"]))


class _Preferring(DPOTrainer):  # type: ignore[misc]
    def compute_loss(self, *args: Any, **options: Any) -> Any:
        result = super().compute_loss(*args, **options)
        loss = result[0] if isinstance(result, tuple) else result
        if not torch.isfinite(loss):
            raise TrainingFailed("the preference loss is not a number")
        return result


def _pair(row: Row) -> dict[str, Any]:
    return {
        "prompt": build(row.question),
        "chosen": [{"role": "assistant", "content": defused(row.answer)}],
        "rejected": [{"role": "assistant", "content": defused(row.rejected or "")}],
    }


def _config(learner: Learner, work_dir: Path) -> DPOConfig:
    recipe = learner.recipe
    return DPOConfig(
        output_dir=str(work_dir),
        num_train_epochs=1,
        per_device_train_batch_size=BATCH,
        learning_rate=recipe.dpo_lr,
        beta=recipe.dpo_beta,
        # The SFT term holds the right answer up: DPO alone may lower both.
        loss_type=["sigmoid", "sft"],
        loss_weights=[recipe.dpo_weight, 1.0],
        max_length=recipe.max_prompt_tokens + recipe.max_answer_tokens,
        seed=recipe.seed,
        use_cpu=not torch.cuda.is_available(),
        bf16=True,
        gradient_checkpointing=False,
        dataloader_pin_memory=False,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
