"""Migrations: from nothing to this version's tables, on both databases."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlmodel import SQLModel, select

from bot.store import schema
from bot.store.database import BadDatabaseUrl, reading, transaction
from deploy.migrate import StoreNotReady, check, config, upgrade
from tests.stores import opened


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'new' / 'mynah.db'}"
    return str(request.getfixturevalue("pg_empty_url"))


def test_the_migrations_make_exactly_the_tables_of_the_schema(empty_url: str) -> None:
    """Tables, columns, types, indexes and constraints: no difference to schema.py is left."""
    upgrade(empty_url)
    with opened(empty_url) as engine, engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, SQLModel.metadata) == []


def test_the_indexes_of_the_queues_hold_open_rows_only(empty_url: str) -> None:
    """The conditions of the partial indexes reach the database (the comparison skips them)."""
    upgrade(empty_url)
    found = {}
    with opened(empty_url) as engine:
        for table in ("inbox", "outbox", "run"):
            for index in inspect(engine).get_indexes(table):
                options = index.get("dialect_options", {})
                found[index["name"]] = str(options.get(f"{engine.dialect.name}_where"))
    queues = {"inbox_open", "inbox_lane", "outbox_open", "outbox_lane"}
    assert all("waiting" in found[name] and "claimed" in found[name] for name in queues)
    assert "running" in found["one_running"]


def test_an_upgrade_keeps_what_was_answered(empty_url: str) -> None:
    """Rows that refer to each other survive a change of their tables, and still do so."""
    with opened(empty_url) as engine, engine.begin() as connection:
        command.upgrade(config(connection), "0001")
        for table in ("release", "question", "answer", "outbox"):
            columns = {column["name"]: column for column in inspect(connection).get_columns(table)}
            needed = {name for name, column in columns.items() if not column["nullable"]}
            needed |= {"answer_id"} & set(columns)
            values = {name: _some(str(columns[name]["type"])) for name in needed}
            names = ", ".join(f'"{name}"' for name in values)
            places = ", ".join(f":{name}" for name in values)
            connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({places})"), values)
    upgrade(empty_url)
    with opened(empty_url) as engine, reading(engine) as session:
        rows = session.exec(
            text("SELECT answer_id FROM outbox JOIN answer ON answer_id = answer.id")
        )  # type: ignore[call-overload]
        assert rows.all() == [(1,)]


def test_what_was_evaluated_before_had_enough_to_tell(empty_url: str) -> None:
    """Verdicts of an older version were pass or fail, and stay so."""
    with opened(empty_url) as engine, engine.begin() as connection:
        command.upgrade(config(connection), "0004")
        for table in ("run", "adapter", "evaluation"):
            columns = inspect(connection).get_columns(table)
            needed = {one["name"]: str(one["type"]) for one in columns if not one["nullable"]}
            values = {name: _some(kind) for name, kind in needed.items()} | {"id": 1}
            values = {name: (False if name == "passed" else one) for name, one in values.items()}
            names = ", ".join(f'"{name}"' for name in values)
            places = ", ".join(f":{name}" for name in values)
            connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({places})"), values)
    upgrade(empty_url)
    with opened(empty_url) as engine, reading(engine) as session:
        row = session.execute(text("SELECT passed, enough FROM evaluation")).one()
        assert tuple(map(bool, row)) == (False, True)


def test_what_a_run_trained_before_is_its_only_trial(empty_url: str) -> None:
    """A run of an older version tried one recipe, and its evaluation stays; a way back is there."""
    with opened(empty_url) as engine, engine.begin() as connection:
        command.upgrade(config(connection), "0005")
        for table in ("adapter", "run", "evaluation"):
            columns = inspect(connection).get_columns(table)
            needed = {one["name"]: str(one["type"]) for one in columns if not one["nullable"]}
            values = {name: _some(kind) for name, kind in needed.items()} | {"id": 1}
            values |= {"adapter_id": 1, "recipe": '{"name": "sft+dpo"}'} if table == "run" else {}
            values |= {"passed": True, "enough": True} if table == "evaluation" else {}
            names = ", ".join(f'"{name}"' for name in values)
            places = ", ".join(f":{name}" for name in values)
            connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({places})"), values)
    upgrade(empty_url)
    with opened(empty_url) as engine:
        with reading(engine) as session:
            [trial] = session.exec(select(schema.Trial)).all()
            assert (trial.run_id, trial.name, trial.adapter_id) == (1, "sft+dpo", 1)
            assert trial.recipe == {"name": "sft+dpo"}
        with engine.begin() as connection:
            command.downgrade(config(connection), "0005")
            assert connection.execute(text("SELECT run_id FROM evaluation")).all() == [(1,)]


def _some(kind: str) -> Any:
    """A value of a column's type; 1 for each key."""
    if kind.startswith(("INTEGER", "DOUBLE", "FLOAT")):
        return 1
    times = {"DATETIME": "2026-01-01 00:00:00.000000", "TIMESTAMP": "2026-01-01 00:00:00+00"}
    return times.get(kind, "{}")


