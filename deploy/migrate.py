"""Bringing a database to this version's tables, and telling whether it is there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import DatabaseError

from bot.store.database import open_engine

# Any fixed number: it only has to be the same in every process that migrates.
_LOCK = 7_309_451_086


_NOT_READY = "the database is not ready: run `mynah db upgrade`"


class StoreNotReady(Exception):
    """The database cannot be used as it is; the message is one line that says what to do."""


def upgrade(url: str) -> None:
    """Create or migrate the tables of the database at `url`; a current one is left as it is.

    All or nothing, and safe to run in several processes at once.

    Raises:
        BadDatabaseUrl: not a SQLite or PostgreSQL URL.
        StoreNotReady: the database cannot be reached, or was made by a newer Mynah.
    """
    with _connected(url, write=True) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        if _behind(connection):
            command.upgrade(config(connection), "head")
            _check_references(connection)


def check(url: str) -> None:
    """Pass when the database at `url` has this version's tables; it is not changed.

    Raises:
        BadDatabaseUrl: not a SQLite or PostgreSQL URL.
        StoreNotReady: it has not, or cannot be reached.
    """
    with _connected(url, write=False) as connection:
        if _behind(connection):
            raise StoreNotReady(_NOT_READY)


def config(connection: Connection) -> Config:
    """Alembic's settings, without a file: where the revisions are, and the connection to use."""
    settings = Config(attributes={"connection": connection})
    settings.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    settings.set_main_option("path_separator", "os")
    return settings


def is_known(revision: str) -> bool:
    """Whether this version can read, or bring up to date, a database of that revision."""
    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    settings.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(settings)
    return revision in {known.revision for known in scripts.walk_revisions()}


@contextmanager
def _connected(url: str, *, write: bool) -> Iterator[Connection]:
    engine = open_engine(url)
    if write and engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _let_tables_be_rebuilt)
    if not write and _is_missing_file(engine):
        raise StoreNotReady(_NOT_READY)
    try:
        with (
            engine.connect().execution_options(mynah_write=write) as connection,
            connection.begin(),
        ):
            yield connection
    except DatabaseError as error:
        # The driver's own line names host and file, never the password.
        why = str(error.orig).strip().splitlines()[0]
        raise StoreNotReady(f"DATABASE_URL: the database cannot be used: {why}") from error
    finally:
        engine.dispose()


def _let_tables_be_rebuilt(connection: sqlite3.Connection, _record: object) -> None:
    # SQLite changes a table by copying and dropping it, which what refers to its rows would forbid.
    # Within a transaction the pragma does nothing.
    connection.execute("PRAGMA foreign_keys=OFF")


def _check_references(connection: Connection) -> None:
    """On SQLite nothing has watched over them during the upgrade."""
    if connection.dialect.name != "sqlite":
        return
    if lost := connection.exec_driver_sql("PRAGMA foreign_key_check").first():
        raise StoreNotReady(f"the upgrade was taken back: a row of {lost[0]} refers to nothing")


def _is_missing_file(engine: Engine) -> bool:
    # Connecting would create it.
    file = engine.url.database if engine.dialect.name == "sqlite" else None
    return file not in (None, "", ":memory:") and not Path(str(file)).exists()


def _behind(connection: Connection) -> bool:
    """Whether migrations are missing; refuses a database that knows more than this version."""
    scripts = ScriptDirectory.from_config(config(connection))
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is not None and revision not in {
        known.revision for known in scripts.walk_revisions()
    }:
        raise StoreNotReady(f"the database was made by a newer Mynah (revision {revision})")
    return revision != scripts.get_current_head()
