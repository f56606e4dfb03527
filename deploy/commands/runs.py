"""The commands about training: a run is queued, looked at, and reported on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.console import Json, Team, show, store


def train(team: Team = None, json_: Json = False) -> None:
    """Queue a training run; a worker takes it up."""
    from bot import pausing
    from bot.releases import Paused
    from bot.store import runs
    from bot.store.schema import RunTrigger
    from deploy import facts, tables

    with store(write=True) as session:
        team_id = facts.one_team(session, team)
        if pausing.standing(session, team_id) is not None:
            raise Paused("Mynah is paused, so nothing was queued: `mynah resume` goes on")
        run, created = runs.request_run(
            session, team_id=team_id, trigger=RunTrigger.COMMAND, requested_by="operator", recipe={}
        )
        found = facts.run_facts(session, run)
        found |= {"created": created, "worker_alive": facts.worker_alive(session)}
    show(found, json_, tables.queued(found))


def status(team: Team = None, json_: Json = False) -> None:
    """Show what is live, the newest run and its figures, the servers, and what was learned."""
    from deploy import facts, tables

    with store() as session:
        found = facts.status(session, facts.one_team(session, team))
    show(found, json_, tables.status(found))


def report(
    run: Annotated[int | None, typer.Argument(help="Its number; else the newest run.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where to write it; else run-NUMBER.html here.")
    ] = None,
    team: Team = None,
    json_: Json = False,
) -> None:
    """Write the report of a run as a page: what went in, what changed, and why it may answer."""
    from deploy import facts

    with store() as session:
        number, page = facts.report(session, facts.one_team(session, team), run)
    path = out or Path(f"run-{number}.html")
    try:
        path.write_text(page, "utf-8")
    except OSError as error:
        raise facts.BadInput(f"{path} cannot be written: {error.strerror}") from error
    show({"run": number, "report": str(path)}, json_, f"the report of run {number} is in {path}")
