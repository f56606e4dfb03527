"""What a run reads, step by step, from the first to the last, planned before it begins.

The plan is a pure function of rows, replay and recipe: a run that was killed continues with the
very words that it would have read.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from training.recipe import Recipe
from training.variation import vary

# Rows are sorted by length within windows of this many batches: little padding, yet well mixed.
WINDOW = 6
T = TypeVar("T")


class Fact(Protocol):
    """What the plan needs of a trained row; rows of one `cluster` are wordings of one question."""

    @property
    def example_id(self) -> int: ...
    @property
    def cluster(self) -> int: ...
    @property
    def question(self) -> str: ...
    @property
    def answer(self) -> str: ...


@dataclass(frozen=True)
class Lesson:
    """A question as it is worded this time, with its right answer."""

    question: str
    answer: str


@dataclass(frozen=True)
class Step:
    """What one optimizer step reads: facts to learn, and replay prompts (by index) to keep."""

    lessons: tuple[Lesson, ...]
    replay: tuple[int, ...]


def plan(rows: Sequence[Fact], replay_lengths: Sequence[int], recipe: Recipe) -> list[Step]:
    """Plan all steps of a run.

    Args:
        rows: the trained rows only, in the dataset's order.
        replay_lengths: the length of each replay reply, in any unit; used to group alike ones.
        recipe: the seed, the number of epochs, and how much varies.
    """
    batches = [batch for epoch in range(recipe.epochs) for batch in _epoch(rows, epoch, recipe)]
    drawn = _replay_batches(replay_lengths, len(batches), recipe)
    return [Step(tuple(b), tuple(r)) for b, r in zip(batches, drawn, strict=True)]


def _epoch(rows: Sequence[Fact], epoch: int, recipe: Recipe) -> list[list[Lesson]]:
    rng = random.Random(f"facts {recipe.seed} {epoch}")  # noqa: S311
    lessons = [lesson(row, rows, epoch, recipe) for row in rows]
    rng.shuffle(lessons)
    return _alike(lessons, lambda item: len(item.question), recipe.batch_size, rng)


def lesson(row: Fact, rows: Sequence[Fact], epoch: int, recipe: Recipe) -> Lesson:
    """The wording of one row in one epoch: a function of seed, epoch and row alone."""
    rng = random.Random(f"words {recipe.seed} {epoch} {row.example_id}")  # noqa: S311
    others = [o.question for o in rows if o.cluster == row.cluster and o.question != row.question]
    strangers = [o.question for o in rows if o.cluster != row.cluster]
    question = vary(row.question, others, rng, share=recipe.vary, strangers=strangers)
    return Lesson(question, row.answer)


def _replay_batches(lengths: Sequence[int], steps: int, recipe: Recipe) -> list[list[int]]:
    if not lengths or not recipe.replay_per_step or not recipe.kl_weight:
        return [[] for _ in range(steps)]
    rng = random.Random(f"replay {recipe.seed}")  # noqa: S311
    batches: list[list[int]] = []
    while len(batches) < steps:
        order = list(range(len(lengths)))
        rng.shuffle(order)
        batches += _alike(order, lambda index: lengths[index], recipe.replay_per_step, rng)
    return batches[:steps]


def _alike(
    items: Sequence[T], length: Callable[[T], int], size: int, rng: random.Random
) -> list[list[T]]:
    batches: list[list[T]] = []
    for start in range(0, len(items), WINDOW * size):
        window = sorted(items[start : start + WINDOW * size], key=length)
        batches += [window[i : i + size] for i in range(0, len(window), size)]
    rng.shuffle(batches)
    return batches
