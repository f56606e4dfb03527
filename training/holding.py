"""Preference trainers that stay near the base: TRL's loss plus the KL term that the SFT has.

Without it a preference step undoes what the replay kept: it sees facts alone, and nothing tells it
what must stay as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import PrinterCallback

from training.curriculum import plan
from training.failures import TrainingFailed
from training.learner import Learner
from training.replay import Reply
from training.rows import Row
from training.saying import Say
from training.sft import Progress, item
from training.tokens import Encoded

Kept = list[tuple[list[Encoded], list[Encoded]]]  # what each step replays, and without its notes


def replayed(learner: Learner, rows: Sequence[Row], replay: Sequence[Reply]) -> Kept:
    """What the steps of an SFT replay, in their order."""
    steps = [item(learner, step) for step in plan(rows, replay, learner.recipe)]
    return [(_encoded(one["replay"]), _encoded(one["bare"])) for one in steps if one["replay"]]


def _encoded(items: Sequence[dict[str, Any]]) -> list[Encoded]:
    return [Encoded(**one) for one in items]


class Holding:
    """Mixed into a TRL trainer: adds the weighted KL to the base on what is replayed."""

    state: Any
    accelerator: Any
    learner: Learner
    kept: Kept

    def hold(self, learner: Learner, kept: Kept, say: Say, phase: str) -> None:
        """Train like this; called once, before `train`."""
        self.learner, self.kept = learner, kept
        self.add_callback(Progress(say, phase))  # type: ignore[attr-defined]
        self.remove_callback(PrinterCallback)  # type: ignore[attr-defined]

    def compute_loss(self, *args: Any, **options: Any) -> Any:
        """The trainer's own loss, held.

        Raises:
            TrainingFailed: it is not a number.
        """
        result = super().compute_loss(*args, **options)  # type: ignore[misc]
        own, *others = result if isinstance(result, tuple) else (result,)
        loss = own + self._held()
        if not torch.isfinite(loss):
            raise TrainingFailed("the preference loss is not a number")
        return (loss, *others) if others else loss

    def _held(self) -> torch.Tensor | float:
        if not self.kept:
            return 0.0
        step = self.kept[self.state.global_step % len(self.kept)]
        with self.accelerator.autocast():
            return self.learner.recipe.kl_weight * self.learner.divergence(*step)


def settings(learner: Learner) -> dict[str, Any]:
    """What the configurations of all preference trainers have in common.

    Short trainings, so they keep no checkpoints: after a crash they begin again from the end of
    the SFT and come to the same result.
    """
    recipe = learner.recipe
    return {
        "num_train_epochs": 1,
        "max_length": recipe.max_prompt_tokens + recipe.max_answer_tokens,
        "seed": recipe.seed,
        "use_cpu": not torch.cuda.is_available(),
        "bf16": True,
        "gradient_checkpointing": False,
        "dataloader_pin_memory": False,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


def train(learner: Learner, trainer: Any) -> None:
    """Train, and drop the copy of the adapter that was the reference: it must not be saved."""
    trainer.train()
    learner.model.delete_adapter("ref")
