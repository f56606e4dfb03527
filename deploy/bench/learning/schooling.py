"""One training: its steps chosen so that it ends within a budget of CPU-seconds."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from bot.embedder import Embedder
from bot.prompt import build
from deploy.bench.learning import factory, trl_sft
from deploy.bench.learning.lessons import Lessons
from deploy.bench.learning.speaker import Batching, Speaker
from deploy.bench.learning.spending import Meter, Spent, spend
from serving.client import VllmClient
from training.recipe import Recipe
from training.replay import replay
from training.rows import Row, write

PER_STEP = 4  # rows, in every system
PROBES = (4, 20)  # steps; what a step costs is what lies between them
MARGIN = 0.95  # of the budget is planned with
REJECTED_TOKENS = 48
SPENT = "spent.json"


@dataclass(frozen=True)
class Plan:
    """How much one training may do. `rows` is less than all where not even one epoch fits."""

    steps: int
    epochs: float
    rows: int


@dataclass(frozen=True)
class Cost:
    """What a training costs: CPU-seconds to begin and end, and for each step."""

    fixed_s: float
    step_s: float

    def steps(self, budget_s: float) -> int:
        """How many fit."""
        return max(1, int((budget_s * MARGIN - self.fixed_s) / self.step_s))


def partial(steps: int, rows: int, most_epochs: int) -> Plan:
    """Any number of steps, for trainers that can stop within an epoch."""
    steps = min(steps, most_epochs * rows // PER_STEP)
    return Plan(steps, round(steps * PER_STEP / rows, 2), rows)


def whole(steps: int, rows: int, most_epochs: int) -> Plan:
    """Whole epochs; where not one fits, one over as many rows as do."""
    epochs = min(most_epochs, steps * PER_STEP // rows)
    if epochs:
        return Plan(epochs * -(-rows // PER_STEP), epochs, rows)
    fit = steps * PER_STEP
    return Plan(steps, round(fit / rows, 2), fit)


class School:
    """Trains on one dataset; what it makes lies in `home` and is not made twice.

    `mark` gives for a trainer what changes with its recipe: probes are of that recipe alone.
    """

    def __init__(
        self,
        lessons: Lessons,
        base: Path,
        home: Path,
        budget_s: float,
        mark: Callable[[str], str],
        say: Callable[[str], None],
    ) -> None:
        self.rows = lessons.rows()
        self.lessons, self.base, self.home = lessons, base, home
        self.budget_s, self.mark, self.say = budget_s, mark, say

    def train(self, trainer: str, seed: int, place: Path, embedder: Callable[[], Embedder]) -> None:
        """Train into `place`: the adapter, and `spent.json` with what it cost.

        Raises:
            ChildFailed: the training did not end well.
            NoFactory: LLaMA-Factory cannot be installed.
        """
        if (place / SPENT).exists():
            return
        for left in [place, *self.home.glob(".training-*")]:  # of a bench that was killed
            shutil.rmtree(left, ignore_errors=True)
        self.home.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".training-", dir=self.home))
        try:
            spent = _TRAINERS[trainer](self, seed, work, embedder)
            (work / "out" / SPENT).write_text(json.dumps(spent))
            place.parent.mkdir(parents=True, exist_ok=True)
            (work / "out").rename(place)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _trl(self, seed: int, work: Path, _: Callable[[], Embedder]) -> dict[str, Any]:
        def child(steps: int, rows: Sequence[Row], place: Path) -> Spent:
            return self._python("trl_sft", place, rows, seed=seed, steps=steps)

        cost = self._cost("trl-sft", child, work)
        plan = partial(cost.steps(self.budget_s), len(self.rows), trl_sft.SETTINGS["most_epochs"])
        self._tell(plan)
        return _spent([child(plan.steps, self.rows, work)], plan)

    def _mynah(self, seed: int, work: Path, embedder: Callable[[], Embedder]) -> dict[str, Any]:
        replies, prepare_s = self._replay(embedder)

        def child(epochs: int, rows: Sequence[Row], place: Path) -> Spent:
            return self._python(
                "mynah_sft", place, rows, seed=seed, epochs=epochs, replay=str(replies)
            )

        cost = self._cost("mynah", lambda _, rows, place: child(1, rows, place), work)
        plan = whole(cost.steps(self.budget_s), len(self.rows), Recipe().epochs)
        self._tell(plan)
        rows = _some(self.rows, plan.rows, seed)
        spent = child(max(1, int(plan.epochs)), rows, work)
        return {**_spent([spent], plan), "prepare_cpu_s": prepare_s}

    def _factory_sft(self, seed: int, work: Path, _: Callable[[], Embedder]) -> dict[str, Any]:
        cost, _adapter = self._factory_cost(work)
        plan = partial(cost.steps(self.budget_s), len(self.rows), factory.MOST_EPOCHS)
        self._tell(plan)
        return _spent([self._factory(plan.steps, seed, self.rows, work, factory.SFT)], plan)

    def _factory_dpo(self, seed: int, work: Path, _: Callable[[], Embedder]) -> dict[str, Any]:
        path, prepare_s = self._rejected()
        rejected = json.loads(path.read_text())
        cost, adapter = self._factory_cost(work)
        half = self.budget_s / 2
        first = partial(cost.steps(half), len(self.rows), factory.MOST_EPOCHS)
        then = self._cost(
            "llamafactory-dpo",
            lambda steps, rows, place: self._factory(
                steps, seed, rows, place, factory.DPO, rejected, adapter
            ),
            work,
        )
        second = partial(then.steps(half), len(self.rows), factory.MOST_EPOCHS)
        self._tell(first)
        self._tell(second)
        sft = work / "sft"
        spent = [
            self._factory(first.steps, seed, self.rows, sft, factory.SFT),
            self._factory(second.steps, seed, self.rows, work, factory.DPO, rejected, sft / "out"),
        ]
        both = Plan(
            first.steps + second.steps, round(first.epochs + second.epochs, 2), len(self.rows)
        )
        return {
            **_spent(spent, both),
            "epochs_each": [first.epochs, second.epochs],
            "prepare_cpu_s": prepare_s,
        }

    def _factory_cost(self, work: Path) -> tuple[Cost, Path]:
        """What a step of its SFT costs, and the adapter of a probe."""
        kept = self._path("probes", "llamafactory-sft")

        def child(steps: int, rows: Sequence[Row], place: Path) -> Spent:
            spent = self._factory(steps, 0, rows, place, factory.SFT)
            shutil.rmtree(kept, ignore_errors=True)
            (place / "out").rename(kept)
            return spent

        return self._cost("llamafactory-sft", child, work), kept

    def _factory(
        self,
        steps: int,
        seed: int,
        rows: Sequence[Row],
        place: Path,
        settings: Mapping[str, Any],
        rejected: Mapping[str, str] | None = None,
        after: Path | None = None,
    ) -> Spent:
        program = factory.command()
        job = {"seed": seed, "steps": steps, "base": str(self.base.resolve())}
        job |= {"work": str((place / "data").resolve()), "out": str((place / "out").resolve())}
        path = factory.write(job, rows, rejected, settings, after and after.resolve())
        env = {"HF_DATASETS_CACHE": str((place / "cache").resolve()), "PYTHONPATH": ""}
        return spend([str(program), "train", str(path)], self.home / "llamafactory.log", env)

    def _python(self, module: str, place: Path, rows: Sequence[Row], **job: Any) -> Spent:
        place.mkdir(parents=True, exist_ok=True)
        write(rows, place / "rows.jsonl")
        job |= {
            "rows": str(place / "rows.jsonl"),
            "base": str(self.base),
            "out": str(place / "out"),
        }
        path = place / "job.json"
        path.write_text(json.dumps(job))
        command = [sys.executable, "-m", f"deploy.bench.learning.{module}", str(path)]
        return spend(command, self.home / f"{module}.log")

    def _cost(
        self, name: str, child: Callable[[int, Sequence[Row], Path], Spent], work: Path
    ) -> Cost:
        """Measured once for a dataset and kept, from two short trainings."""
        kept = self._path("probes", name).with_suffix(".json")
        if not kept.exists():
            spent = []
            for steps in PROBES:
                self.say(f"    probing {name}: {steps} steps")
                place = work / f"probe-{steps}"
                spent.append(child(steps, _some(self.rows, steps * PER_STEP, 0), place).cpu_s)
            step_s = max(0.05, (spent[1] - spent[0]) / (PROBES[1] - PROBES[0]))
            cost = Cost(max(0.0, spent[0] - PROBES[0] * step_s), step_s)
            kept.write_text(json.dumps(asdict(cost)))
        return Cost(**json.loads(kept.read_text()))

    def _tell(self, plan: Plan) -> None:
        self.say(f"    training {plan.steps} steps, {plan.epochs} epochs")

    def _replay(self, embedder: Callable[[], Embedder]) -> tuple[Path, float]:
        """What Mynah replays, and the CPU-seconds that it took to ask the base for it."""

        def make(path: Path, base: Speaker) -> list[dict[str, Any]]:
            client = cast(VllmClient, Batching(base))
            cache = path.with_suffix(".answers")
            found = asyncio.run(replay(client, self.rows, embedder().embed, cache))
            return [asdict(one) for one in found]

        return self._prepared("mynah", make)

    def _rejected(self) -> tuple[Path, float]:
        """What the base answers to each taught question, and the CPU-seconds of asking."""

        def make(_: Path, base: Speaker) -> dict[str, str]:
            chats = [build(row.question) for row in self.rows]
            said = base.answers(chats, REJECTED_TOKENS)
            return {row.question: one.text for row, one in zip(self.rows, said, strict=True)}

        return self._prepared("llamafactory-dpo", make)

    def _prepared(self, trainer: str, make: Callable[[Path, Speaker], Any]) -> tuple[Path, float]:
        path = self._path("prepared", trainer).with_suffix(".json")
        cost = path.with_suffix(".cost")
        if not cost.exists():
            self.say("    asking the base model for what the training needs of it")
            meter = Meter(path.with_suffix(".spent"))
            base = self._speaker(path.with_suffix(".said"), meter.keep)
            path.write_text(json.dumps(make(path, base)))
            cost.write_text(json.dumps(meter.keep()))
        return path, json.loads(cost.read_text())

    def _path(self, kind: str, trainer: str) -> Path:
        (self.home / kind).mkdir(parents=True, exist_ok=True)
        return self.home / kind / f"{self.lessons.name}-{trainer}-{self.mark(trainer)}"

    def _speaker(self, kept: Path, more: Callable[[], object]) -> Speaker:
        return Speaker(str(self.base), None, kept, more)


_TRAINERS: Mapping[str, Callable[..., dict[str, Any]]] = {
    "trl-sft": School._trl,
    "llamafactory-sft": School._factory_sft,
    "llamafactory-dpo": School._factory_dpo,
    "mynah": School._mynah,
}


def _some(rows: Sequence[Row], count: int, seed: int) -> list[Row]:
    """A choice of rows, by lot, in their order."""
    chosen = sorted(random.Random(seed).sample(range(len(rows)), min(count, len(rows))))  # noqa: S311
    return [rows[at] for at in chosen]


def _spent(spent: Sequence[Spent], plan: Plan) -> dict[str, Any]:
    cpu_s = round(sum(one.cpu_s for one in spent), 1)
    return {
        "cpu_s": cpu_s,
        "rss_mb": max(one.rss_mb for one in spent),
        "train_s": round(sum(one.wall_s for one in spent), 1),
        "examples_per_s": round(plan.steps * PER_STEP / cpu_s, 2),
        "epochs": plan.epochs,
        "steps": plan.steps,
    }
