"""The demo's report shows what was measured, and nothing else."""

import json
from pathlib import Path
from typing import Any

from deploy import demo_report

FIGURES: dict[str, Any] = {
    "questions": 48,
    "rates": {"base": 0.02, "memory": 0.8, "weights": 0.7, "both": 0.9, "quoted": 0.96},
    "leak": 0.05,
    "leak_both": 0.1,
    "kl": 0.151,
    "swap": {"asked": 31, "failed": 0, "load_s": 0.21, "switch_s": 1.5},
    "rollback": {"s": 0.4, "as_before": True},
    "events": {"delivered": 900, "lost": 0, "duplicated": 0},
    "seconds": {"total": 900.0},
}


def test_the_figures_are_written_as_they_are(tmp_path: Path) -> None:
    """demo.json holds the figures unchanged, and a picture lies beside it."""
    facts, picture = demo_report.write(FIGURES, tmp_path)
    assert json.loads(facts.read_text()) == FIGURES
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_table_says_so_when_the_roll_back_was_not_as_before() -> None:
    """A bad outcome is as readable as a good one."""
    bad = {**FIGURES, "rollback": {"s": 0.4, "as_before": False}}
    assert "NOT as before" in demo_report.table(bad)
    assert "NOT" not in demo_report.table(FIGURES)
