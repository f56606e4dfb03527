"""The trainer process with a training and a comparison that take no time, as `notes.txt` tells.

`python -m tests.training.alone_cycle RUN FENCE`, as the worker starts the real one. `script.json`
in the data directory has a word for each training: "fine", "die" (SIGKILL to itself), "long" (tells
of its progress until it is stopped); and for each comparison: "promote" (meanwhile another adapter
goes live). Each leaves a line: what it was, and whether a server answered.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from bot.store.database import open_engine
from serving.adapters import AdapterFile
from tests.training import published, stage
from training.comparing import Compared
from training.cycle import main
from training.parts import Parts
from training.settings import WorkerSettings
from training.train import Say, TrainJob


class Scripted:
    """A run's parts, of which the script says how they go."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.settings = settings
        self.engine = open_engine(settings.database_url)
        self.base = Path(settings.base_model)

    def parts(self) -> Parts:
        """As `training.parts.real_parts` makes them."""
        return stage.parts(
            self.settings, self.engine, self.base, train=self.train, compare=self.compare
        )

    def train(self, job: TrainJob, say: Say) -> Path:
        self._note(f"train {job.recipe.name}")
        word = self._word()
        if word == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        while word == "long":
            say("training", 0.5)
            time.sleep(0.05)
        return stage.fake_train(self.base, seed=len(job.recipe.name))(job, say)

    def compare(self, base: str, candidate: AdapterFile, live: str, *_: Any) -> Compared:
        self._note(f"compare with {'base' if live == 'base' else 'another'}")
        if self._word() == "promote":
            other = published.published(self.base, self.settings.adapters_dir, seed=77)
            published.live(self.engine, other)
        return stage.COMPARED

    def _word(self) -> str:
        script = self.settings.data_dir / "script.json"
        word, *others = json.loads(script.read_text()) or ["fine"]
        script.write_text(json.dumps(others))
        return str(word)

    def _note(self, what: str) -> None:
        try:
            status = httpx.get(f"{self.settings.vllm_urls[0]}/health", trust_env=False).status_code
        except httpx.HTTPError:
            status = 0
        with (self.settings.data_dir / "notes.txt").open("a") as notes:
            notes.write(f"{what}, {'served' if status else 'alone'}\n")


def run(arguments: Sequence[str]) -> int:
    """Play a run."""
    return main(arguments, lambda settings: Scripted(settings).parts())


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
