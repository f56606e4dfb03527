"""What Slack delivered, in the inbox's words: an id that stays when sent again, and a lane."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.slack.workspace import Identity

Body = Mapping[str, Any]
_INTERACTIVE = {
    "block_actions": "action",
    "view_submission": "view",
    "view_closed": "view",
    "message_action": "shortcut",
    "shortcut": "shortcut",
}


@dataclass(frozen=True)
class Delivery:
    """One inbox row to be."""

    event_id: str
    kind: str
    lane: str
    payload: dict[str, Any]


def read(body: Body, identity: Identity) -> Delivery | None:
    """What to store of a request's body; None for what the bot itself did and for unknown types."""
    # The old verification token is a secret that nothing needs.
    payload = {name: value for name, value in body.items() if name != "token"}
    if body.get("type") == "event_callback":
        event = body["event"]
        if _by_bot(event, identity):
            return None
        return Delivery(body["event_id"], "event", lane_of(event), payload)
    if "command" in body:
        # Commands come one after the other: they change the same few things.
        return Delivery(body["trigger_id"], "command", "commands", payload)
    if kind := _INTERACTIVE.get(str(body.get("type"))):
        return Delivery(body.get("trigger_id") or _digest(payload), kind, kind, payload)
    return None


def lane(channel: str, thread_ts: str) -> str:
    """The lane of a thread; a message outside of threads is a thread of one."""
    return f"{channel}:{thread_ts}"


def lane_of(event: Mapping[str, Any]) -> str:
    """The lane of an event. A reaction's thread is not known yet: it starts in its message's."""
    if event["type"] in ("reaction_added", "reaction_removed"):
        item = event["item"]
        return lane(item.get("channel", ""), item.get("ts", ""))
    if event["type"] in ("message", "app_mention"):
        message = _subject(event)
        ts = event.get("deleted_ts") or message.get("ts") or event["ts"]
        return lane(event["channel"], message.get("thread_ts") or ts)
    return f"event:{event['type']}"


def _subject(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """The message that an event is about."""
    subject = {"message_changed": "message", "message_deleted": "previous_message"}
    found: Mapping[str, Any] = event.get(subject.get(event.get("subtype", ""), ""), event)
    return found


def _by_bot(event: Mapping[str, Any], identity: Identity) -> bool:
    """Whether the bot itself did it. A message of the bot's that somebody deletes is news."""
    if event.get("subtype") == "message_deleted":
        return False
    actor = event["message"] if event.get("subtype") == "message_changed" else event
    return actor.get("user") == identity.user_id or actor.get("bot_id") == identity.bot_id


def _digest(payload: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()
