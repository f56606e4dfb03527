"""Sureness: how well it tells right answers from wrong ones, and what would be withheld."""

from __future__ import annotations

import pytest

from training.asked import Asked, Count, Said, Sort
from training.sureness import of_model


def asked(right: bool, sure: float | None, sort: Sort = "question") -> Asked:
    said = Said(text="", right=right, sure=sure)
    return Asked(sort=sort, question="q", wanted="a", said={"candidate": said, "live": said})


@pytest.mark.parametrize(
    ("right", "wrong", "apart"),
    [
        ((-0.1, -0.2), (-0.5, -0.9), 1.0),
        ((-0.9,), (-0.5, -0.1), 0.0),
        ((-0.5,), (-0.5,), 0.5),
        ((-0.1, -0.6), (-0.5, -0.9), 0.75),
        ((), (-0.5,), None),
        ((-0.5,), (), None),
    ],
)
def test_apart_is_how_often_a_right_answer_is_surer(
    right: tuple[float, ...], wrong: tuple[float, ...], apart: float | None
) -> None:
    """Over all pairs of a right and a wrong answer; a tie is half; without a pair, none."""
    found = [asked(True, one) for one in right] + [asked(False, one) for one in wrong]
    assert of_model(found, "candidate", -2.0).apart == apart


def test_what_would_be_withheld_is_counted() -> None:
    """Below the limit, and not at it; what has no sureness is not counted."""
    found = of_model(
        [asked(True, -0.4), asked(True, -0.6), asked(False, -0.5), asked(False, -0.51),
         asked(False, None)],
        "live", -0.5,
    )  # fmt: skip
    assert (found.right, found.wrong) == (Count(of=2, hits=1), Count(of=2, hits=1))
    assert found.limit == -0.5


def test_only_marked_answers_count() -> None:
    """Of unrelated questions those that leaked; pins and small tasks are nobody's lesson."""
    found = of_model(
        [asked(False, -1.0, "leak"), asked(True, -1.0, "leak"), asked(True, -1.0, "pin"),
         asked(False, -1.0, "general"), asked(True, -1.0, "wording")],
        "candidate", -2.0,
    )  # fmt: skip
    assert (found.right.of, found.wrong.of) == (1, 1)
