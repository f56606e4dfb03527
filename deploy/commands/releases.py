"""The commands about what answers: which release, and what keeps one from going live."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from deploy.commands.console import Json, Team, show, store, store_settings, tell_admins


def releases(team: Team = None, json_: Json = False) -> None:
    """List the releases, newest first."""
    from deploy import facts, tables

    with store() as session:
        found = facts.release_facts(session, facts.one_team(session, team))
    show(found, json_, tables.releases(found))


def rollback(
    release: Annotated[str | None, typer.Argument(help="E.g. v2; else the one before.")] = None,
    team: Team = None,
    json_: Json = False,
) -> None:
    """Let an earlier release answer, at once."""
    from bot import releases as changes
    from deploy import facts

    number = _number(release)
    with store(write=True) as session:
        team_id = facts.one_team(session, team)
        left = changes.canary(session, team_id) or changes.live(session, team_id)
        changes.roll_back(session, team_id, by="operator", number=number)
        live = changes.live(session, team_id)
        tell_admins(session, team_id, f"rolled back from v{left.number} to v{live.number}")
    show({"live": f"v{live.number}"}, json_, f"v{live.number} is live")


def promote(
    release: Annotated[
        str | None, typer.Argument(help="E.g. v3; else what waits, or the canary.")
    ] = None,
    share: Annotated[
        float, typer.Option(min=0.001, max=1, help="Of new threads, e.g. 0.25; else all.")
    ] = 1,
    team: Team = None,
    json_: Json = False,
) -> None:
    """Let a release answer: what passed and waits, a canary, or one that answered before."""
    from deploy import promoting

    number, channel = _number(release), store_settings().admin_channel
    with store(write=True) as session:
        found = promoting.promote(session, team, number, share, admin_channel=channel)
    show(found, json_, promoting.line(found))


def discard(
    release: Annotated[str | None, typer.Argument(help="E.g. v3; one waits at most.")] = None,
    team: Team = None,
    json_: Json = False,
) -> None:
    """Take what passed and waits for an admin off the servers (MYNAH_RELEASE=ask)."""
    from bot import deciding

    name = _decide(deciding.discard, release, team)
    show({"discarded": name}, json_, f"{name} was discarded")


def shadow(
    release: Annotated[
        str | None, typer.Argument(help="E.g. v3, or off; else how it does so far.")
    ] = None,
    team: Team = None,
    json_: Json = False,
) -> None:
    """Record what a release would have said, shown to nobody, and compare it with what was."""
    from deploy import facts, shadowing

    number = None if release == "off" else _number(release)
    with store(write=release is not None) as session:
        team_id = facts.one_team(session, team)
        if release is None:
            found = shadowing.report(session, team_id)
        else:
            found = shadowing.change(session, team_id, number)
            tell_admins(session, team_id, shadowing.news(found))
    show(found, json_, shadowing.text(found))


def pin(
    question: Annotated[str, typer.Argument(help="What every candidate is asked.")],
    must: Annotated[str, typer.Option(help="What its answer must hold, e.g. a number.")],
    team: Team = None,
    json_: Json = False,
) -> None:
    """Pin a question: what no longer answers it with the text does not go live."""
    from bot.store import pins as pinned
    from deploy import facts
    from serving.settings import names_of

    with store(write=True) as session:
        team_id = facts.one_team(session, team)
        keep = names_of(team_id, store_settings().keep_contacts)
        row, changed = pinned.pin(session, team_id, question, must, by="operator", keep=keep)
        found = facts.pin_facts(row) | {"changed": changed}
        if changed:
            tell_admins(session, team_id, f"pinned a question: {_quoted(found)}")
    there = "" if changed else " is there already"
    show(found, json_, f"pin {found['pin']}{there}: {_quoted(found)}")


def pins(team: Team = None, json_: Json = False) -> None:
    """List the pinned questions."""
    from bot.store import pins as pinned
    from deploy import facts

    with store() as session:
        rows = pinned.pinned(session, facts.one_team(session, team))
        found = [facts.pin_facts(row) for row in rows]
    lines = [f"{one['pin']}  {_quoted(one)}, by {one['by']}" for one in found]
    show(found, json_, "\n".join(lines) or 'none yet: `mynah pin "question" --must "text"`')


def unpin(
    number: Annotated[int, typer.Argument(help="As `mynah pins` lists it.")],
    team: Team = None,
    json_: Json = False,
) -> None:
    """Take a pinned question away."""
    from bot.store import pins as pinned
    from deploy import facts

    with store(write=True) as session:
        team_id = facts.one_team(session, team)
        found = facts.pin_facts(pinned.unpin(session, team_id, number, by="operator"))
        tell_admins(session, team_id, f"unpinned a question: {_quoted(found)}")
    show(found, json_, f"no longer pinned: {_quoted(found)}")


def pause(team: Team = None, json_: Json = False) -> None:
    """Train nothing and let nothing go live until `mynah resume`; questions are answered."""
    from bot import pausing
    from deploy import facts

    with store(write=True) as session:
        team_id = facts.one_team(session, team)
        changed = pausing.pause(session, team_id, by="operator")
        if changed:
            tell_admins(session, team_id, "paused Mynah: nothing is trained or goes live")
    show({"paused": True, "changed": changed}, json_, "paused" if changed else "paused already")


def resume(team: Team = None, json_: Json = False) -> None:
    """Go on after `mynah pause`; a time to train that was missed is caught up once."""
    from bot import pausing
    from deploy import facts

    with store(write=True) as session:
        team_id = facts.one_team(session, team)
        changed = pausing.resume(session, team_id, by="operator")
        if changed:
            tell_admins(session, team_id, "resumed Mynah")
    show({"paused": False, "changed": changed}, json_, "resumed" if changed else "not paused")


def _decide(decide: Callable[..., None], release: str | None, team: str | None) -> str:
    from bot import deciding, run_message
    from deploy import facts

    number = _number(release)
    channel = store_settings().admin_channel
    with store(write=True) as session:
        one = deciding.find(session, facts.one_team(session, team), number)
        decide(session, one, by="operator")
        run_message.tell(session, one.run, step="decided", admin_channel=channel, by="operator")
        return f"v{one.release.number}"


def _quoted(pin: Mapping[str, Any]) -> str:
    return f"“{pin['question']}” must be answered with “{pin['must']}”"


def _number(release: str | None) -> int | None:
    if release is None:
        return None
    digits = release.removeprefix("v")
    if not digits.isdecimal():
        from deploy.facts import BadInput

        raise BadInput(f"{release!r} is no release; they are called v1, v2 …")
    return int(digits)
