"""A run in words: what was measured is told, and what was not is left out."""

from __future__ import annotations

from typing import Any

from bot.run_words import before_after

NONE = {"of": 0, "hits": 0}


def marks(base: int, live: int, ours: int, of: int) -> dict[str, Any]:
    return {
        name: {"of": of, "hits": hits}
        for name, hits in (("base", base), ("live", live), ("candidate", ours))
    }


def test_what_a_judge_and_small_tasks_showed_is_told() -> None:
    """A line each, with the numbers of all models that were asked."""
    found = before_after({
        "general": {"base": {"of": 40, "hits": 16}, "live": NONE,
                    "candidate": {"of": 40, "hits": 15}},
        "preferred": marks(2, 3, 5, 6),
        "judged": {"wins": 7, "losses": 1, "ties": 2, "more": {"low": 0.2, "high": 0.9}},
    })  # fmt: skip
    assert found == [
        "everyday tasks done right: base 16, now 15 of 40",
        "finds the right answer likelier than a rejected one: base 2, before 3, now 5 of 6",
        "the judge: 7 answers better than before, 1 worse, 2 alike",
    ]


def test_what_was_not_measured_is_left_out() -> None:
    """Nobody set a judge, nothing was rejected, and an older evaluation knows none of it."""
    unmeasured = {
        "general": {"base": NONE, "live": NONE, "candidate": NONE}, "preferred": marks(0, 0, 0, 0),
        "judged": {"wins": 0, "losses": 0, "ties": 0, "more": None, "why": "no judge is set"},
    }  # fmt: skip
    assert before_after(unmeasured) == before_after({}) == before_after(None) == []
