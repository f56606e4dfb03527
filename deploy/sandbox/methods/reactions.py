"""Reactions."""

from __future__ import annotations

from typing import Any

from deploy.sandbox.errors import SlackError
from deploy.sandbox.limits import check_emoji
from deploy.sandbox.messages import Message
from deploy.sandbox.methods.method import Call, Method
from deploy.sandbox.people import Channel


def add(call: Call) -> dict[str, Any]:
    """Add the caller's reaction."""
    channel, message, name = _item(call)
    if call.caller.id in message.reactions.get(name, ()):
        raise SlackError("already_reacted")
    call.world.react(call.caller.id, channel, message, name, add=True)
    return {}


def remove(call: Call) -> dict[str, Any]:
    """Remove the caller's reaction."""
    channel, message, name = _item(call)
    if call.caller.id not in message.reactions.get(name, ()):
        raise SlackError("no_reaction")
    call.world.react(call.caller.id, channel, message, name, add=False)
    return {}


def get(call: Call) -> dict[str, Any]:
    """A message with its reactions."""
    channel, message = _message(call)
    return {"type": "message", "channel": channel.id, "message": message.as_json()}


def _item(call: Call) -> tuple[Channel, Message, str]:
    name = call.args.required("name")
    check_emoji(name)
    return *_message(call), name


def _message(call: Call) -> tuple[Channel, Message]:
    if not call.args.text("timestamp"):
        raise SlackError("no_item_specified")
    channel = call.channel()
    return channel, call.workspace.message(channel, call.args.text("timestamp"))


METHODS = (
    Method("reactions.add", add, scope="reactions:write"),
    Method("reactions.remove", remove, scope="reactions:write"),
    Method("reactions.get", get, scope="reactions:read"),
)
