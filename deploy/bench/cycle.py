"""`make bench-cycle`: how what a run does before it trains, and memory, grow with the examples.

Times are seconds of this process's CPU on one thread, so that other work on the machine does not
count; `growth` is the exponent k of n^k that fits them best: 1 is linear.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from sqlalchemy import Engine

from bot.embedder import Embedder, open_embedder
from bot.memory import Memory
from bot.store.database import open_engine, reading, transaction
from bot.store.schema import Example, Team, now
from deploy.bench.workload import TEAM, WordVectors, examples
from deploy.empty_store import make_store
from deploy.errors import in_one_line
from training import dataset, influence
from training.rows import Row, Split, of_split

REPORT = Path("reports/cycle.json")
SIZES = (6250, 12500, 25000, 50000)
SEARCHES = 40
MOST_SHARE = 0.5
T = TypeVar("T")


class Clock:
    """Measures named steps."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def time(self, name: str, step: Callable[[], T]) -> T:
        """Do it, and write down how long it took."""
        began = time.process_time()
        found = step()
        self.seconds[name] = round(time.process_time() - began, 4)
        return found


def measure(count: int, embedder: Embedder, directory: Path) -> dict[str, Any]:
    """The seconds of each step with `count` examples, and what came of them."""
    url = f"sqlite:///{directory / 'mynah.db'}"
    make_store(url)
    engine = open_engine(url)
    try:
        _fill(engine, count, embedder)
        clock = Clock()
        rows = _cycle(engine, embedder, directory, clock)
        _remember(engine, embedder, clock)
    finally:
        engine.dispose()
    splits: list[Split] = ["train", "held_out_wording", "held_out_question"]
    counts = {name: len(of_split(rows, name)) for name in splits}
    return {"examples": count, "rows": counts, "seconds": clock.seconds}


def _fill(engine: Engine, count: int, embedder: Embedder) -> None:
    made = examples(count)
    for example, vector in zip(made, embedder.embed([one.question for one in made]), strict=True):
        example.embedding, example.embedder = vector.tobytes(), embedder.name
    with transaction(engine) as session:
        session.add(Team(team_id=TEAM))
        session.add_all(made)


def _cycle(engine: Engine, embedder: Embedder, directory: Path, clock: Clock) -> list[Row]:
    """As `training.cycle` does it."""
    with reading(engine) as session:
        live = clock.time("select", lambda: dataset.learnable(session, TEAM))
    chosen, _ = clock.time("balance", lambda: influence.balanced(live, MOST_SHARE))
    vectors = clock.time(
        "vectors", lambda: dataset.embeddings(chosen, embedder.name, embedder.embed)
    )
    rows = clock.time("split", lambda: dataset.split(chosen, vectors))

    def freeze() -> None:
        with transaction(engine) as session:
            dataset.freeze(session, TEAM, rows, directory / "datasets")

    clock.time("freeze", freeze)
    return rows


def _remember(engine: Engine, embedder: Embedder, clock: Clock) -> None:
    memory = Memory(engine, embedder)
    asked = [example.question for example in examples(SEARCHES, seed=1)]
    clock.time("memory: first load", lambda: memory.search(TEAM, "C0HELP", asked[0]))
    taken = Clock()
    for question in asked:
        taken.time(question, lambda text=question: memory.search(TEAM, "C0HELP", text))  # type: ignore[misc]
    clock.seconds["memory: search p50"] = round(float(np.median(list(taken.seconds.values()))), 5)
    _learn_one(engine, embedder)
    clock.time("memory: one more", lambda: memory.search(TEAM, "C0HELP", asked[0]))


def _learn_one(engine: Engine, embedder: Embedder) -> None:
    question = "Who waters the plants of the observatory?"
    vector = embedder.embed([question])[0].tobytes()
    with transaction(engine) as session:
        session.add(
            Example(
                team_id=TEAM, question=question, answer="The caretaker.", approved_by="U0001",
                content_hash="plants", embedding=vector, embedder=embedder.name, changed_at=now(),
            )
        )  # fmt: skip


def growth(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """The exponent of the power of the size that fits the seconds best."""
    return round(float(np.polyfit(np.log(sizes), np.log(np.maximum(seconds, 1e-5)), 1)[0]), 2)


def grown(measured: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The growth of each step."""
    sizes = [one["examples"] for one in measured]
    steps = measured[0]["seconds"]
    return {step: growth(sizes, [one["seconds"][step] for one in measured]) for step in steps}


def table(figures: Mapping[str, Any]) -> str:
    """The figures for the eye."""
    measured, exponents = figures["measured"], figures["growth"]
    head = "".join(f"{one['examples']:>10,}" for one in measured)
    lines = [f"{'seconds':<24}{head}{'growth':>10}"]
    for step, exponent in exponents.items():
        times = "".join(f"{one['seconds'][step]:>10.3f}" for one in measured)
        lines.append(f"{step:<24}{times}{exponent:>10.2f}")
    return "\n".join(lines)


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(prog="make bench-cycle")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of examples")
    parser.add_argument(
        "--embedder", default="", help="as in MYNAH_EMBEDDER; unless given, one that costs nothing"
    )
    given = parser.parse_args()
    embedder = open_embedder(given.embedder) if given.embedder else WordVectors()
    print("▶ From the examples to a frozen dataset, and memory", flush=True)
    measured = []
    for count in given.sizes:
        directory = Path(tempfile.mkdtemp(prefix="mynah-bench-"))
        try:
            measured.append(measure(count, embedder, directory))
        finally:
            shutil.rmtree(directory)
        print(f"  {count:,} examples", flush=True)
    figures = {
        "embedder": embedder.name,
        "measured": measured,
        "growth": grown(measured),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
    }
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(figures, indent=2) + "\n")
    print(table(figures))
    print(f"Figures: {REPORT}")


if __name__ == "__main__":
    with in_one_line("bench-cycle"):
        main()
