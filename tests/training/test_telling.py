"""When a run's progress is told, and how long it still takes."""

import pytest

from training.telling import TELL_EVERY_S, News


def test_each_phase_is_told_and_then_now_and_then() -> None:
    """A new phase at once; within a phase not more often than Slack likes."""
    news = News()
    assert news.is_due("training", 0.0, 0)
    assert not news.is_due("training", 0.1, TELL_EVERY_S - 1)
    assert news.is_due("training", 0.2, TELL_EVERY_S)
    assert news.is_due("comparing", 0.0, TELL_EVERY_S + 1)
    assert not news.is_due("comparing", 0.1, TELL_EVERY_S + 2)


def test_time_left_follows_the_phase_so_far() -> None:
    """A run that was taken up in the middle counts from there; too early, nothing is claimed."""
    news = News()
    news.is_due("training", 0.5, 100)
    assert news.left_s(0.52, 110) is None
    assert news.left_s(0.75, 150) == pytest.approx(50)
