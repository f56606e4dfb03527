"""Ranking: arithmetic on unit vectors and words."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from bot.ranking import familiar, rank

ROWS = np.array([[1, 0, 0], [0.8, 0.6, 0], [0.6, 0, 0.8], [0, 0, 1]], dtype=np.float32)


def test_a_place_tells_how_far_an_answers_questions_agree() -> None:
    """The most similar question comes first; three of them are heard, however many there are."""
    [top, _] = rank(ROWS[[0, 1, 1, 0, 3]], np.array([0, 0, 0, 0, 1]), ROWS[0])
    assert top.answer == 0
    assert (top.row, sorted(top.rows)) == (0, [0, 1, 2, 3])
    assert top.similarity == pytest.approx(1.0)
    assert top.agreement == pytest.approx((1 + 1 + 0.8) / 3)


def test_answers_come_best_first() -> None:
    """Each answer has one place."""
    places = list(rank(ROWS, np.array([0, 1, 2, 2]), ROWS[0]))
    assert [place.answer for place in places] == [0, 1, 2]
    assert all(one.score >= other.score for one, other in pairwise(places))


@pytest.mark.parametrize(
    ("question", "share"),
    [
        ("How long does a token live?", 1.0),  # by the question
        ("after 130 days?", 1.0),  # by the answer
        ("tokens?", 1.0),  # words that begin alike are the same
        ("What does a token cost?", 0.5),
        ("Who is it?", 0.0),  # no word says anything
    ],
)
def test_a_word_that_no_wording_knows_makes_a_question_less_familiar(
    question: str, share: float
) -> None:
    """Counted are the words that say something about the subject."""
    assert familiar(question, ["How long do tokens live?", "After 130 days."]) == share
