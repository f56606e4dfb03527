"""`mynah api-key`: who else may ask, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sqlmodel import Session

    from bot.store.schema import ApiKey
    from deploy.settings import OperatorSettings

app = typer.Typer(
    help="Keys for other systems: a website's chat, an internal tool.", no_args_is_help=True
)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Team = Annotated[str | None, typer.Option(help="The workspace, where there are several.")]


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Which system it is for, e.g. website.")],
    team: Team = None,
    json_: Json = False,
) -> None:
    """Make a key. It is shown now and never again: Mynah keeps its hash alone."""
    from bot.api import keys
    from deploy import facts

    with _store() as session:
        key, secret = keys.make(session, facts.one_team(session, team), name, by="operator")
        _tell_admins(session, key, "made")
        found = _facts(key) | {"key": secret}
    _show(found, json_, f"key {key.id} for {name}, shown this once:\n{secret}")


@app.command("list")
def list_(team: Team = None, json_: Json = False) -> None:
    """List the keys, and when each was last used."""
    from bot.api import keys
    from deploy import facts

    with _store() as session:
        found = [_facts(key) for key in keys.of_team(session, facts.one_team(session, team))]
    lines = [
        f"{one['number']}  {one['name']}, made {_day(one['made_at'])}, "
        + (f"revoked {_day(one['revoked_at'])}" if one["revoked_at"] else _used(one["used_at"]))
        for one in found
    ]
    _show(found, json_, "\n".join(lines) or "none yet: `mynah api-key add website`")


@app.command()
def revoke(
    number: Annotated[int, typer.Argument(help="As `mynah api-key list` shows it.")],
    team: Team = None,
    json_: Json = False,
) -> None:
    """End a key, from its next request on."""
    from bot.api import keys
    from deploy import facts

    with _store() as session:
        team_id = facts.one_team(session, team)
        key = keys.revoke(session, team_id, number, by="operator")
        _tell_admins(session, key, "revoked")
        found = _facts(key)
    _show(found, json_, f"key {number} for {found['name']} is revoked")


def _facts(key: ApiKey) -> dict[str, Any]:
    times = {"made_at": key.created_at, "used_at": key.last_used_at, "revoked_at": key.revoked_at}
    return {"number": key.id, "name": key.name, "team": key.team_id} | {
        name: at.isoformat() if at else None for name, at in times.items()
    }


def _tell_admins(session: Session, key: ApiKey, what: str) -> None:
    from bot import outbox
    from serving.settings import name_of

    if channel := name_of(key.team_id, _settings().admin_channel):
        text = f"The operator {what} the API key {key.id} for {key.name}."
        outbox.say(
            session, team_id=key.team_id, key=f"news:api_key:{key.id}:{what}", channel=channel,
            payload={"text": text},
        )  # fmt: skip


def _used(at: str | None) -> str:
    return f"last used {_day(at)}" if at else "never used"


def _day(at: str | None) -> str:
    return (at or "")[:10]


@contextmanager
def _store() -> Iterator[Session]:
    from bot.store.database import open_engine, transaction
    from deploy import migrate

    url = _settings().database_url
    migrate.check(url)
    engine = open_engine(url)
    try:
        with transaction(engine) as session:
            yield session
    finally:
        engine.dispose()


def _settings() -> OperatorSettings:
    from deploy.settings import OperatorSettings
    from serving.settings import read

    return read(OperatorSettings)


def _show(found: Any, as_json: bool, text: str) -> None:
    typer.echo(json.dumps(found, indent=2, ensure_ascii=False) if as_json else text)
