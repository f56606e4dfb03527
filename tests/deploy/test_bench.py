"""The bench's figures."""

from __future__ import annotations

import pytest

from deploy.bench.figures import Load, percentile, table


@pytest.mark.parametrize(
    ("values", "percent", "found"),
    [([7.0], 50, 7.0), ([7.0], 99, 7.0), ([3.0, 1.0, 2.0], 50, 2.0), ([4, 3, 2, 1], 50, 2)],
)
def test_percentiles(values: list[float], percent: float, found: float) -> None:
    """The smallest value that so many percent do not exceed, whatever the order."""
    assert percentile(values, percent) == found


def test_the_99th_percentile_of_many() -> None:
    """One in a hundred may be slower, not two."""
    assert percentile([1.0] * 99 + [9.0], 99) == 1.0
    assert percentile([1.0] * 98 + [9.0] * 2, 99) == 9.0


def test_nothing_has_no_percentile() -> None:
    """A load without an answer is no load of 0 ms."""
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 50)


def test_a_load_in_milliseconds() -> None:
    """The report counts events and questions, and rounds."""
    assert Load([0.0101, 0.0204], [0.5]).as_json() == {
        "events": 2,
        "questions": 1,
        "ack_ms": {"p50": 10.1, "p99": 20.4},
        "answer_ms": {"p50": 500.0, "p99": 500.0},
    }


def test_the_table_shows_what_was_measured() -> None:
    """Both loads, what is sustained, and what stands in the way of more."""
    load = Load([0.01], [0.05]).as_json()
    figures = {
        **load, "at_once_200": Load([0.02], [3.0]).as_json(), "events_per_s": 123.4,
        "questions_per_s": 41.1, "cores_used": {"bot": 0.97, "sandbox": 0.5}, "bottleneck": "bot",
    }  # fmt: skip
    shown = table(figures)
    for part in ("10 ms", "3000 ms", "123.4 events/s", "bot 0.97", "bot is the bottleneck"):
        assert part in shown
