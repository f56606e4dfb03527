"""`make bench-learning`: base, memory, LLaMA-Factory, TRL and Mynah, side by side.

One row after the other, each kept as soon as it is there: stopped at any moment, the bench goes on
where it was.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from deploy.base_model import small_base_model
from deploy.bench.learning.bench import Bench, chosen
from deploy.bench.learning.lessons import DATASETS, NO_FAQ, there
from deploy.bench.learning.report import table
from deploy.bench.learning.systems import NAMES
from deploy.errors import in_one_line

REPORT = Path("reports/learning.json")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is not there yet, and show all that is."""
    wanted = _parser().parse_args(arguments)
    if "faq" in wanted.datasets and "faq" not in there():
        print(NO_FAQ)
        wanted.datasets.remove("faq")
    jobs = chosen(wanted.systems, wanted.datasets, wanted.seeds)
    bench = Bench(small_base_model(), REPORT, wanted.budget, _timed())
    bench.measure(jobs)
    print(table(bench.report))
    print(f"Figures: {REPORT}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench-learning", description=__doc__)
    parser.add_argument("--systems", type=_some(NAMES), default=NAMES, help=", ".join(NAMES))
    parser.add_argument("--datasets", type=_some([*DATASETS]), default=[*DATASETS])
    parser.add_argument(
        "--seeds", type=lambda text: [*map(int, text.split(","))], default=[0, 1, 2]
    )
    parser.add_argument("--budget", type=float, default=300.0, help="CPU-seconds a training")
    return parser


def _some(known: Sequence[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = text.split(",")
        if strange := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"there is no {strange[0]}, only: {', '.join(known)}")
        return names

    return parse


def _timed() -> Callable[[str], None]:
    began = time.monotonic()
    return lambda text: print(f"{time.monotonic() - began:7.0f}s  {text}", flush=True)


if __name__ == "__main__":
    with in_one_line("bench-learning"):
        main()
