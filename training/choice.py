"""Which of a run's candidates is taken: the gate lets some pass, and the best of them is it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bot.store.schema import Evaluation


def best(evaluations: Sequence[Evaluation]) -> Evaluation:
    """What passed before what is unclear before what failed; among these the one with the most
    held-out wordings right, then the one nearest to the base, then the first."""
    return max(evaluations, key=_rank)


def _rank(one: Evaluation) -> tuple[bool, bool, int, float]:
    marks = one.figures.get("wordings") or {}
    kl = one.figures.get("kl")  # None: it was no number
    hits = int(marks["candidate"]["hits"]) if marks else 0
    return one.passed, not one.enough, hits, -(math.inf if kl is None else float(kl))
