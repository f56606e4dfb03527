"""Inserting what may be there already, whoever else inserts it at the same moment."""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, SQLModel


def insert_once(session: Session, row: SQLModel) -> bool:
    """Insert `row` unless a unique constraint holds it already; True when it was inserted.

    On PostgreSQL it waits for another transaction that is just inserting the same. The object
    itself does not join the session.
    """
    table: Any = type(row)
    values = {name: value for name, value in row.model_dump().items() if value is not None}
    if session.get_bind().dialect.name == "postgresql":
        made: Any = postgresql.insert(table).values(values).on_conflict_do_nothing()
    else:
        made = sqlite.insert(table).values(values).on_conflict_do_nothing()
    key = next(iter(table.__table__.primary_key))
    return session.execute(made.returning(key)).first() is not None
