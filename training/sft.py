"""Supervised fine-tuning that keeps the base model's manners: TRL's trainer plus a KL term."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback
from trl import SFTConfig, SFTTrainer

from training.curriculum import Exchange, Step, plan
from training.failures import TrainingFailed
from training.learner import Learner
from training.logits import Batch
from training.replay import Reply
from training.rows import Row
from training.saying import Say
from training.tokens import Encoded

COMPLETE = "complete"  # a checkpoint without this file was being written when the process died


def teach(
    learner: Learner, rows: Sequence[Row], replay: Sequence[Reply], work_dir: Path, say: Say
) -> Sequence[Mapping[str, Any]]:
    """Train `learner` in place, continuing from the newest whole checkpoint in `work_dir`.

    Returns:
        The trainer's log over the whole run, also over what an earlier process trained.

    Raises:
        TrainingFailed: there is nothing to train on, or the loss is not a number.
    """
    say("preparing", 0.0)
    steps = plan(rows, replay, learner.recipe)
    if not steps:
        raise TrainingFailed("there is no example to train on")
    trainer = KlTrainer(learner, steps, work_dir, say)
    trainer.train(resume_from_checkpoint=newest_checkpoint(work_dir))
    log: Sequence[Mapping[str, Any]] = trainer.state.log_history
    return log


class KlTrainer(SFTTrainer):  # type: ignore[misc]
    """SFTTrainer over a planned run: each dataset item is one whole optimizer step."""

    def __init__(self, learner: Learner, steps: Sequence[Step], work_dir: Path, say: Say) -> None:
        self.learner = learner
        super().__init__(
            model=learner.model,
            args=_config(learner, work_dir, len(steps)),
            data_collator=lambda items: items[0],
            train_dataset=Dataset.from_list([item(learner, step) for step in steps]),
            processing_class=learner.tokenizer,
            callbacks=[Progress(say), Whole()],
        )
        self.remove_callback(PrinterCallback)  # `say` speaks

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Cross-entropy of the answers' tokens plus the weighted KL to the base on the replay."""
        with self.accelerator.autocast():
            loss = self._fact_loss(inputs["lessons"])
            self._metrics["train"]["fact_loss"].append(loss.item())
            if inputs["replay"]:
                divergence = self._divergence(inputs)
                self._metrics["train"]["kl"].append(divergence.item())
                loss = loss + self.learner.recipe.kl_weight * divergence
        if not torch.isfinite(loss):
            raise TrainingFailed(f"the loss is not a number at step {self.state.global_step + 1}")
        return loss

    def _fact_loss(self, lessons: list[dict[str, Any]]) -> torch.Tensor:
        batch = self._batch(lessons)
        head = self.learner.head
        logits = head.logits(head.states(batch, noise=self.learner.recipe.noise))
        return torch.nn.functional.cross_entropy(logits.float(), batch["targets"])

    def _divergence(self, inputs: dict[str, Any]) -> torch.Tensor:
        read, bare = ([Encoded(**item) for item in inputs[name]] for name in ("replay", "bare"))
        return self.learner.divergence(read, bare)

    def _batch(self, items: list[dict[str, Any]]) -> Batch:
        return self.learner.batch([Encoded(**item) for item in items])


def item(learner: Learner, step: Step) -> dict[str, Any]:
    """A step as a trainer's dataset holds it: the tokens of `lessons`, of `replay`, and of `bare`,
    which is the replay without its notes."""
    encode = learner.encoder.encode

    def read(exchanges: Sequence[Exchange]) -> list[dict[str, list[int]]]:
        return [vars(encode(e.question, e.answer, ended=e.ended, note=e.note)) for e in exchanges]

    bare = [vars(encode(e.question, e.answer, ended=e.ended)) for e in step.replay]
    return {"lessons": read(step.lessons), "replay": read(step.replay), "bare": bare}


def _config(learner: Learner, work_dir: Path, steps: int) -> SFTConfig:
    recipe = learner.recipe
    on_cpu = not torch.cuda.is_available()
    return SFTConfig(
        output_dir=str(work_dir),
        num_train_epochs=1,  # the plan holds every epoch
        per_device_train_batch_size=1,
        train_sampling_strategy="sequential",
        learning_rate=recipe.lr,
        lr_scheduler_type="cosine",
        warmup_steps=round(recipe.warmup * steps),
        max_grad_norm=recipe.max_grad_norm,
        seed=recipe.seed,
        use_cpu=on_cpu,
        bf16=True,
        gradient_checkpointing=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=max(1, steps // recipe.epochs),
        save_total_limit=2,
        report_to="none",
        disable_tqdm=True,
    )


class Progress(TrainerCallback):  # type: ignore[misc]
    """Says how far the run is."""

    def __init__(self, say: Say, phase: str = "training") -> None:
        self.say = say
        self.phase = phase

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.say(self.phase, state.global_step / state.max_steps)


class Whole(TrainerCallback):  # type: ignore[misc]
    """Marks a checkpoint that was written to its end."""

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        (Path(args.output_dir) / f"checkpoint-{state.global_step}" / COMPLETE).touch()


def newest_checkpoint(work_dir: Path) -> str | None:
    """The newest checkpoint that is whole; those that are not are removed."""
    whole = []
    for found in work_dir.glob("checkpoint-*"):
        if (found / COMPLETE).exists():
            whole.append(found)
        else:
            shutil.rmtree(found)
    newest = max(whole, key=lambda path: int(path.name.split("-")[1]), default=None)
    return None if newest is None else str(newest)
