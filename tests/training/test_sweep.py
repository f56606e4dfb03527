"""The sweep: which points there are, and that nothing is measured twice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from deploy.sweep import ground
from tests.training.adapters import QUICK
from training.recipe import Recipe
from training.sweep import points, sweep


def test_a_point_is_a_combination_on_a_seed() -> None:
    """All of them, or as many as were to be drawn, each on every seed; the same ones each time."""
    grid = {"lr": ["5e-4", "1e-3"], "epochs": ["2", "4", "6"]}
    every = points(Recipe(), grid, [0, 1], None)
    assert len(every) == len(set(map(str, every))) == 12
    assert every[0] == Recipe(lr=5e-4, epochs=2, seed=0)
    drawn = points(Recipe(), grid, [0, 1], 2)
    assert len(drawn) == 4
    assert drawn == points(Recipe(), grid, [0, 1], 2)
    assert points(Recipe(), {}, [3], None) == [Recipe(seed=3)]


@pytest.mark.parametrize("grid", [{"raank": ["8"]}, {"lr": ["fast"]}])
def test_a_field_or_value_that_there_is_not_is_refused(grid: dict[str, list[str]]) -> None:
    """Before hours of training, not after."""
    with pytest.raises(ValidationError):
        points(Recipe(), grid, [0], None)


@pytest.mark.slow
def test_a_point_is_measured_once(tmp_path: Path) -> None:
    """Its recipe and figures are in the report; a second sweep trains nothing."""
    small = replace(ground(3, near=4), work_dir=tmp_path / "work")
    recipe = QUICK.model_copy(update={"epochs": 2, "own_tokens": 24})
    report, said = tmp_path / "sweep.json", []

    def say(phase: str, share: float) -> None:
        said.append(phase)

    [point] = sweep(small, [recipe], report, say)
    assert Recipe.model_validate(point["recipe"]) == recipe
    assert point["gain"] > 0.2
    assert 0 < point["kl"] < 2
    assert (point["of"], point["near"]) == (3, 4)
    assert list(json.loads(report.read_text()).values()) == [point]
    said.clear()
    assert sweep(small, [recipe], report, say) == [point]
    assert said == []
