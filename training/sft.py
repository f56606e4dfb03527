"""Supervised fine-tuning that keeps the base model's manners: TRL's trainer plus a KL term."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback
from trl import SFTConfig, SFTTrainer

from training.curriculum import Step, plan
from training.failures import TrainingFailed
from training.learner import Learner
from training.logits import Batch, kl
from training.replay import Reply
from training.rows import Row
from training.saying import Say
from training.tokens import Encoded

COMPLETE = "complete"  # a checkpoint without this file was being written when the process died
MUST_FALL_TO = 0.9  # of the loss of the first tenth of the steps


def teach(
    learner: Learner, rows: Sequence[Row], replay: Sequence[Reply], work_dir: Path, say: Say
) -> None:
    """Train `learner` in place, continuing from the newest whole checkpoint in `work_dir`.

    Raises:
        TrainingFailed: the loss is not a number, or it did not fall.
    """
    say("preparing", 0.0)
    encode = learner.encoder.encode
    exchanges = [encode(r.prompt, r.answer, ended=r.ended) for r in replay if r.answer]
    kept = Kept(learner, exchanges, say) if learner.recipe.kl_weight else None
    steps = plan(rows, [len(e.prompt) + len(e.answer) for e in exchanges], learner.recipe)
    if not steps:
        raise TrainingFailed("there is no example to train on")
    trainer = KlTrainer(learner, steps, kept, work_dir, say)
    trainer.train(resume_from_checkpoint=newest_checkpoint(work_dir))
    _must_have_fallen(trainer.losses())


class Kept:
    """The base's answers to the replay prompts, with its last hidden states at each answer token.

    From these 576 numbers a token the frozen LM head gives back the base's whole distribution, so
    the KL is exact and costs neither a forward pass of the base nor gigabytes of logits.
    """

    def __init__(self, learner: Learner, exchanges: Sequence[Encoded], say: Say) -> None:
        self.exchanges = exchanges
        self.states: list[torch.Tensor] = [torch.empty(0)] * len(exchanges)
        order = sorted(range(len(exchanges)), key=lambda i: len(exchanges[i].prompt))
        with torch.no_grad(), learner.model.disable_adapter():
            for start in range(0, len(order), 8):
                self._remember(learner, exchanges, order[start : start + 8])
                say("reading the base's own answers", start / len(order))

    def _remember(self, learner: Learner, exchanges: Sequence[Encoded], indices: list[int]) -> None:
        states = learner.head.states(learner.batch([exchanges[i] for i in indices]))
        lengths = [len(exchanges[i].answer) for i in indices]
        for index, part in zip(indices, states.split(lengths), strict=True):
            self.states[index] = part.clone()


class KlTrainer(SFTTrainer):  # type: ignore[misc]
    """SFTTrainer over a planned run: each dataset item is one whole optimizer step."""

    def __init__(
        self, learner: Learner, steps: Sequence[Step], kept: Kept | None, work_dir: Path, say: Say
    ) -> None:
        self.learner = learner
        self.kept = kept
        recipe = learner.recipe
        super().__init__(
            model=learner.model,
            args=_config(learner, work_dir, len(steps)),
            data_collator=lambda items: items[0],
            train_dataset=Dataset.from_list([_item(learner, step) for step in steps]),
            processing_class=learner.tokenizer,
            callbacks=[Progress(say), Whole()],
        )
        self.remove_callback(PrinterCallback)  # `say` speaks
        self.kl_weight = recipe.kl_weight

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Cross-entropy of the answers' tokens plus the weighted KL to the base on the replay."""
        with self.accelerator.autocast():
            facts = self.learner.batch([Encoded(**e) for e in inputs["lessons"]])
            head = self.learner.head
            loss = torch.nn.functional.cross_entropy(
                head.logits(head.states(facts)).float(), facts["targets"]
            )
            self._metrics["train"]["fact_loss"].append(loss.item())
            if self.kept and inputs["replay"]:
                divergence = self._divergence(inputs["replay"])
                self._metrics["train"]["kl"].append(divergence.item())
                loss = loss + self.kl_weight * divergence
        if not torch.isfinite(loss):
            raise TrainingFailed(f"the loss is not a number at step {self.state.global_step + 1}")
        return loss

    def _divergence(self, indices: list[int]) -> torch.Tensor:
        assert self.kept is not None
        batch: Batch = self.learner.batch([self.kept.exchanges[i] for i in indices])
        head = self.learner.head
        with torch.no_grad():
            reference = head.logits(torch.cat([self.kept.states[i] for i in indices]))
        return kl(reference, head.logits(head.states(batch))).mean()

    def losses(self) -> list[float]:
        """The facts' loss over the whole run, also over what an earlier process trained."""
        return [entry["fact_loss"] for entry in self.state.log_history if "fact_loss" in entry]


def _item(learner: Learner, step: Step) -> dict[str, Any]:
    encoded = [learner.encoder.encode(item.question, item.answer) for item in step.lessons]
    return {"lessons": [vars(e) for e in encoded], "replay": list(step.replay)}


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


def _must_have_fallen(losses: Sequence[float]) -> None:
    tenth = max(1, len(losses) // 10)
    first, last = sum(losses[:tenth]) / tenth, sum(losses[-tenth:]) / tenth
    if len(losses) > 1 and last > first * MUST_FALL_TO:
        raise TrainingFailed(f"the loss did not fall: {first:.2f} at first, {last:.2f} at the end")
