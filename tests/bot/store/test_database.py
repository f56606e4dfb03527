"""Opening the database and what a transaction promises."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError
from sqlalchemy.pool import QueuePool
from sqlmodel import Session, select

from bot.store.database import BadDatabaseUrl, open_engine, reading, transaction
from bot.store.schema import Answer, AnswerMode, Team
from tests.stores import TEAM, opened


@pytest.mark.parametrize(
    "url", ["", "nonsense", "mysql://me:hunter2@host/x", "postgresql+pg8000://x"]
)
def test_a_url_of_another_kind_is_refused_without_repeating_it(url: str) -> None:
    """A wrong DATABASE_URL gives one clear line that holds no password."""
    with pytest.raises(BadDatabaseUrl) as refusal:
        open_engine(url)
    assert "DATABASE_URL" in str(refusal.value)
    assert "hunter2" not in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A SQLite path under a plain file is refused with the directory's name."""
    (tmp_path / "file").touch()
    with pytest.raises(BadDatabaseUrl, match=r"cannot make the directory .*/file/sub"):
        open_engine(f"sqlite:///{tmp_path}/file/sub/mynah.db")


def test_plain_postgres_urls_mean_psycopg() -> None:
    """What hosts hand out (postgresql:// and postgres://) works as it is."""
    for scheme in ("postgresql", "postgres"):
        assert open_engine(f"{scheme}://me@host/x").url.drivername == "postgresql+psycopg"


def test_an_error_never_repeats_what_was_said(store: Engine) -> None:
    """What a statement was given stays out of its error, and so out of the log."""
    with pytest.raises(DBAPIError) as error, reading(store) as session:
        session.execute(text("SELECT :said FROM nowhere"), {"said": "hunter2"})
    assert "nowhere" in str(error.value)
    assert "hunter2" not in str(error.value)


def test_every_store_thread_can_have_a_connection(pg_url: str) -> None:
    """As many transactions as the bot has store threads can be open at once on PostgreSQL."""
    with opened(pg_url) as engine:
        assert isinstance(engine.pool, QueuePool)
        assert engine.pool.size() >= 32


def test_a_failed_transaction_leaves_nothing(store: Engine) -> None:
    """An exception inside undoes everything written before it."""
    with pytest.raises(ZeroDivisionError):
        _write_and_break(store)
    with reading(store) as session:
        assert session.get(Team, TEAM) is None


def test_objects_stay_readable_after_the_commit(store: Engine) -> None:
    """Rows can be read after the transaction, without the database."""
    with transaction(store) as session:
        team = Team(team_id=TEAM, name="Help")
        session.add(team)
    assert team.name == "Help"


def test_times_come_back_in_utc_and_naive_ones_are_refused(store: Engine) -> None:
    """A stored time is the same moment when read; one without a zone never gets in."""
    noon = datetime(2030, 1, 1, 12, tzinfo=timezone(timedelta(hours=5)))
    with transaction(store) as session:
        session.add(Team(team_id=TEAM, created_at=noon))
    with reading(store) as session:
        read = session.get_one(Team, TEAM).created_at
    assert read == noon
    assert read.tzinfo is UTC
    with pytest.raises(StatementError, match="timezone-aware"), transaction(store) as session:
        session.add(Team(team_id="T2", created_at=datetime(2030, 1, 1)))


def test_references_are_checked(store: Engine) -> None:
    """An answer to a question that does not exist is refused, on SQLite too."""
    with pytest.raises(IntegrityError), transaction(store) as session:
        session.add(
            Answer(
                team_id=TEAM, question_id=9, mode=AnswerMode.CLOSED_BOOK, release_id=9, channel="C"
            )
        )


def test_many_read_then_write_transactions_at_once_all_succeed(
    store: Engine, store_url: str
) -> None:
    """Counting up in one row over many engines, as many processes would, loses no step and never
    meets a locked database."""
    with transaction(store) as session:
        session.add(Team(team_id=TEAM, name="0"))
    threads = [threading.Thread(target=_count_up, args=(store_url, 25)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with reading(store) as session:
        assert session.get_one(Team, TEAM).name == "100"


def test_a_transaction_that_reads_first_waits_for_the_one_before(
    store: Engine, store_url: str
) -> None:
    """While one is between its read and its write, the other does not read what will be old."""
    with transaction(store) as session:
        session.add(Team(team_id=TEAM, name="0"))
    has_read = threading.Event()
    other = threading.Thread(target=_count_up, args=(store_url, 1, has_read))
    with transaction(store) as session:
        team = _locked(session)
        other.start()
        assert not has_read.wait(0.3)
        team.name = "1"
    other.join()
    with reading(store) as session:
        assert session.get_one(Team, TEAM).name == "2"


def test_readers_do_not_wait_for_a_writer(store: Engine) -> None:
    """While a transaction holds the write lock, another session reads the state before it."""
    with transaction(store) as session:
        session.add(Team(team_id=TEAM))
        session.flush()
        with reading(store) as other:
            assert other.get(Team, TEAM) is None


def _write_and_break(engine: Engine) -> None:
    with transaction(engine) as session:
        session.add(Team(team_id=TEAM))
        session.flush()
        1 / 0  # noqa: B018


def _count_up(url: str, times: int, has_read: threading.Event | None = None) -> None:
    with opened(url) as engine:
        for _ in range(times):
            with transaction(engine) as session:
                team = _locked(session)
                if has_read:
                    has_read.set()
                team.name = str(int(team.name) + 1)
                session.add(team)


def _locked(session: Session) -> Team:
    return session.exec(select(Team).where(Team.team_id == TEAM).with_for_update()).one()
