"""A store for a measurement: an empty database, never one that somebody uses."""

from __future__ import annotations

from sqlalchemy import inspect

from bot.store.database import open_engine
from deploy.local import SetFailed
from deploy.migrate import upgrade


class NotEmpty(SetFailed):
    """DATABASE_URL: there are tables already; what is measured needs a database of its own."""


def make_store(url: str) -> None:
    """Make the tables.

    Raises:
        NotEmpty: there are some, which nothing was done to.
        BadDatabaseUrl: it cannot be opened.
    """
    engine = open_engine(url)
    try:
        if inspect(engine).get_table_names():
            raise NotEmpty(NotEmpty.__doc__)
    finally:
        engine.dispose()
    upgrade(url)
