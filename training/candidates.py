"""Which of the wished recipes a run tries: those that its examples allow, while there is time.

The gate says which of them was best; here it is only kept from being asked in vain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bot.marks import Judge
from training.recipe import Recipe, RecipeName
from training.rows import Row, of_split

LEAST_FACTS = 8  # whose answers can be told right from wrong: of fewer, too few are got wrong
LEAST_REJECTED = 4  # fewer answers that were called wrong are an accident, not a tendency
LEAST_DISTILLED = 24  # rows: the student learns less from each than by heart
# How long a recipe takes, as a share of what the first one took: an estimate, to the safe side.
COST: Mapping[RecipeName, float] = {"sft": 1.0, "sft+dpo": 0.5, "sft+kto": 0.5, "sdft": 4.0}


def left_out(recipe: Recipe, rows: Sequence[Row]) -> str | None:
    """Why a dataset does not allow a recipe, in an admin's words; None where it does."""
    trained = of_split(rows, "train")
    if recipe.name == "sft+dpo":
        return _preferences(trained)
    if recipe.name == "sft+kto":
        return _rejections(of_split(rows, "rejected"))
    if recipe.name == "sdft" and len(trained) < LEAST_DISTILLED:
        return f"{len(trained)} examples to learn from, at least {LEAST_DISTILLED} are needed"
    return None


def too_late(recipe: Recipe, first_s: float, left_s: float, budget: str) -> str | None:
    """Why there is no time for a recipe; None while there is.

    Args:
        first_s: seconds that the run's first recipe trained.
        left_s: seconds of the budget that are left.
        budget: the setting that gives it.
    """
    takes = COST[recipe.name] * first_s
    if takes <= left_s:
        return None
    return (
        f"no time: it takes about {_minutes(takes)}, and {_minutes(max(0.0, left_s))} of"
        f" {budget} are left"
    )


def _preferences(trained: Sequence[Row]) -> str | None:
    judge = Judge((row.question, row.answer) for row in trained)
    clusters = {row.cluster: row for row in trained}.values()
    told = sum(bool(judge.fact([row.question], row.answer).terms) for row in clusters)
    if told >= LEAST_FACTS or any(row.rejected for row in trained):
        return None
    return (
        f"nothing was corrected, and of {told} facts alone can a wrong answer be told from a right"
        f" one (at least {LEAST_FACTS} are needed)"
    )


def _rejections(rejected: Sequence[Row]) -> str | None:
    if len(rejected) >= LEAST_REJECTED:
        return None
    return (
        f"{len(rejected)} answers were called wrong without a correction, at least"
        f" {LEAST_REJECTED} are needed"
    )


def _minutes(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes} minute{'' if minutes == 1 else 's'}"