def test_a_new_database_is_not_ready_until_it_is_upgraded(empty_url: str) -> None:
    """The line says what to run; afterwards the check passes, however often it is upgraded."""
    with pytest.raises(StoreNotReady, match="run `mynah db upgrade`"):
        check(empty_url)
    upgrade(empty_url)
    check(empty_url)
    upgrade(empty_url)
    check(empty_url)


def test_upgrading_keeps_what_is_there(empty_url: str) -> None:
    """A second upgrade touches no row."""
    upgrade(empty_url)
    with opened(empty_url) as engine:
        with transaction(engine) as session:
            session.add(schema.Team(team_id="T1", name="Help"))
        upgrade(empty_url)
        with reading(engine) as session:
            assert session.get_one(schema.Team, "T1").name == "Help"


def test_a_database_of_a_newer_version_is_left_alone(empty_url: str) -> None:
    """An older Mynah neither changes it nor runs on it."""
    upgrade(empty_url)
    with opened(empty_url) as engine, transaction(engine) as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for do in (check, upgrade):
        with pytest.raises(StoreNotReady, match=r"newer Mynah \(revision 9999\)"):
            do(empty_url)


def test_a_migration_that_breaks_leaves_the_database_as_it_was(empty_url: str) -> None:
    """All or nothing: a table that is in the way stops it, and none of the others is made."""
    with opened(empty_url) as engine, transaction(engine) as session:
        session.execute(text("CREATE TABLE question (id INTEGER)"))
    with pytest.raises(StoreNotReady, match="question"):
        upgrade(empty_url)
    with opened(empty_url) as engine:
        assert inspect(engine).get_table_names() == ["question"]


def test_processes_that_upgrade_at_once_all_end_well(empty_url: str) -> None:
    """Bot, worker and operator may upgrade the same new database at the same moment."""
    code = "import sys; from deploy.migrate import upgrade; upgrade(sys.argv[1])"
    processes = [subprocess.Popen([sys.executable, "-c", code, empty_url]) for _ in range(3)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0]
    check(empty_url)


def test_a_database_that_cannot_be_reached_is_one_line_without_the_password() -> None:
    """The line names what failed, not the secret."""
    with pytest.raises(StoreNotReady, match="DATABASE_URL") as refusal:
        upgrade("postgresql://mynah:hunter2@127.0.0.1:1/mynah")
    assert "hunter2" not in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_file_that_is_no_database_is_one_line(tmp_path: Path) -> None:
    """A path to something else gives a clear line, and the file stays as it is."""
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to be taken for one " * 20)
    before = path.read_bytes()
    for do in (check, upgrade):
        with pytest.raises(StoreNotReady, match="file is not a database"):
            do(f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_a_wrong_url_is_refused() -> None:
    """What is no SQLite or PostgreSQL URL gets nowhere."""
    with pytest.raises(BadDatabaseUrl):
        upgrade("mysql://x")


def test_checking_makes_no_file(tmp_path: Path) -> None:
    """Looking whether a database is there does not create one."""
    with pytest.raises(StoreNotReady, match="mynah db upgrade"):
        check(f"sqlite:///{tmp_path / 'mynah.db'}")
    assert not (tmp_path / "mynah.db").exists()


def test_a_new_revision_of_an_unchanged_schema_is_empty(tmp_path: Path) -> None:
    """`python -m deploy.migrations` sees no difference between the migrations and the schema."""
    copy = tmp_path / "repo"
    copy.mkdir()
    root = Path(__file__).parents[2]
    for name in ("bot", "deploy", "serving"):
        subprocess.run(["cp", "-r", str(root / name), str(copy)], check=True)
    command = [sys.executable, "-m", "deploy.migrations", "9999", "Nothing"]
    subprocess.run(command, cwd=copy, check=True, capture_output=True)
    written = (copy / "deploy/migrations/versions/9999_nothing.py").read_text()
    assert '"""Nothing."""' in written
    assert written.count("    pass\n") == 2
