"""`make bench-canary`: how often a canary is wronged, and how soon a bad one is found.

Made-up threads, each rated by one of PEOPLE, are dealt by chance; the bets of `bot.canary` are
looked at after every one. Nothing here takes time but arithmetic: what is counted are feedbacks,
that is, threads of both releases of which somebody said how they went. Writes
`reports/canary.json`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bot import betting
from bot.canary import MARGIN
from deploy.errors import in_one_line

REPORT = Path("reports/canary.json")
ERROR = 0.05  # as MYNAH_CANARY_ERROR is unless set
PEOPLE = 5  # who rate, one as often as the other
REPEATS = 400
LONG = 2000  # feedbacks: for whoever is not wronged by then, few are left who would be
RATES = (0.6, 0.8, 0.9, 0.95)  # of the threads of what is live go well
SHARES = (0.1, 0.2, 0.5, 0.8)
DROP = 0.15
BROKEN = 0.5  # the drop of a release that is no good at all
DRIFTS = (0.05, 0.1)
NEVER = 10**9


@dataclass(frozen=True)
class World:
    """How well threads go, and to which share the canary is dealt."""

    live: float
    drop: float = 0.0  # of the canary's, in hundredths of 1
    share: float = 0.2
    grudge: bool = False  # one of the raters rejects all of the canary's, and approves the rest


@dataclass(frozen=True)
class Threads:
    """Threads in the order in which they were rated, (n,) each."""

    of_canary: NDArray[np.bool_]
    good: NDArray[np.bool_]
    by: NDArray[np.int64]

    def first(self, count: int) -> Threads:
        """So many of them."""
        return Threads(self.of_canary[:count], self.good[:count], self.by[:count])


@dataclass(frozen=True)
class Ends:
    """After how many feedbacks each bet is won, if ever."""

    worse: int
    fine: int
    worse_by_all: int  # without asking whether it rests on one person


def deal(world: World, length: int, made: np.random.Generator) -> Threads:
    """So many rated threads."""
    of_canary = made.random(length) < world.share
    good = made.random(length) < world.live - world.drop * of_canary
    by = made.integers(0, PEOPLE, length)
    if world.grudge:
        good = np.where(by == 0, ~of_canary, good)
    return Threads(of_canary, good, by)


def play(threads: Threads, error: float = ERROR) -> Ends:
    """Look at both bets after each feedback, as the worker does."""
    bar = np.log(1 / error)
    worse, fine = (np.full(len(threads.good), np.inf) for _ in range(2))
    worse_by_all = NEVER
    for person in (None, *range(PEOPLE)):
        kept = threads.by != (-1 if person is None else person)
        rows, ends = betting.blocks(list(threads.of_canary[kept]), list(threads.good[kept]))
        at = np.flatnonzero(kept)[np.array(ends, dtype=int) - 1]
        for least, path in (
            (worse, betting.evidence(betting.swapped(rows))),
            (fine, betting.evidence(rows, MARGIN)),
        ):
            np.minimum(least, _held(path, at, len(least)), out=least)
        if person is None:
            worse_by_all = _first(worse >= bar)
    return Ends(_first(worse >= bar), _first(fine >= bar), worse_by_all)


def ends(world: World, repeats: int, length: int = LONG, seed: int = 0) -> Iterator[Ends]:
    """What becomes of so many canaries of one world."""
    made = np.random.default_rng(seed)
    for _ in range(repeats):
        threads = deal(world, length, made)
        found = play(threads.first(length // 4))
        # What is much worse is looked at until something is decided, all else to its end.
        over = world.drop >= DROP and min(found.worse, found.fine) < NEVER
        yield found if over else play(threads)


def figures(world: World, repeats: int, length: int = LONG) -> dict[str, Any]:
    """How many were rolled back and promoted, whichever came first, and after how many feedbacks
    80 and 95 % were; None where fewer were."""
    found = list(ends(world, repeats, length))
    back = [one.worse if one.worse <= one.fine else NEVER for one in found]
    on = [one.fine if one.fine < one.worse else NEVER for one in found]
    return {
        **asdict(world),
        "rolled_back": _share(back),
        "rolled_back_by_all": _share([one.worse_by_all for one in found]),
        "promoted": _share(on),
        "rolled_back_80": _within(back, 0.8),
        "rolled_back_95": _within(back, 0.95),
        "promoted_80": _within(on, 0.8),
        "promoted_95": _within(on, 0.95),
    }


def measure(repeats: int) -> dict[str, Any]:
    """All worlds."""
    pairs = [(rate, share) for rate in RATES for share in SHARES]
    most = 3 * LONG
    return {
        "error": ERROR, "margin": MARGIN, "people": PEOPLE, "repeats": repeats, "feedbacks": LONG,
        "same": [figures(World(rate, share=share), repeats) for rate, share in pairs],
        "worse": [figures(World(rate, DROP, share), repeats, most) for rate, share in pairs],
        "broken": [figures(World(0.85, BROKEN, share), repeats) for share in SHARES],
        "grudge": [figures(World(0.9, share=share, grudge=True), repeats) for share in SHARES],
        "drift": [figures(World(0.85, drift, 0.5), repeats) for drift in DRIFTS],
    }  # fmt: skip


def table(found: dict[str, Any]) -> Iterator[str]:
    """What was found, in lines."""
    yield "good  share   the same release            15 points worse"
    yield "              back   (all)  on by          back by         promoted"
    yield "                            80%    95%     80%     95%"
    for same, worse in zip(found["same"], found["worse"], strict=True):
        yield (
            f"{same['live']:>4.0%}  {same['share']:>4.0%}  {_percent(same['rolled_back'])} "
            f"{_percent(same['rolled_back_by_all'])} {_number(same['promoted_80'])} "
            f"{_number(same['promoted_95'])} {_number(worse['rolled_back_80'])}  "
            f"{_number(worse['rolled_back_95'])} {_percent(worse['promoted'])}"
        )
    for one in found["broken"]:
        yield (
            f"{one['drop'] * 100:.0f} points worse than {one['live']:.0%}, {one['share']:.0%} of "
            f"threads: back within {one['rolled_back_80']} (80%), {one['rolled_back_95']} (95%)"
        )
    grudge = max(one["rolled_back"] for one in found["grudge"])
    yield f"one of {PEOPLE} rejects every answer of a canary that is no worse: {grudge:.1%} back"
    for one in found["drift"]:
        yield (
            f"compared with the time before, which was {one['drop'] * 100:.0f} points better for "
            f"everybody: {one['rolled_back_by_all']:.0%} back, and no release is to blame"
        )


def _held(path: NDArray[np.float64], at: NDArray[np.int64], length: int) -> NDArray[np.float64]:
    """The evidence after each feedback: as it was after the last block."""
    steps = np.searchsorted(at, np.arange(length), side="right")
    return np.concatenate([[0.0], path])[steps]


def _first(true: NDArray[np.bool_]) -> int:
    return int(true.argmax()) + 1 if true.any() else NEVER


def _share(at: Sequence[int]) -> float:
    return round(sum(one < NEVER for one in at) / len(at), 4)


def _within(at: Sequence[int], share: float) -> int | None:
    found = int(np.quantile(at, share, method="higher"))
    return found if found < NEVER else None


def _percent(share: float) -> str:
    return f"{share:>6.1%}"


def _number(count: int | None) -> str:
    return f"{count:>6}" if count is not None else "     –"


def main() -> None:
    """Measure and tell."""
    options = argparse.ArgumentParser(prog="make bench-canary")
    options.add_argument("--repeats", type=int, default=REPEATS, help="canaries of each kind")
    chosen = options.parse_args()
    print(f"▶ {chosen.repeats} canaries of each kind, looked at after every feedback", flush=True)
    found = measure(chosen.repeats)
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(found, indent=2) + "\n")
    for line in table(found):
        print(f"  {line}")
    print(f"Figures: {REPORT}")


if __name__ == "__main__":
    with in_one_line("bench-canary"):
        main()
