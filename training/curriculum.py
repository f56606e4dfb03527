"""What a run reads, step by step, from the first to the last, planned before it begins.

The plan is a pure function of rows, replay and recipe: a run that was killed continues with the
very words that it would have read.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from bot.prompt import Note
from training.neighbours import groups
from training.recipe import Recipe
from training.replay import Reply
from training.variation import house_words, name_house, vary

T = TypeVar("T")
DRAWN = 8  # notes


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
class Exchange:
    """A question as it is worded this time, with its answer; `ended` as in Reply.

    With a note it is asked open book: the approved answer that memory would put beside it.
    """

    question: str
    answer: str
    ended: bool = True
    note: Note | None = None


@dataclass(frozen=True)
class Step:
    """What one optimizer step reads: facts to learn, and the base's own answers to keep."""

    lessons: tuple[Exchange, ...]
    replay: tuple[Exchange, ...]


def plan(rows: Sequence[Fact], replay: Sequence[Reply], recipe: Recipe) -> list[Step]:
    """Plan all steps of a run.

    Args:
        rows: the trained rows only, in the dataset's order.
        replay: the base's answers; those without a word are left out.
        recipe: the seed, the number of epochs, and how much varies.
    """
    batches = [batch for epoch in range(recipe.epochs) for batch in _epoch(rows, epoch, recipe)]
    house = house_words([row.question for row in rows], [reply.prompt for reply in replay])
    said = [reply for reply in replay if reply.answer]
    notes = list(dict.fromkeys(Note(row.question, row.answer) for row in rows))
    kept = _replay(said, house, notes, len(batches), recipe)
    return [Step(tuple(b), tuple(k)) for b, k in zip(batches, kept, strict=True)]


def lesson(row: Fact, rows: Sequence[Fact], epoch: int, recipe: Recipe) -> Exchange:
    """The wording of one row in one epoch: a function of seed, epoch and row alone.

    Args:
        rows: the rows of its cluster, in the dataset's order.
    """
    rng = _rng("words", recipe, epoch, row.example_id)
    others = [other.question for other in rows if other.question != row.question]
    question = vary(row.question, rng, share=recipe.vary, others=others)
    is_long = len(row.answer.split()) > recipe.long_words
    share = recipe.open_book_long if is_long else recipe.open_book
    beside = Note(row.question, row.answer) if rng.random() < share else None
    return Exchange(question, row.answer, note=beside)


def _epoch(rows: Sequence[Fact], epoch: int, recipe: Recipe) -> list[list[Exchange]]:
    clusters = groups([row.cluster for row in rows])
    lessons = [
        lesson(row, [rows[at] for at in clusters[row.cluster]], epoch, recipe) for row in rows
    ]
    _rng("facts", recipe, epoch).shuffle(lessons)
    return _batches(lessons, recipe.batch_size)


def _replay(
    replies: Sequence[Reply],
    house: Sequence[str],
    notes: Sequence[Note],
    steps: int,
    recipe: Recipe,
) -> list[list[Exchange]]:
    """Round after round of all replies, worded anew each time as the facts are."""
    if not replies or not recipe.replay_per_step or not recipe.kl_weight:
        return [[] for _ in range(steps)]
    drawn: list[Exchange] = []
    rounds = 0
    while len(drawn) < steps * recipe.replay_per_step:
        order = list(range(len(replies)))
        _rng("replay", recipe, rounds).shuffle(order)
        drawn += [
            _kept(replies[n], house, notes, _rng("kept", recipe, rounds, n), recipe) for n in order
        ]
        rounds += 1
    return _batches(drawn, recipe.replay_per_step)[:steps]


def _kept(
    reply: Reply, house: Sequence[str], notes: Sequence[Note], rng: random.Random, recipe: Recipe
) -> Exchange:
    # Questions that only look like the taught ones must not be answered with a fact: neither
    # hasty wording nor the house's own name may be what tells them apart.
    prompt = reply.prompt
    if house and rng.random() < recipe.replay_house:
        prompt = name_house(prompt, rng.choice(house), rng)
    beside = _stray(prompt, notes, rng) if rng.random() < recipe.stray_notes else None
    worded = vary(prompt, rng, share=recipe.replay_vary)
    return Exchange(worded, reply.answer, reply.ended, beside)


def _stray(prompt: str, notes: Sequence[Note], rng: random.Random) -> Note | None:
    """A note about something else; of a few drawn the one whose question has most words in common,
    since that is the sort of mistake that memory makes."""
    words = set(prompt.lower().split())
    drawn = rng.sample(notes, min(DRAWN, len(notes)))
    return max(drawn, key=lambda n: len(words & set(n.question.lower().split())), default=None)


def _batches(items: Sequence[T], size: int) -> list[list[T]]:
    return [list(items[start : start + size]) for start in range(0, len(items), size)]


def _rng(what: str, recipe: Recipe, *numbers: int) -> random.Random:
    return random.Random(" ".join([what, str(recipe.seed), *map(str, numbers)]))  # noqa: S311
