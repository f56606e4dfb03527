"""Self-distillation: the adapter learns to say by heart what the base says with the answer before
its eyes (SDFT, arXiv 2601.19897).

The student answers a taught question by itself; the teacher, the base with the approved answer in
its prompt, says of each of the student's words what should have come there.

TRL's own SDFTTrainer is not used: it computes logits of padded prompts over the whole vocabulary,
twice, where two thirds of the tokens are prompt; it takes a ready LoRA only with a warning; and its
teacher's prompt would be a second place that builds prompts. This is the trainer of the SFT with
another loss on the facts: the same plan, replay, checkpoints and resume.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from bot.prompt import Note, build
from training.curriculum import Step, plan
from training.failures import TrainingFailed
from training.learner import Learner
from training.logits import kl
from training.replay import Reply
from training.rows import Row
from training.sampling import continued
from training.saying import Say
from training.sft import KlTrainer, newest_checkpoint
from training.tokens import Encoded


def distil(
    learner: Learner, rows: Sequence[Row], replay: Sequence[Reply], work_dir: Path, say: Say
) -> Sequence[Mapping[str, Any]]:
    """Train `learner` in place, as `training.sft.teach` does and with the same promises."""
    say("preparing", 0.0)
    steps = plan(rows, replay, learner.recipe)
    if not steps:
        raise TrainingFailed("there is no example to train on")
    trainer = Distilling(learner, steps, work_dir, say)
    trainer.train(resume_from_checkpoint=newest_checkpoint(work_dir))
    log: Sequence[Mapping[str, Any]] = trainer.state.log_history
    return log


class Distilling(KlTrainer):
    """Learns from what it says itself, corrected word by word by the base with the answer."""

    def __init__(self, learner: Learner, steps: Sequence[Step], work_dir: Path, say: Say) -> None:
        super().__init__(learner, steps, work_dir, say)
        self.steps = steps

    def _fact_loss(self, lessons: list[dict[str, Any]]) -> torch.Tensor:
        """Mean KL(teacher || student) a token of the student's own answers.

        Not the reverse KL, whose gradient is next to nothing where the student would never say the
        fact's own word: and that is where a fact is learned.
        """
        prompts = [list(lesson["prompt"]) for lesson in lessons]
        tokens = self.learner.recipe.own_tokens
        said = continued(self.learner, prompts, greedy=False, max_tokens=tokens)
        own = [Encoded(*both) for both in zip(prompts, said, strict=True)]
        head, batch = self.learner.head, self.learner.batch(own)
        with torch.no_grad(), self.learner.model.disable_adapter():
            told = self.learner.batch(self._told(said))
            teacher = head.logits(head.states(told))
        student = head.logits(head.states(batch, noise=self.learner.recipe.noise))
        return kl(teacher, student).mean()

    def _told(self, said: Sequence[list[int]]) -> list[Encoded]:
        """The student's answers to the same questions, as the teacher reads them."""
        lessons = self.steps[self.state.global_step].lessons
        return [
            Encoded(self._prompt(lesson.question, lesson.answer), answer)
            for lesson, answer in zip(lessons, said, strict=True)
        ]

    def _prompt(self, question: str, answer: str) -> list[int]:
        chat = build(question, note=Note(question, answer))
        encoded = self.learner.encoder.encode_chat([dict(one) for one in chat], answer)
        return encoded.prompt
