"""What sort of question a held-out example is: where it came from, and how long ago.

A slice is a name and a value. Whoever knows more of an example (its product, its topic) adds a name
here; what compares slices reads whatever names there are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from sqlmodel import Session, col, func, select

from bot.store.schema import DatasetExample, Example, ExampleSource, now
from training.replay import load_prompts

EVERYWHERE = "workspace"  # it has no channel: imported, say
AGES = ((7, "up to a week"), (30, "up to a month"), (90, "up to three months"))
OLD = "older"
NO_PRODUCT = "none named"
MOST_PRODUCTS = 5
NAMED = 0.05  # of the questions name a product, and at least …
LEAST_NAMED = 3  # … so many
_NAME = re.compile(r"(?<=[\w,;)] )[A-Z]\w{2,}")  # with a capital inside a sentence


def of_dataset(session: Session, dataset_id: int | None) -> dict[int, dict[str, str]]:
    """The slices of each example that the dataset holds out, by its id."""
    channels = (
        select(ExampleSource.example_id, func.min(ExampleSource.channel).label("channel"))
        .group_by(col(ExampleSource.example_id))
        .subquery()
    )
    rows = (
        select(Example.id, Example.scope, Example.created_at, channels.c.channel)
        .join(DatasetExample, col(DatasetExample.example_id) == Example.id)
        .outerjoin(channels, channels.c.example_id == Example.id)
        .where(DatasetExample.dataset_id == dataset_id, DatasetExample.split != "train")
    )
    questions, today = _questions(session, dataset_id), now()
    known = products(questions.values())
    return {
        key: {"channel": scope or channel or EVERYWHERE, "age": age(made, today)}
        | ({"product": product(questions[key], known)} if known else {})
        for key, scope, made, channel in session.exec(rows)
        if key is not None
    }


def products(questions: Iterable[str]) -> list[str]:
    """The names that many questions share and everyday prompts never use, the commonest first.

    Nobody says what the house's products are; but people write their names with a capital.
    """
    asked = list(questions)
    everyday = set(re.findall(r"\w+", " ".join(load_prompts()).casefold()))
    named = Counter(name for question in asked for name in set(_NAME.findall(question)))
    least = max(LEAST_NAMED, NAMED * len(asked))
    found = [name for name, many in named.most_common() if many >= least]
    return [name for name in found if name.casefold() not in everyday][:MOST_PRODUCTS]


def product(question: str, known: Iterable[str]) -> str:
    """The first of the known products that a question names, however it is written."""
    words = {word.casefold() for word in re.findall(r"\w+", question)}
    return next((name for name in known if name.casefold() in words), NO_PRODUCT)


def age(made: datetime, today: datetime) -> str:
    """How old an example is, roughly."""
    days = (today - made).days
    return next((words for most, words in AGES if days < most), OLD)


def _questions(session: Session, dataset_id: int | None) -> dict[int, str]:
    rows = (
        select(Example.id, Example.question)
        .join(DatasetExample, col(DatasetExample.example_id) == Example.id)
        .where(DatasetExample.dataset_id == dataset_id)
    )
    return {key: question for key, question in session.exec(rows) if key is not None}
