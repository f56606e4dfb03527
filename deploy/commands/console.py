"""What the commands of `mynah` share: their options, the store, and how they speak."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlmodel import Session

    from deploy.settings import OperatorSettings

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Team = Annotated[str | None, typer.Option(help="The workspace, where there are several.")]


@contextmanager
def store(*, write: bool = False) -> Iterator[Session]:
    """A session of the store, which has to be up to date."""
    from bot.store.database import reading, transaction

    with store_engine() as engine, (transaction if write else reading)(engine) as session:
        yield session


@contextmanager
def store_engine() -> Iterator[Engine]:
    """The store. Raises StoreNotReady where it lacks this version's tables."""
    from bot.store.database import open_engine
    from deploy import migrate

    url = store_settings().database_url
    migrate.check(url)
    engine = open_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def store_settings() -> OperatorSettings:
    """Where the store is, and who is told."""
    from deploy.settings import OperatorSettings
    from serving.settings import read

    return read(OperatorSettings)


def tell_admins(session: Session, team_id: str, what: str) -> None:
    """What the operator did, for the admins' channel, where there is one; a bot posts it."""
    import secrets

    from bot import outbox

    if channel := store_settings().admin_channel:
        payload = {"text": f"The operator {what}."}
        key = f"news:operator:{secrets.token_hex(8)}"
        outbox.say(session, team_id=team_id, key=key, channel=channel, payload=payload)


def say(text: str) -> None:
    """A line that is read at once, also through a pipe."""
    typer.echo(text)
    sys.stdout.flush()


def show(found: Any, as_json: bool, text: str) -> None:
    """What was found, as JSON or as lines for people."""
    typer.echo(json.dumps(found, indent=2, ensure_ascii=False) if as_json else text)
