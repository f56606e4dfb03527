"""Which recipes compete, which of them there is time for, and which one is the best."""

from __future__ import annotations

from typing import Any

import pytest

from bot.store.schema import Evaluation
from training.candidates import LEAST_DISTILLED, LEAST_FACTS, left_out, too_late
from training.choice import best
from training.recipe import NAMES, Recipe, RecipeName
from training.rows import Row


def rows(trained: int, *, rejected: int = 0, corrected: int = 0, telling: bool = True) -> list[Row]:
    """Trained rows, each a fact with a number or with nothing that tells it from others."""
    answer = "Portal {n} listens on port 74{n:02}." if telling else "Yes, so it is."
    taught = [
        Row(
            example_id=n, cluster=n, split="train", question=f"Which port has portal {n}?",
            answer=answer.format(n=n), rejected="Port 80." if n < corrected else None,
        )
        for n in range(trained)
    ]  # fmt: skip
    wrong = [
        Row(
            example_id=1000 + n, cluster=1000 + n, split="rejected", question=f"Why {n}?",
            answer="", rejected="Because.",
        )
        for n in range(rejected)
    ]  # fmt: skip
    return [*taught, *wrong]


def allowed(found: list[Row]) -> list[str]:
    """The names of the recipes that are not left out."""
    return [name for name in NAMES if left_out(Recipe(name=name), found) is None]


def test_the_shape_of_the_examples_says_what_is_tried() -> None:
    """Few facts allow the SFT alone; more of them, a correction, rejections and many rows each
    allow one thing more."""
    assert allowed(rows(LEAST_FACTS - 1)) == ["sft"]
    assert allowed(rows(LEAST_FACTS)) == ["sft", "sft+dpo"]
    assert allowed(rows(LEAST_FACTS, telling=False)) == ["sft"]
    assert allowed(rows(2, corrected=1)) == ["sft", "sft+dpo"]
    assert allowed(rows(2, rejected=4)) == ["sft", "sft+kto"]
    assert allowed(rows(LEAST_DISTILLED, rejected=4)) == list(NAMES)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("sft+dpo", "nothing was corrected, and of 2 facts alone"),
        ("sft+kto", "1 answers were called wrong without a correction, at least 4"),
        ("sdft", "2 examples to learn from, at least 24"),
    ],
)
def test_what_is_left_out_says_why(name: RecipeName, why: str) -> None:
    """With what there is, and with what would be needed."""
    assert why in (left_out(Recipe(name=name), rows(2, rejected=1)) or "")


def test_there_is_time_or_there_is_not() -> None:
    """By what the first recipe took, and with both numbers where there is none."""
    dpo = Recipe(name="sft+dpo")
    assert too_late(dpo, first_s=1200, left_s=600, budget="MYNAH_TRAIN_MINUTES") is None
    assert too_late(dpo, first_s=1200, left_s=599, budget="MYNAH_TRAIN_MINUTES") is not None
    found = too_late(dpo, first_s=1200, left_s=-5, budget="MYNAH_TRAIN_MINUTES")
    assert (
        found == "no time: it takes about 10 minutes, and 0 minutes of MYNAH_TRAIN_MINUTES are left"
    )


def evaluated(number: int, hits: int, kl: float | None, **others: Any) -> Evaluation:
    """An evaluation with so many held-out wordings right."""
    figures = {"wordings": {"candidate": {"of": 9, "hits": hits}}, "kl": kl}
    return Evaluation(
        id=number, team_id="T", run_id=1, adapter_id=number, figures=figures,
        **{"passed": True} | others,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("compared", "chosen"),
    [
        ([evaluated(1, 5, 0.1), evaluated(2, 6, 0.2)], 2),  # more right
        ([evaluated(1, 5, 0.2), evaluated(2, 5, 0.1)], 2),  # nearer to the base
        ([evaluated(1, 5, None), evaluated(2, 5, 0.1)], 2),  # a KL that is no number is the worst
        ([evaluated(1, 5, 0.1), evaluated(2, 5, 0.1)], 1),  # the one that was there first
        ([evaluated(1, 9, 0.1, passed=False), evaluated(2, 1, 0.1)], 2),  # what passed
        ([evaluated(1, 9, 0.1, passed=False), evaluated(2, 1, 0.1, passed=False, enough=False)], 2),
    ],
)
def test_the_best_is_what_passed_and_knows_most(compared: list[Evaluation], chosen: int) -> None:
    """Passed before unclear before failed; then right wordings, then the lower KL."""
    assert best(compared).id == chosen
