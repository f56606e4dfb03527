"""The database, and what its rows tell: queues, the worker, memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, func, select, text, true
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, col

from bot.embedder import LEXICAL, LexicalEmbedder
from bot.store import leases
from bot.store.database import BadDatabaseUrl, open_engine, reading
from bot.store.schema import Example, ExampleStatus, InboxEvent, Lease, OutboxMessage, now
from deploy import migrate
from deploy.checkups.finding import NotLooked, Said, bad, fine, otherwise, warning
from deploy.checkups.patient import Patient
from deploy.migrate import StoreNotReady

STUCK = timedelta(minutes=5)
LATELY = timedelta(days=1)
SKEW_S = 2.0  # leases compare the clocks of the machines


def database(patient: Patient) -> Sequence[Said]:
    """Whether it can be reached and has this version's tables."""
    if patient.store is None:
        raise NotLooked("settings")
    url = patient.store.database_url
    mend = "run `mynah db upgrade`; if it cannot be reached, start it or mend DATABASE_URL"
    try:
        _check_there(url)
        migrate.check(url)
    except (BadDatabaseUrl, StoreNotReady) as error:
        return [bad(str(error), mend)]
    return fine(f"{url.split(':', 1)[0]}, at this version's tables")


def clock(patient: Patient) -> Sequence[Said]:
    """This machine's clock against the database's."""
    with opened(patient) as engine:
        if engine.dialect.name == "sqlite":
            raise NotLooked("SQLite has no clock of its own")
        with engine.connect() as connection:
            theirs = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return skewed((datetime.now(UTC) - theirs).total_seconds(), SKEW_S, "the database's")


def skewed(seconds: float, most_s: float, whose: str) -> Sequence[Said]:
    """What a difference of this machine's clock to another says."""
    found = f"{abs(seconds):.1f} s {'ahead of' if seconds > 0 else 'behind'} {whose} clock"
    if abs(seconds) > most_s:
        return [bad(found, "let the machines keep time by NTP (`timedatectl set-ntp true`)")]
    return fine(found)


def queues(patient: Patient) -> Sequence[Said]:
    """Whether rows are worked off."""
    with opened(patient) as engine, reading(engine) as session:
        troubles = [*_stuck(session), *_given_up(session)]
    return otherwise(troubles, "nothing has waited for long")


def worker(patient: Patient) -> Sequence[Said]:
    """Whether one is active."""
    mend = "start `mynah worker`: without one nothing is trained, and servers get no adapters"
    with opened(patient) as engine, reading(engine) as session:
        lease = session.get(Lease, leases.WORKER)
    if lease is None:
        return [bad("no worker is active", mend)]
    if lease.until < now():
        return [bad(f"none since {lease.until:%Y-%m-%d %H:%M} UTC (it was {lease.owner})", mend)]
    return fine(f"{lease.owner} is active")


def index(patient: Patient) -> Sequence[Said]:
    """Whether memory's vectors are of the embedder that it is searched with, and whole."""
    if patient.bot is None:
        raise NotLooked("settings")
    spec = patient.bot.embedder
    name = LexicalEmbedder.name if spec == LEXICAL else spec
    live = select(func.count()).select_from(Example).where(_is_live())
    with opened(patient) as engine, reading(engine) as session:
        count = session.scalar(live) or 0
        others = session.scalar(live.where(col(Example.embedder).is_distinct_from(name))) or 0
        size = func.length(Example.embedding)
        sizes = select(size, func.count()).where(_is_live(), col(Example.embedder) == name)
        lengths = dict(session.execute(sizes.group_by(size)).all())
    troubles = [*_of_others(others, count, name), *_broken(lengths)]
    return otherwise(troubles, f"{count} examples, searched with {name}")


@contextmanager
def opened(patient: Patient) -> Iterator[Engine]:
    """The database, where `database` finds nothing wrong. Raises NotLooked."""
    if patient.store is None:
        raise NotLooked("settings")
    url = patient.store.database_url
    try:
        _check_there(url)
        migrate.check(url)
        engine = open_engine(url)
    except (BadDatabaseUrl, StoreNotReady) as error:
        raise NotLooked("database") from error
    try:
        yield engine
    except DBAPIError as error:
        raise NotLooked("database") from error
    finally:
        engine.dispose()


def _check_there(url: str) -> None:
    """Opening a SQLite file makes its directory, and looking must not."""
    if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists():
        raise StoreNotReady("the database is not there yet: `mynah db upgrade` makes it")


def _stuck(session: Session) -> Iterator[Said]:
    for name, table, born, urgent in _QUEUES:
        waiting = text(f"{table.__tablename__}.status IN ('waiting', 'claimed')")
        rows = select(func.count(), func.min(born)).select_from(table).where(waiting, urgent)
        count, oldest = session.execute(rows).one()
        if oldest is not None and oldest < now() - STUCK:
            why = session.scalar(
                select(table.error).where(waiting, born == oldest).limit(1)
            )  # fmt: skip
            found = (
                f"{name}: {count} open, the oldest for {_long(now() - oldest)} ({why or 'untried'})"
            )
            yield bad(found, "see that `mynah bot` runs and that the checks above are fine")


def _long(time: timedelta) -> str:
    hours, minutes = time // timedelta(hours=1), time // timedelta(minutes=1)
    return f"{hours} hours" if hours > 1 else f"{minutes} minutes"


def _given_up(session: Session) -> Iterator[Said]:
    for name, table, _, _ in _QUEUES:
        failed = text(f"{table.__tablename__}.status = 'failed'")
        lately = select(func.count()).select_from(table).where(failed)
        count = session.scalar(lately.where(col(table.finished_at) > now() - LATELY)) or 0
        if count:
            found = f"{name}: {count} given up within a day"
            yield warning(found, "the bot's log says why, at level ERROR")


# A shadow's answers may wait for hours: nobody waits for them.
_QUEUES: tuple[tuple[str, Any, Any, Any], ...] = (
    ("inbox", InboxEvent, col(InboxEvent.received_at), col(InboxEvent.kind) != "shadow"),
    ("outbox", OutboxMessage, col(OutboxMessage.created_at), true()),
)


def _is_live() -> Any:
    return col(Example.status) == ExampleStatus.LIVE


def _of_others(others: int, count: int, name: str) -> Iterator[Said]:
    if others:
        found = f"{others} of {count} examples have no vector of {name}"
        yield warning(found, "nothing has to be done: each bot makes them when it starts, slowly")


def _broken(lengths: dict[int | None, int]) -> Iterator[Said]:
    usual = max(lengths, key=lambda one: lengths[one], default=None)
    odd = sum(number for length, number in lengths.items() if length != usual or not length)
    if odd:
        found = f"{odd} examples have a vector of another length, or none"
        yield bad(found, "restore the database from a backup, or approve their answers anew")


__all__ = ["clock", "database", "index", "opened", "queues", "skewed", "worker"]
