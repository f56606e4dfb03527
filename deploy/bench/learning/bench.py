"""Rows, one after the other, each from what is kept or anew."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bot.embedder import PACKAGED, Embedder, open_embedder
from deploy.bench.learning.factory import NoFactory
from deploy.bench.learning.house import House
from deploy.bench.learning.lessons import DATASETS, Lessons, there
from deploy.bench.learning.measuring import Measuring, kl
from deploy.bench.learning.report import Key, Report
from deploy.bench.learning.schooling import SPENT, School
from deploy.bench.learning.speaker import Speaker
from deploy.bench.learning.spending import ChildFailed
from deploy.bench.learning.systems import SYSTEMS, System, measured, spoken, taught, trained
from serving.base import base_spec

Say = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """One row to be measured."""

    system: System
    dataset: str
    seed: int


def chosen(systems: Sequence[str], datasets: Sequence[str], seeds: Sequence[int]) -> list[Job]:
    """The rows in their order: a whole table of one seed before the next seed begins. What is not
    trained has one row, of seed 0."""
    return [
        Job(system, dataset, seed)
        for seed in seeds
        for dataset in datasets
        for system in SYSTEMS
        if system.name in systems and (system.trainer or seed == 0)
    ]


class Bench:
    """Measures rows with one base model and one budget, into the report at `path`."""

    def __init__(self, base: Path, path: Path, budget_s: float, say: Say) -> None:
        self.base, self.spec = base, base_spec(base)
        self.budget_s, self.say = budget_s, say
        self.lessons: Mapping[str, Lessons] = {}
        self.report = Report(path, self.fingerprint)

    def measure(self, jobs: Sequence[Job]) -> None:
        """Measure the rows that are not there yet; one that cannot be is a row with the reason."""
        for number, job in enumerate(jobs, 1):
            name = f"{number} of {len(jobs)}: {job.dataset} {job.system.name}, seed {job.seed}"
            key = (job.dataset, job.system.name, job.seed, self.budget_s)
            if self.report.find(key) is not None:
                self.say(f"  {name}: known")
                continue
            self.say(f"▶ {name}")
            row = {
                "system": job.system.name, "dataset": job.dataset, "seed": job.seed,
                "budget_s": self.budget_s, "fingerprint": self.fingerprint(key),
                **self._figures(job, self._lessons(job.dataset)),
            }  # fmt: skip
            self.report.add(row)
            self.say(f"    {json.dumps(row)}")

    def fingerprint(self, key: Key) -> str | None:
        """Of a row as it would be measured now; None where nobody could."""
        dataset, name, seed, budget_s = key
        system = next((one for one in SYSTEMS if one.name == name), None)
        if system is None or dataset not in there():
            return None
        return measured(system, self._lessons(dataset), self.spec, budget_s, seed)

    def _figures(self, job: Job, lessons: Lessons) -> dict[str, Any]:
        try:
            adapter, spent = self._trained(job, lessons)
        except (ChildFailed, NoFactory) as error:
            return {"reason": f"{type(error).__name__}: {error}"}
        base = Speaker(str(self.base), None, self._said("base"))
        speaker = Speaker(str(self.base), adapter, self._said(adapter.name)) if adapter else base
        far = kl(self.base, base, adapter, self.say) if adapter else 0.0
        with self._house(job, lessons, base, speaker) as house:
            if house is not None:
                spent["cpu_s"] = round(spent.get("cpu_s", 0.0) + house.cpu_s, 1)
            found = Measuring(lessons, speaker, base, house, self.say).figures()
        return {**found, "kl": far, **spent}

    def _house(
        self, job: Job, lessons: Lessons, base: Speaker, speaker: Speaker
    ) -> AbstractContextManager[House | None]:
        if not job.system.memory:
            return nullcontext()
        return House(lessons.taught, self._embedder, base, speaker if job.system.trainer else None)

    def _trained(self, job: Job, lessons: Lessons) -> tuple[Path | None, dict[str, Any]]:
        if job.system.trainer is None:
            return None, {}
        key = trained(job.system.trainer, lessons, self.spec, self.budget_s, job.seed)
        name = f"{job.dataset}-{job.system.trainer}-s{job.seed}-{self.budget_s:g}-{key[:8]}"
        place = self.report.kept / "adapters" / name
        school = School(
            lessons, self.base, self.report.kept, self.budget_s,
            lambda trainer: taught(trainer, lessons, self.spec)[:8], self.say,
        )  # fmt: skip
        school.train(job.system.trainer, job.seed, place, lambda: self._embedder)
        return place, json.loads((place / SPENT).read_text())

    def _said(self, name: str) -> Path:
        return self.report.kept / "said" / f"{name}-{spoken(self.spec)}.jsonl"

    def _lessons(self, name: str) -> Lessons:
        if name not in self.lessons:
            self.lessons = {**self.lessons, name: DATASETS[name]()}
        return self.lessons[name]

    @cached_property
    def _embedder(self) -> Embedder:
        return open_embedder(PACKAGED)
