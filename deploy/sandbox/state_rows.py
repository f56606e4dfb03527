"""What of a workspace outlives its sandbox, as rows: one for each thing, in JSON.

Not kept is what Slack does not keep either (what one person alone sees, open modals, statuses), and
what lives for minutes (trigger ids, response URLs, codes and refresh tokens of OAuth).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pydantic import TypeAdapter

from deploy.sandbox.courier import Delivery
from deploy.sandbox.files import File
from deploy.sandbox.messages import Message
from deploy.sandbox.people import Channel, Token, User, UserGroup
from deploy.sandbox.views import View
from deploy.sandbox.world import World

Row = tuple[str, str, str | None]  # what it is, its id, its JSON; None: it is no more

_KINDS: dict[str, TypeAdapter[Any]] = {
    "user": TypeAdapter(User),
    "group": TypeAdapter(UserGroup),
    "token": TypeAdapter(Token),
    "revoked": TypeAdapter(str),
    "installed": TypeAdapter(bool),
    "channel": TypeAdapter(Channel),
    "message": TypeAdapter(Message),
    "file": TypeAdapter(File),
    "home": TypeAdapter(View),
    "read": TypeAdapter(str),
}


def rows(world: World, what: str, *which: str) -> Iterable[Row]:
    """What is to be written after a change that the feed told; nothing of what is not kept."""
    find = _ROWS.get(what)
    return find(world, *which) if find else ()


def restore(world: World, found: Iterable[tuple[str, str, str]]) -> list[Delivery]:
    """Put what was kept in place; gives the events that the app has not acknowledged.

    Raises:
        ValueError: a row is not what was written.
    """
    by_kind: dict[str, dict[str, Any]] = defaultdict(dict)
    for kind, name, body in found:
        read = _KINDS[kind].validate_json if kind in _KINDS else json.loads
        by_kind[kind][name] = read(body)
    space = world.workspace
    space.users |= by_kind["user"]
    space.groups |= by_kind["group"]
    space.tokens |= by_kind["token"]
    space.revoked |= by_kind["revoked"]
    space.tokens = {s: token for s, token in space.tokens.items() if s not in space.revoked}
    space.restore(by_kind["channel"].values(), by_kind["message"].values())
    world.installed = by_kind["installed"].get("", world.installed)
    world.files.restore(by_kind["file"].values())
    world.views.restore(by_kind["home"].values())
    for place, ts in by_kind["read"].items():
        user, _, channel = place.partition(":")
        world.reads[user, channel] = ts
    return [Delivery(**fields) for fields in by_kind["delivery"].values()]


def _row(kind: str, name: str, thing: Any) -> Row:
    return kind, name, _KINDS[kind].dump_json(thing).decode()


def _people(world: World) -> Iterator[Row]:
    space = world.workspace
    named = {"user": space.users, "group": space.groups, "token": space.tokens}
    for kind, things in (named | {"revoked": space.revoked}).items():
        for name, thing in things.items():  # type: ignore[attr-defined]
            yield _row(kind, name, thing)
    for secret in space.revoked:
        yield "token", secret, None
    yield _row("installed", "", world.installed)


def _channel(world: World, channel: str) -> Iterator[Row]:
    yield _row("channel", channel, world.workspace.channels[channel])


def _message(world: World, channel: str, ts: str) -> Iterator[Row]:
    message = world.workspace.messages[channel][ts]
    if message.ephemeral_to is None:
        yield _row("message", f"{channel}:{ts}", message)


def _file(world: World, file_id: str) -> Iterator[Row]:
    yield _row("file", file_id, world.files.by_id[file_id])


def _home(world: World, user: str) -> Iterator[Row]:
    if (view := world.views.home(user)) is not None:
        yield _row("home", user, view)


def _read(world: World, user: str, channel: str) -> Iterator[Row]:
    yield _row("read", f"{user}:{channel}", world.reads[user, channel])


def _delivery(world: World, event_id: str) -> Iterator[Row]:
    """An event until the app has acknowledged it, or was given up; afterwards nothing."""
    one, body = world.courier.underway.get(event_id), None
    if one is not None:
        body = json.dumps({"id": one.id, "kind": one.kind, "payload": one.payload, "at": one.at})
    yield "delivery", event_id, body


_ROWS: dict[str, Callable[..., Iterator[Row]]] = {
    "people": _people,
    "channel": _channel,
    "message": _message,
    "file": _file,
    "views": _home,
    "read": _read,
    "delivery": _delivery,
}
