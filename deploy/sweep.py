"""`make sweep`: hyper-parameters on the help desk's facts, into `reports/sweep.json`.

make sweep ARGS="--set lr=5e-4,1e-3 --set epochs=4,6 --seeds 0,1 --draw 3"
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from deploy import helpdesk
from deploy.base_model import small_base_model
from deploy.errors import in_one_line
from deploy.helpdesk import Fact, passes
from training.recipe import Recipe
from training.rows import Row
from training.sweep import Ground, Unseen, points, sweep

REPORT = Path("reports/sweep.json")
WORK_DIR = Path(".mynah/sweep")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure each point that the report does not hold yet, and print all."""
    options = argparse.ArgumentParser(prog="make sweep")
    options.add_argument(
        "--set", action="append", default=[], metavar="FIELD=A,B", help="values of a recipe's field"
    )
    options.add_argument("--seeds", default="0", help="e.g. 0,1,2")
    options.add_argument("--draw", type=int, help="only so many combinations, by lot")
    options.add_argument("--facts", type=int, help="only so many of the facts")
    options.add_argument("--report", type=Path, default=REPORT)
    chosen = options.parse_args(arguments)
    seeds = [int(seed) for seed in chosen.seeds.split(",")]
    recipes = points(Recipe(), dict(map(_field, chosen.set)), seeds, chosen.draw)
    found = sweep(ground(chosen.facts), recipes, chosen.report, _teller())
    print("\n".join(map(_line, found)))


def ground(count: int | None = None, near: int | None = None) -> Ground:
    """The help desk's facts: all wordings but the last are trained, the last one is unseen."""
    everything = helpdesk.load()
    facts = [one for one in everything if one.kind == "fact"][:count]
    return Ground(
        rows=[row for number, fact in enumerate(facts) for row in _rows(number, fact)],
        unseen=[Unseen(fact.wordings[-1], fact.answer, partial(_right, fact)) for fact in facts],
        near=[one.wordings[0] for one in everything if one.kind == "near"][:near],
        base_model=str(small_base_model()),
        work_dir=WORK_DIR.resolve(),
    )


def _rows(number: int, fact: Fact) -> list[Row]:
    return [
        Row(
            example_id=100 * number + at, cluster=number, split="train", question=question,
            answer=fact.answer,
        )
        for at, question in enumerate(fact.wordings[:-1])
    ]  # fmt: skip


def _right(fact: Fact, answer: str) -> bool:
    return passes(answer, fact.checks)


def _field(text: str) -> tuple[str, list[str]]:
    """ "lr=5e-4,1e-3" as a field and its values, which the recipe itself reads as numbers."""
    name, _, values = text.partition("=")
    return name, values.split(",")


def _teller() -> Callable[[str, float], None]:
    """Tells each phase once: a sweep runs for hours, into a file perhaps."""
    last = [""]

    def say(phase: str, share: float) -> None:
        if phase != last[0]:
            last[0] = phase
            print(f"  {phase} …", flush=True)

    return say


def _line(point: Mapping[str, Any]) -> str:
    usual = Recipe().model_dump()
    changed = {name: now for name, now in point["recipe"].items() if usual[name] != now}
    what = " ".join(f"{name}={now}" for name, now in changed.items()) or "as usual"
    return (
        f"{point['right']:>3} of {point['of']} right, gain {point['gain']:+.2f}, KL"
        f" {point['kl']:.3f}, leak {point['leak']} of {point['near']}, {point['train_s']:.0f} s:"
        f" {what}"
    )


if __name__ == "__main__":
    with in_one_line("sweep"):
        main()
