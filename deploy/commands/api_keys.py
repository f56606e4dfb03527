"""`mynah api-key`: who else may ask, over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.commands.console import Json, Team, show, store, tell_admins

if TYPE_CHECKING:
    from bot.store.schema import ApiKey

app = typer.Typer(
    help="Keys for other systems: a website's chat, an internal tool.", no_args_is_help=True
)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Which system it is for, e.g. website.")],
    team: Team = None,
    json_: Json = False,
) -> None:
    """Make a key. It is shown now and never again: Mynah keeps its hash alone."""
    from bot.api import keys
    from deploy import facts

    with store(write=True) as session:
        key, secret = keys.make(session, facts.one_team(session, team), name, by="operator")
        tell_admins(session, key.team_id, f"made the API key {key.id} for {name}")
        found = _facts(key) | {"key": secret}
    show(found, json_, f"key {key.id} for {name}, shown this once:\n{secret}")


@app.command("list")
def list_(team: Team = None, json_: Json = False) -> None:
    """List the keys, and when each was last used."""
    from bot.api import keys
    from deploy import facts

    with store() as session:
        found = [_facts(key) for key in keys.of_team(session, facts.one_team(session, team))]
    lines = [
        f"{one['number']}  {one['name']}, made {_day(one['made_at'])}, "
        + (f"revoked {_day(one['revoked_at'])}" if one["revoked_at"] else _used(one["used_at"]))
        for one in found
    ]
    show(found, json_, "\n".join(lines) or "none yet: `mynah api-key add website`")


@app.command()
def revoke(
    number: Annotated[int, typer.Argument(help="As `mynah api-key list` shows it.")],
    team: Team = None,
    json_: Json = False,
) -> None:
    """End a key, from its next request on."""
    from bot.api import keys
    from deploy import facts

    with store(write=True) as session:
        team_id = facts.one_team(session, team)
        key = keys.revoke(session, team_id, number, by="operator")
        tell_admins(session, team_id, f"revoked the API key {number} for {key.name}")
        found = _facts(key)
    show(found, json_, f"key {number} for {found['name']} is revoked")


def _facts(key: ApiKey) -> dict[str, Any]:
    times = {"made_at": key.created_at, "used_at": key.last_used_at, "revoked_at": key.revoked_at}
    return {"number": key.id, "name": key.name, "team": key.team_id} | {
        name: at.isoformat() if at else None for name, at in times.items()
    }


def _used(at: str | None) -> str:
    return f"last used {_day(at)}" if at else "never used"


def _day(at: str | None) -> str:
    return (at or "")[:10]
