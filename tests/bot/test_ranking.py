"""Ranking: arithmetic on unit vectors."""

from __future__ import annotations

import numpy as np
import pytest

from bot.ranking import rank, strangers

ROWS = np.array([[1, 0, 0], [0.8, 0.6, 0], [0, 0, 1]], dtype=np.float32)


def test_a_stranger_is_scored_by_what_answers_something_else() -> None:
    """A known question's own answer does not count, however many wordings that has."""
    answers = np.array([0, 0, 1])
    found = strangers(ROWS, answers)
    other = [place.score for place in rank(ROWS, answers, ROWS[0]) if place.answer == 1]
    assert found[0] == pytest.approx(other[0])
    assert found.max() < 0.2


def test_alike_questions_with_different_answers_are_close_strangers() -> None:
    """Two facts asked about in nearly the same words make the highest score."""
    found = strangers(ROWS, np.array([0, 1, 2]))
    assert found[:2].min() > 0.7 > found[2]


def test_one_answer_has_no_strangers() -> None:
    """There is nothing to compare with on the first day."""
    assert strangers(ROWS, np.zeros(3, dtype=np.intp)).size == 0


def test_a_large_memory_is_looked_at_in_part() -> None:
    """A thousand questions cost no more than 128."""
    rows = np.random.default_rng(0).standard_normal((1000, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert strangers(rows, np.arange(1000)).size == 128
