"""Channels and direct conversations: finding, opening, joining."""

from __future__ import annotations

import re
from typing import Any

from deploy.sandbox.errors import SlackError
from deploy.sandbox.methods.method import Call, Method, page
from deploy.sandbox.people import Channel, TokenKind

_TYPES = {"public_channel": "channel", "private_channel": "group", "im": "im", "mpim": "mpim"}
_TS = re.compile(r"\d{10}\.\d{6}")
_PEOPLE = frozenset({TokenKind.USER})


def info(call: Call) -> dict[str, Any]:
    """One conversation."""
    channel = _visible(call)
    found = channel.as_json(call.caller.id)
    if call.args.flag("include_num_members"):
        found["num_members"] = len(channel.members)
    return {"channel": found}


def list_(call: Call) -> dict[str, Any]:
    """The conversations that the caller may know of, public ones unless `types` says more."""
    wanted = {_TYPES.get(name) for name in call.args.names("types") or ["public_channel"]}
    if None in wanted:
        raise SlackError("invalid_types")
    viewer = call.caller.id
    found = [
        channel.as_json(viewer)
        for channel in call.workspace.channels.values()
        if channel.type in wanted and (channel.type == "channel" or viewer in channel.members)
    ]
    part, cursor = page(found, call.args, 100, 999)
    return {"channels": part, "response_metadata": {"next_cursor": cursor}}


def members(call: Call) -> dict[str, Any]:
    """Who is in a conversation."""
    part, cursor = page(_visible(call).members, call.args, 100, 999)
    return {"members": list(part), "response_metadata": {"next_cursor": cursor}}


def open_(call: Call) -> dict[str, Any]:
    """Open the direct conversation with one person."""
    if call.args.text("channel"):
        channel, known = call.channel(), True
    else:
        users = call.args.names("users")
        if len(users) != 1:
            raise SlackError("not_enough_users" if not users else "too_many_users")
        channel, known = call.world.direct(call.caller.id, call.workspace.user(users[0]).id)
    again = {"no_op": True, "already_open": True} if known else {}
    whole = call.args.flag("return_im")
    return {**again, "channel": channel.as_json(call.caller.id) if whole else {"id": channel.id}}


def join(call: Call) -> dict[str, Any]:
    """Enter a public channel."""
    channel = _visible(call)
    if channel.type != "channel":
        raise SlackError("method_not_supported_for_channel_type")
    if call.caller.id in channel.members:
        return {"channel": channel.as_json(call.caller.id), "warning": "already_in_channel"}
    call.world.join(channel, call.caller.id)
    return {"channel": channel.as_json(call.caller.id)}


def invite(call: Call) -> dict[str, Any]:
    """Bring people into a channel that the caller is in."""
    channel = call.channel()
    users = [call.workspace.user(user).id for user in call.args.names("users")]
    if not users:
        raise SlackError("no_user")
    if all(user in channel.members for user in users):
        raise SlackError("already_in_channel")
    for user in users:
        if user not in channel.members:
            call.world.join(channel, user, inviter=call.caller.id)
    return {"channel": channel.as_json(call.caller.id)}


def leave(call: Call) -> dict[str, Any]:
    """Leave a channel."""
    channel = call.channel()
    channel.members.remove(call.caller.id)
    call.world.changed("channel", channel.id)
    return {}


def mark(call: Call) -> dict[str, Any]:
    """Move the caller's place in a conversation: all up to `ts` is read."""
    channel = call.channel()
    if not _TS.fullmatch(call.args.text("ts")):
        raise SlackError("invalid_timestamp")
    call.world.mark(call.caller.id, channel, call.args.text("ts"))
    return {}


def _visible(call: Call) -> Channel:
    channel = call.workspace.visible_channel(call.args.required("channel"), call.caller.id)
    call.need(f"{channel.scope_family}:read")
    return channel


METHODS = (
    Method("conversations.info", info, family="read"),
    Method("conversations.list", list_, scope="channels:read"),
    Method("conversations.members", members, family="read"),
    Method("conversations.open", open_, scope="im:write"),
    Method("conversations.join", join, scope="channels:join"),
    Method("conversations.invite", invite, scope="channels:write.invites"),
    Method("conversations.leave", leave, scope="channels:write"),
    Method("conversations.mark", mark, scope="channels:write", kinds=_PEOPLE),
)
