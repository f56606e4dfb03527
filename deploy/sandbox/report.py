"""What `GET /_control/state` tells: messages, deliveries and counts, as seen from Slack's side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from deploy.sandbox.views import View
from deploy.sandbox.world import World

PARTS = (
    "counts",
    "calls",
    "users",
    "channels",
    "messages",
    "deliveries",
    "statuses",
    "prompts",
    "views",
)


def report(
    world: World, *, channel: str | None = None, since: str = "", parts: Sequence[str] = ()
) -> dict[str, Any]:
    """The state, whole or narrowed.

    Args:
        channel: only what happened in this channel.
        since: only messages and deliveries that were added or changed after this ts;
            the answer's `now` is the `since` of the next question.
        parts: which of `PARTS`; all when empty.
    """
    tellers: dict[str, Callable[[], Any]] = {
        "counts": lambda: _counts(world),
        "calls": lambda: dict(world.calls),
        "users": lambda: [u.as_json(world.workspace.team) for u in world.workspace.users.values()],
        "channels": lambda: _channels(world),
        "messages": lambda: _messages(world, channel, since),
        "deliveries": lambda: _deliveries(world, channel, since),
        "statuses": lambda: dict(world.statuses),
        "prompts": lambda: dict(world.prompts),
        "views": lambda: _views(world),
    }
    wanted = [part for part in PARTS if not parts or part in parts]
    now = world.workspace.clock.ts()
    return {"now": now, "team": world.workspace.team} | {part: tellers[part]() for part in wanted}


def _counts(world: World) -> dict[str, int]:
    spoken = [m for there in world.workspace.messages.values() for m in there.values()]
    return {
        **world.courier.counts(),
        "connections": len(world.courier.sockets.live()),
        "messages": sum(1 for message in spoken if not message.deleted),
    }


def _channels(world: World) -> dict[str, Any]:
    return {
        channel.id: {
            "name": channel.name,
            "type": channel.type,
            "is_private": channel.private,
            "members": list(channel.members),
        }
        for channel in world.workspace.channels.values()
    }


def _views(world: World) -> dict[str, dict[str, Any]]:
    """The Home tabs, and the modals in front of people, by person."""
    space, views = world.workspace, world.views

    def shown(found: list[View]) -> dict[str, Any]:
        return {view.user: view.as_json(space.team, space.app) for view in found}

    return {"modals": shown(views.all_open()), "homes": shown(views.all_homes())}


def _messages(world: World, channel: str | None, since: str) -> dict[str, list[dict[str, Any]]]:
    return {
        name: [message.state_json() for message in there.values() if message.touched > since]
        for name, there in world.workspace.messages.items()
        if channel in (None, name)
    }


def _deliveries(world: World, channel: str | None, since: str) -> list[dict[str, Any]]:
    found = [delivery.as_json() for delivery in world.courier.deliveries if delivery.at > since]
    return [delivery for delivery in found if channel in (None, delivery["channel"])]
