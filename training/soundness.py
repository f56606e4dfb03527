"""Training that went wrong without a word: found by what it leaves, and named.

A run can end without an error and still have learned nothing. Each check here looks at a part of
what a finished training left (its curve, its weights) and says in an admin's words what is wrong
with it; without a word from any of them the adapter is worth measuring.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, TypeAdapter

from serving.adapters import KEY, WEIGHTS, BadAdapter, tensors
from training.failures import TrainingFailed

CURVE = "curve.json"  # beside the weights; it is not published
PARTS = 10  # the first tenth of a training is compared with the last …
MUST_FALL_TO = 0.9  # … whose loss must be at most so much of the first's
NO_GRADIENT = 1e-12
NO_WEIGHT = 1e-8


class Point(BaseModel):
    """One optimizer step of a training."""

    model_config = ConfigDict(frozen=True)

    loss: float | None  # of the taught answers, nats a token; None: it was not a number
    gradient: float | None = None  # norm before clipping; None: not known, or not a number
    kl: float | None = None  # to the base model, over what is replayed


class Unsound(TrainingFailed):
    """The training ended, but what it left is worth nothing; `reasons` say why."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


def check(directory: Path, epochs: int | None) -> None:
    """Look at a finished training.

    Args:
        directory: with the adapter's weights and, where its trainer wrote one, its curve.
        epochs: over which the loss must have fallen; None: it need not (`Recipe.falls_over`).

    Raises:
        Unsound: with everything that is wrong.
        BadAdapter: the weights cannot be read.
    """
    if reasons := [*of_curve(read_curve(directory), epochs), *of_weights(directory)]:
        raise Unsound(reasons)


def of_curve(curve: Sequence[Point], epochs: int | None) -> list[str]:
    """What is wrong with a loss curve; nothing is said of one that is empty. See `check`."""
    broken = [step for step, point in enumerate(curve, 1) if not _is_number(point.loss)]
    if broken:
        return [f"the loss is not a number at step {broken[0]} of {len(curve)}"]
    losses = [point.loss for point in curve if point.loss is not None]
    gradients = [point.gradient for point in curve if point.gradient is not None]
    fallen = [] if epochs is None else _of_losses(losses, epochs)
    return [*fallen, *_of_gradients(gradients)]


def of_tensors(weights: Iterable[tuple[str, NDArray[np.float32]]]) -> list[str]:
    """What is wrong with LoRA halves, by their PEFT names: values, and whether they do anything."""
    largest: dict[str, dict[str, float]] = {}
    broken: list[str] = []
    for key, values in weights:
        if not np.isfinite(values).all():
            broken.append(key)
        elif match := KEY.fullmatch(key):
            halves = largest.setdefault(match["module"], {})
            halves[match["half"]] = float(np.abs(values).max(initial=0.0))
    if broken:
        where = min(broken) + (f" and {len(broken) - 1} more" if len(broken) > 1 else "")
        return [f"the adapter holds values that are not numbers: {where}"]
    # An adapter adds B·A: where one of the two is zero, so is what is added. B starts at zero.
    if largest and all(_is_idle(halves) for halves in largest.values()):
        return ["the adapter is all zeros: training had no effect"]
    return []


def of_effect(kl: float, kl_prompts: int, gain_over_base: float) -> list[str]:
    """What is wrong with an adapter that gives each token the base's own probability.

    Args:
        kl: mean KL to the base a token, over the answers to `kl_prompts` prompts.
    """
    if kl == 0 and kl_prompts and gain_over_base == 0:
        return [
            f"the adapter has no effect: on {kl_prompts} prompts and on all held-out questions"
            " every probability is the base model's"
        ]
    return []


def of_weights(directory: Path) -> list[str]:
    """`of_tensors` of an adapter's file. Raises BadAdapter."""
    try:
        content = (directory / WEIGHTS).read_bytes()
    except OSError as error:
        raise BadAdapter(f"cannot read {WEIGHTS}: {error.strerror}") from error
    return of_tensors(tensors(content))


def read_curve(directory: Path) -> list[Point]:
    """The curve that a trainer wrote; empty where it wrote none, or half of one."""
    path = directory / CURVE
    if not path.exists():
        return []
    try:
        return TypeAdapter(list[Point]).validate_json(path.read_bytes())
    except ValueError:  # the disk was full, say; without a curve the adapter still can be measured
        return []


def write_curve(history: Iterable[Mapping[str, Any]], directory: Path) -> None:
    """Write a Hugging Face trainer's log beside the weights, a point for each step."""
    points = [point.model_dump() for point in of_log(history)]
    beside = directory / f"{CURVE}.part"
    beside.write_text(json.dumps(points), "ascii")
    beside.replace(directory / CURVE)


def of_log(history: Iterable[Mapping[str, Any]]) -> list[Point]:
    """The steps in a Hugging Face trainer's log."""
    return [
        Point(
            loss=_number(entry["fact_loss"]),
            gradient=_number(entry.get("grad_norm")),
            kl=_number(entry.get("kl")),
        )
        for entry in history
        if "fact_loss" in entry
    ]


def _of_losses(losses: Sequence[float], epochs: int) -> list[str]:
    """A tenth, but never less than an epoch: whole epochs hold the same facts, and single steps
    differ too much to be compared."""
    length = max(1, len(losses) // min(PARTS, max(2, epochs)))
    if len(losses) < 2:
        return []
    first, last = sum(losses[:length]) / length, sum(losses[-length:]) / length
    if last <= first * MUST_FALL_TO:
        return []
    return [f"the loss did not fall: {first:.2f} at first, {last:.2f} at the end"]


def _of_gradients(gradients: Sequence[float]) -> list[str]:
    still = sum(gradient <= NO_GRADIENT for gradient in gradients)
    if still * 2 <= len(gradients):
        return []
    return [f"nothing was learned in {still} of {len(gradients)} steps: the gradients are zero"]


def _is_idle(halves: Mapping[str, float]) -> bool:
    return min(halves.get("A", 0.0), halves.get("B", 0.0)) < NO_WEIGHT


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _number(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
