"""What sort of question a held-out example is: where it came from, and how long ago.

A slice is a name and a value. Whoever knows more of an example (its product, its topic) adds a name
here; what compares slices reads whatever names there are.
"""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session, col, func, select

from bot.store.schema import DatasetExample, Example, ExampleSource, now

EVERYWHERE = "workspace"  # it has no channel: imported, say
AGES = ((7, "up to a week"), (30, "up to a month"), (90, "up to three months"))
OLD = "older"


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
    today = now()
    return {
        key: {"channel": scope or channel or EVERYWHERE, "age": age(made, today)}
        for key, scope, made, channel in session.exec(rows)
        if key is not None
    }


def age(made: datetime, today: datetime) -> str:
    """How old an example is, roughly."""
    days = (today - made).days
    return next((words for most, words in AGES if days < most), OLD)
