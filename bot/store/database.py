"""Opening the database: one engine a process, short transactions, on SQLite and PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlmodel import Session, create_engine

POOL = 32  # as many connections as the bot has threads for store calls


class BadDatabaseUrl(Exception):
    """DATABASE_URL is not a SQLite or PostgreSQL URL."""


def open_engine(url: str) -> Engine:
    """Make the engine for `url` (``sqlite:///file`` or ``postgresql+psycopg://…``).

    Plain ``postgresql://`` is taken to mean psycopg 3.

    Raises:
        BadDatabaseUrl: anything else; the message never repeats the URL, which may hold a password.
            Also when the directory of a SQLite file cannot be made.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise BadDatabaseUrl(BadDatabaseUrl.__doc__) from error
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername == "postgresql+psycopg":
        return create_engine(parsed, pool_pre_ping=True, pool_size=POOL, hide_parameters=True)
    if parsed.drivername != "sqlite":
        raise BadDatabaseUrl(BadDatabaseUrl.__doc__)
    if parsed.database and parsed.database != ":memory:":
        _make_directory(Path(parsed.database).parent)
    # SQLite has one writer at a time. Threads of this process queue for a lock instead of asking
    # SQLite again and again: that is quicker, and nobody starves.
    turn = {"mynah_turn": threading.Lock()}
    engine = create_engine(
        parsed, connect_args={"timeout": 30}, execution_options=turn, hide_parameters=True
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _make_directory(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = f"DATABASE_URL: cannot make the directory {directory}: {error.strerror}"
        raise BadDatabaseUrl(why) from error


@contextmanager
def transaction(engine: Engine) -> Iterator[Session]:
    """A session in one transaction that may write: committed at the end, undone on an exception.

    On SQLite it takes the write lock at once, so hold nothing slow (no network, no model) inside.
    Objects stay readable after the commit.
    """
    turn = engine.get_execution_options().get("mynah_turn", nullcontext())
    with turn, Session(engine, expire_on_commit=False) as session, session.begin():
        session.connection(execution_options={"mynah_write": True})
        yield session


@contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """A session that only reads; on SQLite it never waits for a writer."""
    with Session(engine, expire_on_commit=False) as session:
        yield session


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver must not open transactions by itself: its deferred BEGIN makes a read followed by
    # a write fail at once under several processes, whatever the time-out.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "foreign_keys=ON",
        "busy_timeout=30000",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Any) -> None:
    write = connection.get_execution_options().get("mynah_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
