"""What was said: a channel's history, a thread's replies."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from deploy.sandbox.errors import SlackError
from deploy.sandbox.messages import Message
from deploy.sandbox.methods.method import Call, Method, page


def history(call: Call) -> dict[str, Any]:
    """A channel's messages, the newest first, without the replies in threads."""
    channel = call.channel()
    call.need(f"{channel.scope_family}:history")
    there = call.workspace.messages[channel.id].values()
    shown = [m for m in there if _in_channel(m) and _between(call, m)]
    part, cursor = page(shown[::-1], call.args, 100, 999)
    return {**_messages(call, part, cursor), "pin_count": 0}


def replies(call: Call) -> dict[str, Any]:
    """A thread, the oldest first; the ts of a reply or of a lone message gives that one alone."""
    channel = call.channel()
    call.need(f"{channel.scope_family}:history")
    root = call.workspace.message(channel, call.args.required("ts"), "thread_not_found")
    thread = call.workspace.thread(channel, root)
    shown = [m for m in thread if m is root or _between(call, m)]
    part, cursor = page(shown, call.args, 1000, 1000)
    return _messages(call, part, cursor)


def _in_channel(message: Message) -> bool:
    hidden = message.deleted or message.ephemeral_to is not None
    return not hidden and (not message.is_reply or message.subtype == "thread_broadcast")


def _between(call: Call, message: Message) -> bool:
    ts, inclusive = Decimal(message.ts), call.args.flag("inclusive")
    oldest, latest = _bound(call, "oldest"), _bound(call, "latest")
    if oldest is not None and (ts < oldest or (ts == oldest and not inclusive)):
        return False
    return latest is None or ts < latest or (ts == latest and inclusive)


def _bound(call: Call, name: str) -> Decimal | None:
    """A ts among the arguments; exact, for a float cannot hold every microsecond."""
    text = call.args.text(name)
    try:
        return Decimal(text) if text else None
    except InvalidOperation:
        raise SlackError(f"invalid_ts_{name}") from None


def _messages(call: Call, part: list[Message], cursor: str) -> dict[str, Any]:
    metadata, viewer = call.args.flag("include_all_metadata"), call.caller.id
    return {
        "messages": [m.as_json(metadata=metadata, viewer=viewer) for m in part],
        "has_more": bool(cursor),
        **({"response_metadata": {"next_cursor": cursor}} if cursor else {}),
    }


METHODS = (
    Method("conversations.history", history, family="history"),
    Method("conversations.replies", replies, family="history"),
)
