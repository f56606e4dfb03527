"""A database as a file, at one moment, while others write: SQLite's online backup, or pg_dump."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

from psycopg import sql
from psycopg.conninfo import make_conninfo
from sqlalchemy import URL, Connection, Engine, create_engine, inspect, make_url, text
from sqlalchemy.exc import DBAPIError

from bot.store.database import open_engine
from deploy.copies import BadBackup, Kind
from training.tidying import REMOVED

CLIENT = "it comes with PostgreSQL's client, of the server's version or newer"


@dataclass(frozen=True)
class AdapterRow:
    """An adapter as the database names it."""

    name: str
    sha256: str
    path: Path
    base_model: str
    base_sha256: str


@dataclass(frozen=True)
class Named:
    """What a database says of itself and of the files that belong to it."""

    db_schema: str
    revision: str
    base: str | None
    adapters: Sequence[AdapterRow]
    removed: Collection[str]  # adapters whose files Mynah itself removed: nothing wants them
    datasets: Mapping[str, Path]  # by content hash, which is the SHA-256 of the file


def kind_of(url: str) -> Kind:
    """Which kind of database a URL names. Raises BadDatabaseUrl."""
    engine = open_engine(url) if not url.startswith("sqlite") else None
    if engine is None:
        return "sqlite"
    engine.dispose()
    return "postgresql"


def sqlite_file(url: str) -> Path:
    """The file of a SQLite URL."""
    return Path(make_url(url).database or "").resolve()


def dump(url: str, file: Path) -> Named:
    """Copy the database at `url` to `file`, and say what the copy names.

    Raises:
        BadBackup: it cannot be read, or is no database of Mynah's.
    """
    try:
        return _dump_sqlite(url, file) if kind_of(url) == "sqlite" else _dump_postgresql(url, file)
    except (sqlite3.Error, DBAPIError) as error:
        why = str(getattr(error, "orig", error)).strip().splitlines()[0]
        raise BadBackup(f"DATABASE_URL: the database cannot be read: {why}") from error


def refuse_full(url: str) -> None:
    """Pass where a database can be recovered without touching another one. Raises BadBackup."""
    if kind_of(url) == "sqlite":
        if sqlite_file(url).exists():
            raise BadBackup(f"DATABASE_URL: {sqlite_file(url)} is there, and is not overwritten")
        return
    engine = open_engine(url)
    try:
        tables = inspect(engine).get_table_names()
    except DBAPIError as error:
        why = str(error.orig).strip().splitlines()[0]
        raise BadBackup(f"DATABASE_URL: the database cannot be used: {why}") from error
    finally:
        engine.dispose()
    if tables:
        raise BadBackup("DATABASE_URL: the database has tables already, and is not overwritten")


def set_paths(file: Path, data_dir: Path) -> None:
    """In a copy of a SQLite database: its adapters and datasets lie under `data_dir` now."""
    with closing(sqlite3.connect(file)) as connection, connection:
        for statement, start in _moves(data_dir):
            connection.execute(statement.format(schema="", start="?"), [start])


def load_postgresql(url: str, file: Path, db_schema: str, data_dir: Path) -> None:
    """Restore a dump into an empty database, with its files under `data_dir`: all or nothing.

    Raises:
        BadBackup: psql is missing or failed; nothing was changed.
    """
    moves = [
        sql.SQL(statement).format(
            schema=sql.SQL("{}.").format(sql.Identifier(db_schema)), start=sql.Literal(start)
        )
        for statement, start in _moves(data_dir)
    ]
    target, env = _libpq(make_url(url))
    words = ["psql", "--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1"]
    after = [f"--command={statement.as_string(None)}" for statement in moves]
    _call([*words, f"--dbname={target}", f"--file={file}", *after], env)


def _moves(data_dir: Path) -> list[tuple[LiteralString, str]]:
    """Where the files lie now: statements that both databases know, with what paths begin with."""
    return [
        ("UPDATE {schema}adapter SET path = {start} || name", f"{data_dir}/adapters/"),
        (
            "UPDATE {schema}dataset SET path = {start} || substr(content_hash, 1, 12) || '.jsonl'",
            f"{data_dir}/datasets/dataset-",
        ),
    ]


def _dump_sqlite(url: str, file: Path) -> Named:
    source = sqlite_file(url)
    if not source.is_file():
        raise BadBackup(f"DATABASE_URL: there is no database {source}")
    with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(file)) as kept:
        live.backup(kept)  # in one step: it holds nobody up, and nobody's write comes in between
        kept.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
        if (found := kept.execute("PRAGMA quick_check").fetchone()[0]) != "ok":
            raise BadBackup(f"DATABASE_URL: the database is damaged: {found}")
    engine = create_engine(f"sqlite:///{file}")
    with _disposed(engine), engine.connect() as connection:
        return _named(connection)


def _dump_postgresql(url: str, file: Path) -> Named:
    engine = open_engine(url)
    with _disposed(engine), engine.connect() as plain:
        connection = plain.execution_options(isolation_level="REPEATABLE READ")
        # The rows that are read here and those in the dump are of the same moment.
        snapshot = connection.execute(text("SELECT pg_export_snapshot()")).scalar_one()
        named = _named(connection)
        source, env = _libpq(make_url(url))
        words = ["pg_dump", "--no-owner", "--no-privileges", f"--snapshot={snapshot}"]
        tables = f'--table="{named.db_schema}".*'  # the schema itself is there where they go
        _call([*words, tables, f"--dbname={source}", f"--file={file}"], env)
        return named


def _named(connection: Connection) -> Named:
    tables = set(inspect(connection).get_table_names())
    if not {"alembic_version", "adapter", "dataset"} <= tables:
        raise BadBackup("DATABASE_URL: this is no database of Mynah's: it has not its tables")
    schema = ""
    if connection.dialect.name == "postgresql":
        schema = str(connection.execute(text("SELECT current_schema()")).scalar_one())
    revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
    adapters = connection.execute(
        text("SELECT name, sha256, path, base_model, base_sha256 FROM adapter ORDER BY id")
    )
    datasets = connection.execute(text("SELECT content_hash, path FROM dataset ORDER BY id"))
    removed = connection.execute(
        text("SELECT subject FROM audit WHERE action = :action"), {"action": REMOVED}
    )
    return Named(
        db_schema=schema,
        revision=str(revision),
        base=_base(connection) if "served_base" in tables else None,
        adapters=[AdapterRow(a, b, Path(c), d, e) for a, b, c, d, e in adapters],
        removed={subject.removeprefix("adapter:") for (subject,) in removed},
        datasets={str(content_hash): Path(path) for content_hash, path in datasets},
    )


def _base(connection: Connection) -> str | None:
    rows = text("SELECT model, sha256 FROM served_base ORDER BY id DESC LIMIT 1")
    row = connection.execute(rows).first()
    return f"{row.model}@{row.sha256[:12]}" if row else None


def _libpq(url: URL) -> tuple[str, Mapping[str, str]]:
    """How PostgreSQL's own programs are told where to go: the password is in no command line."""
    named = url.translate_connect_args(username="user", database="dbname")
    password = named.pop("password", None)
    options: dict[str, Any] = {**named, **url.query}
    return make_conninfo(**options), {"PGPASSWORD": str(password)} if password else {}


def _call(words: Sequence[str], env: Mapping[str, str]) -> None:
    try:
        ended = subprocess.run(
            words, env={**os.environ, **env}, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise BadBackup(f"{words[0]} is not installed: {CLIENT}") from error
    if ended.returncode:
        lines = [line for line in ended.stderr.strip().splitlines() if "error" in line.lower()]
        why = lines[0] if lines else f"it ended with {ended.returncode}"
        raise BadBackup(f"{words[0]}: {why.removeprefix(words[0]).lstrip(': ')}")


@contextmanager
def _disposed(engine: Engine) -> Iterator[None]:
    try:
        yield
    finally:
        engine.dispose()
