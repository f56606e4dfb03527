"""The commands about what is learned: from whom, what came of it, and taking it back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.commands.console import Json, Team, show, store, store_engine, tell_admins

if TYPE_CHECKING:
    from sqlmodel import Session

    from bot.store.schema import Example


def import_(
    path: Annotated[
        Path, typer.Argument(help="A Slack export (zip), or a FAQ: Markdown, CSV, JSON Lines.")
    ],
    by: Annotated[
        str | None, typer.Option(help="Whose word it is, a user id; else the first admin's.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be learned.")
    ] = False,
    again: Annotated[
        bool,
        typer.Option("--again", help="Also what later files replaced since it was imported."),
    ] = False,
    team: Team = None,
    json_: Json = False,
) -> None:
    """Learn approved questions and answers from a file; the same file again adds nothing."""
    from bot.store.database import reading
    from deploy import facts, importing, tables, teachers
    from deploy.settings import ImportSettings
    from serving.settings import read

    settings = read(ImportSettings)
    with store_engine() as engine:
        found = importing.bring_in(
            engine, path, settings, team=team, by=by, dry_run=dry_run, again=again
        )
        with reading(engine) as session:
            team_id = facts.one_team(session, team)
            found["notes"] += teachers.import_notes(session, team_id, found["by"])
    show(found, json_, tables.imported(found))


def trace(
    what: Annotated[
        str,
        typer.Argument(
            metavar="ANSWER|ADAPTER|MESSAGE|EXAMPLE",
            help="An answer's id, a message's link or CHANNEL:TS, an adapter's name, a release "
            "(v3), or an example (example:7).",
        ),
    ],
    team: Team = None,
    json_: Json = False,
) -> None:
    """Show what an answer or adapter was made from, or all that came of a message or example."""
    from deploy import facts, trace_tables, tracing

    with store() as session:
        found = tracing.trace(session, facts.one_team(session, team), what)
    show(found, json_, trace_tables.trace(found))


def bisect(
    answer: Annotated[str, typer.Argument(help="An answer's id, its link, or CHANNEL:TS.")],
    team: Team = None,
    json_: Json = False,
) -> None:
    """Find the examples behind a bad answer, and since which release it is given."""
    import asyncio

    from bot.embedder import open_embedder
    from bot.store.database import reading
    from deploy import bisecting, facts, trace_tables, tracing
    from serving.settings import read

    settings = read(bisecting.BisectSettings)
    with store_engine() as engine:
        with reading(engine) as session:
            one = tracing.answer(session, facts.one_team(session, team), answer)
        looking = bisecting.bisect(engine, one, settings, lambda: open_embedder(settings.embedder))
        found = asyncio.run(looking)
    show(found, json_, trace_tables.bisect(found))


def distrust(
    user: Annotated[str, typer.Argument(help="A user id, as `mynah trace` shows it.")],
    team: Team = None,
    json_: Json = False,
) -> None:
    """Take back all that one person taught, at once; `mynah trust` gives it back."""
    from bot import examples

    _judge(examples.distrust, user, team, json_, "no longer counts", "distrusted")


def trust(
    user: Annotated[str, typer.Argument(help="As it was distrusted.")],
    team: Team = None,
    json_: Json = False,
) -> None:
    """Undo `mynah distrust`."""
    from bot import examples

    _judge(examples.trust, user, team, json_, "counts again", "trusted")


def revoke(
    example: Annotated[str, typer.Argument(help="Its number, as `mynah trace` shows it.")],
    why: Annotated[str, typer.Option(help="Kept with it: `mynah trace` shows it.")],
    team: Team = None,
    json_: Json = False,
) -> None:
    """Take one example back, at once; `mynah restore` undoes it."""
    from deploy import facts, tables, taking_back

    with store(write=True) as session:
        team_id = facts.one_team(session, team)
        found = taking_back.take_back(session, team_id, example, why)
        tell_admins(session, team_id, f"took example {found['example']} back: {found['why']}")
    show(found, json_, tables.taken_back(found))


def restore(
    example: Annotated[str, typer.Argument(help="Its number, as it was revoked.")],
    team: Team = None,
    json_: Json = False,
) -> None:
    """Undo `mynah revoke`."""
    from deploy import facts, tables, taking_back

    with store(write=True) as session:
        team_id = facts.one_team(session, team)
        found = taking_back.give_back(session, team_id, example)
        tell_admins(session, team_id, f"gave example {found['example']} back")
    show(found, json_, tables.given_back(found))


def _judge(
    change: Callable[[Session, str, str, str], list[Example]],
    user: str, team: str | None, json_: bool, what: str, verb: str,
) -> None:  # fmt: skip
    from bot.slack import conflict_cards
    from deploy import facts, teachers

    with store(write=True) as session:
        team_id = facts.one_team(session, team)
        notes = teachers.check(session, team_id, user)
        # Where it is 0, too: what they say of others' answers counts no more, or again.
        count = len(change(session, team_id, user, "operator"))
        conflict_cards.follow(session, team_id)
        tell_admins(session, team_id, f"{verb} {user}: {count} examples")
    found = {"user": user, "examples": count, "notes": list(notes)}
    show(found, json_, "\n".join([f"what {user} taught {what}: {count} examples", *notes]))
