"""Training that went wrong without a word is named: each poison by its own reason, alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from serving.adapters import WEIGHTS, BadAdapter
from tests.lora_files import Tensors, make_base, random_tensors, write_adapter
from training import soundness
from training.recipe import Recipe
from training.soundness import Point, Unsound, of_curve, of_effect

EPOCHS = 6


def log(steps: int = 60, first: float = 3.0, last: float = 0.5, **fields: Any) -> list[Any]:
    """A trainer's log: a loss that falls evenly, with what else it writes down."""
    losses = np.linspace(first, last, steps)
    entry = {"grad_norm": 1.5, "kl": 0.1, **fields}
    return [{"fact_loss": loss, **entry} for loss in losses] + [{"train_runtime": 9.0}]


@pytest.fixture
def tensors(tmp_path: Path) -> Tensors:
    return random_tensors(make_base(tmp_path / "base"))


def left(directory: Path, tensors: Tensors, entries: list[Any]) -> Path:
    """What a trainer leaves."""
    write_adapter(directory, tensors)
    soundness.write_curve(entries, directory)
    return directory


def test_a_sound_training_raises_nothing(tmp_path: Path, tensors: Tensors) -> None:
    """Also one whose trainer wrote no curve: nothing is said of what is not known."""
    soundness.check(left(tmp_path / "sound", tensors, log()), EPOCHS)
    soundness.check(write_adapter(tmp_path / "curveless", tensors), EPOCHS)


def nan(tensors: Tensors) -> None:
    tensors[min(tensors)][0, 0] = np.nan


def infinite(tensors: Tensors) -> None:
    for key in sorted(tensors)[:3]:
        tensors[key][0, 0] = np.inf


def zero(half: str) -> Callable[[Tensors], None]:
    def poison(tensors: Tensors) -> None:
        for key, values in tensors.items():
            if f"lora_{half}" in key:
                values[:] = 0

    return poison


@pytest.mark.parametrize(
    ("poison", "reason"),
    [
        (nan, r"not numbers: \S+lora_A.weight"),
        (infinite, r"not numbers: \S+lora_A.weight and 2 more"),
        (zero("B"), "all zeros"),
        (zero("A"), "all zeros"),
    ],
)
def test_poisoned_weights_are_named(
    tmp_path: Path, tensors: Tensors, poison: Callable[[Tensors], None], reason: str
) -> None:
    """Values that are no numbers, and halves whose product changes nothing."""
    poison(tensors)
    with pytest.raises(Unsound, match=reason) as found:
        soundness.check(left(tmp_path / "bad", tensors, log()), EPOCHS)
    assert len(found.value.reasons) == 1


def test_one_layer_without_effect_is_no_fault(tmp_path: Path, tensors: Tensors) -> None:
    """As long as another has one."""
    first = next(key for key in sorted(tensors) if "lora_B" in key)
    tensors[first][:] = 0
    soundness.check(left(tmp_path / "idle", tensors, log()), EPOCHS)


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        (log(first=2.0, last=2.0), r"did not fall: 2.00 at first, 2.00 at the end"),
        (log(first=1.0, last=3.0), "did not fall"),
        (log(grad_norm=0.0), "60 of 60 steps: the gradients are zero"),
        (log(steps=40, grad_norm=0.0)[:-1] + log(steps=20, first=0.5, last=0.5), "40 of 60 steps"),
        (log(steps=7)[:-1] + log(steps=5, first=math.nan, last=1), "not a number at step 8 of 12"),
        ([{"fact_loss": math.inf}, *log()], "not a number at step 1 of 61"),
    ],
)
def test_a_poisoned_curve_is_named(
    tmp_path: Path, tensors: Tensors, entries: list[Any], reason: str
) -> None:
    """A loss that stands still, gradients of zero, and what is no number, as a trainer logs it."""
    with pytest.raises(Unsound, match=reason) as found:
        soundness.check(left(tmp_path / "bad", tensors, entries), EPOCHS)
    assert len(found.value.reasons) == 1


def test_everything_that_is_wrong_is_named(tmp_path: Path, tensors: Tensors) -> None:
    """Each reason by itself, for the run's list."""
    zero("B")(tensors)
    with pytest.raises(Unsound) as found:
        soundness.check(left(tmp_path / "bad", tensors, log(last=3.0, grad_norm=0.0)), EPOCHS)
    assert len(found.value.reasons) == 3


def test_weights_that_cannot_be_read_are_not_passed_over(tmp_path: Path, tensors: Tensors) -> None:
    """A missing or broken file is no sound adapter."""
    directory = left(tmp_path / "broken", tensors, log())
    (directory / WEIGHTS).write_bytes(b"no safetensors")
    with pytest.raises(BadAdapter, match="broken"):
        soundness.check(directory, EPOCHS)
    (directory / WEIGHTS).unlink()
    with pytest.raises(BadAdapter, match="cannot read"):
        soundness.check(directory, EPOCHS)


@given(some.lists(some.floats(0.01, 9), min_size=20, max_size=80), some.integers(1, 12))
def test_the_ends_of_the_curve_decide(losses: list[float], epochs: int) -> None:
    """Turned round, a curve that fell by more than it must did not fall."""
    fell = not of_curve([Point(loss=loss) for loss in losses], epochs)
    turned = not of_curve([Point(loss=loss) for loss in reversed(losses)], epochs)
    assert not (fell and turned)


def test_one_bad_step_is_no_reason() -> None:
    """Whole epochs are compared: what comes last in each may be hard to learn."""
    losses = [*np.linspace(2, 0.5, 59), 2.5]
    assert of_curve([Point(loss=float(loss)) for loss in losses], EPOCHS) == []


@given(some.floats(0.0, 0.3), some.integers(0, 30))
def test_noise_is_no_reason(noise: float, seed: int) -> None:
    """A loss that falls, in steps that differ by a third, is sound."""
    generator = np.random.default_rng(seed)
    losses = np.linspace(3, 0.5, 40) * (1 + noise * generator.standard_normal(40).clip(-1, 1))
    assert of_curve([Point(loss=float(loss)) for loss in losses], EPOCHS) == []


@pytest.mark.parametrize(
    ("kl", "prompts", "gain", "named"),
    [
        (0.0, 64, 0.0, 1),
        (0.0, 64, 1e-6, 0),
        (1e-6, 64, 0.0, 0),
        (0.0, 0, 0.0, 0),
        (0.1, 64, 2.0, 0),
    ],
)
def test_an_adapter_that_changes_no_probability_is_named(
    kl: float, prompts: int, gain: float, named: int
) -> None:
    """Both must be exactly the base's, on prompts that were asked."""
    assert len(of_effect(kl, prompts, gain)) == named


def test_within_one_epoch_the_loss_need_not_fall(tmp_path: Path, tensors: Tensors) -> None:
    """Nothing is read twice: its last rows may be harder than its first."""
    rising = log(last=3.0)
    soundness.check(left(tmp_path / "once", tensors, rising), Recipe(epochs=1).falls_over)
    with pytest.raises(Unsound, match="did not fall"):
        soundness.check(left(tmp_path / "twice", tensors, rising), Recipe(epochs=2).falls_over)


def test_the_loss_of_self_distillation_need_not_fall(tmp_path: Path, tensors: Tensors) -> None:
    """It is on other words at each step; gradients and weights are looked at all the same."""
    rising = log(last=3.0)
    soundness.check(left(tmp_path / "own", tensors, rising), Recipe(name="sdft").falls_over)
    with pytest.raises(Unsound, match="did not fall"):
        soundness.check(left(tmp_path / "given", tensors, rising), Recipe().falls_over)
