"""Mynah's own training with its default recipe, but for the epochs that a budget leaves it.

Run as a child: `python -m deploy.bench.learning.mynah_sft JOB.json`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from training.recipe import Recipe
from training.replay import Reply
from training.train import TrainJob, train


def recipe(seed: int, epochs: int) -> Recipe:
    """The default recipe; its answer to another number of epochs is the same in all else."""
    return Recipe(seed=seed, epochs=epochs)


def main(path: Path) -> None:
    """Train what the job file says."""
    job = json.loads(path.read_text("utf-8"))
    replay = [Reply(**one) for one in json.loads(Path(job["replay"]).read_text("utf-8"))]
    work = TrainJob(
        dataset=Path(job["rows"]),
        base_model=job["base"],
        recipe=recipe(job["seed"], job["epochs"]),
        replay=replay,
        work_dir=path.parent / "mynah",
    )
    train(work, lambda phase, share: print(f"{phase} {share:.0%}", flush=True)).rename(job["out"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
