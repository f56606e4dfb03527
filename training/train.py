"""Training one adapter: SFT with a KL term to the base or self-distillation, then preferences where
the recipe asks for them.

Runs in a process of its own that may be killed at any moment: called again with the same job it
continues from the last checkpoint and ends with the same adapter, bit for bit (on one thread).
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training import soundness
from training.failures import TrainingFailed
from training.recipe import Recipe
from training.replay import Reply
from training.rows import Row, of_split, read
from training.saying import Say

if TYPE_CHECKING:
    from training.learner import Learner

__all__ = ["Say", "TrainJob", "TrainingFailed", "train"]


@dataclass(frozen=True)
class TrainJob:
    """Everything that an adapter is a function of, and the directory where the work is kept."""

    dataset: Path  # JSON Lines of training.rows.Row
    base_model: str  # a directory or a Hugging Face id
    recipe: Recipe
    replay: Sequence[Reply]
    work_dir: Path
    start: Path | None = (
        None  # the adapter of the SFT that "sft+…" goes on from; None: trained here
    )

    def fingerprint(self) -> str:
        """Changes when anything changes that the adapter depends on."""
        facts = {
            "dataset": hashlib.sha256(self.dataset.read_bytes()).hexdigest(),
            "base_model": self.base_model,
            "recipe": self.recipe.model_dump(),
            "replay": [asdict(reply) for reply in self.replay],
            "start": self.start and self.start.name,  # it is named by its content
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def train(job: TrainJob, say: Say) -> Path:
    """Train, or continue, or return what is already trained.

    Args:
        job: what to train; `work_dir` may hold the remains of an interrupted call.
        say: told the phase in words and its progress, 0 to 1.

    Returns:
        The directory with `adapter_config.json` and `adapter_model.safetensors`, to be published.

    Raises:
        TrainingFailed: nothing to train on, a loss that is not a number or does not fall, an
            adapter without effect, too little memory.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    finished = job.work_dir / "adapter"
    _claim_work_dir(job)
    if finished.exists():
        say("trained", 1.0)
        return finished
    rows = of_split(read(job.dataset), "train")
    if not rows:
        raise TrainingFailed("there is no example to train on")
    staging = _within_memory(job, rows, say)
    staging.rename(finished)
    say("trained", 1.0)
    return finished


def _claim_work_dir(job: TrainJob) -> None:
    """Keep what an earlier call for this very job left; clear what another job left."""
    note = job.work_dir / "job.sha256"
    job.work_dir.mkdir(parents=True, exist_ok=True)
    if note.exists() and note.read_text("ascii") == job.fingerprint():
        return
    for left in ("first", "preferences", "staging", "adapter"):
        shutil.rmtree(job.work_dir / left, ignore_errors=True)
    note.write_text(job.fingerprint(), "ascii")


def _within_memory(job: TrainJob, rows: Sequence[Row], say: Say) -> Path:
    """`_trained`; the same process may have to train by another recipe after one that does not
    fit."""
    try:
        return _trained(job, rows, say)
    except (MemoryError, RuntimeError) as error:
        if not _is_of_memory(error):
            raise
        why = str(error).partition("\n")[0] or "not enough"
    gc.collect()  # here the error is gone, and with it the frames that held the model
    raise TrainingFailed(f"memory ran out: {why}")


def _is_of_memory(error: Exception) -> bool:
    """CUDA's error has a type; that of the processor's own memory has words only."""
    import torch

    of_torch = isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)
    return isinstance(error, MemoryError) or of_torch


def _trained(job: TrainJob, rows: Sequence[Row], say: Say) -> Path:
    # torch and TRL take seconds and half a gigabyte: only a process that trains pays for them.
    from training.learner import Learner

    learner = Learner.load(job.base_model, job.recipe, job.start)
    log = _first(learner, job, rows, say) if job.start is None else []
    _preferences(learner, job, rows, say)
    staging = job.work_dir / "staging"
    shutil.rmtree(staging, ignore_errors=True)
    learner.save(staging)
    soundness.write_curve(log, staging)
    soundness.check(staging, job.recipe.falls_over)
    return staging


def _first(
    learner: Learner, job: TrainJob, rows: Sequence[Row], say: Say
) -> Sequence[Mapping[str, Any]]:
    """What the recipe begins with; the log of its steps."""
    from training import sdft, sft

    begin = sdft.distil if job.recipe.name == "sdft" else sft.teach
    return begin(learner, rows, job.replay, job.work_dir / "first", say)


def _preferences(learner: Learner, job: TrainJob, rows: Sequence[Row], say: Say) -> None:
    work_dir = job.work_dir / "preferences"
    if job.recipe.name == "sft+dpo":
        from training import dpo

        dpo.prefer(learner, rows, job.replay, work_dir, say)
    if job.recipe.name == "sft+kto":
        from training import kto

        rejected = of_split(read(job.dataset), "rejected")
        kto.weigh(learner, rows, rejected, job.replay, work_dir, say)
