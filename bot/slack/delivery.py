"""What Slack delivered, in the inbox's words: an id that stays when sent again, and a lane."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.slack.interactions import ADMIN, OPENS, about
from bot.slack.workspace import Identity
from bot.store.schema import FeedbackKind

Body = Mapping[str, Any]
SPOKEN = (None, "thread_broadcast", "file_share")  # subtypes that are a person's own words
RATINGS = {
    "white_check_mark": FeedbackKind.APPROVE,
    "x": FeedbackKind.REJECT,
    "memo": FeedbackKind.CORRECT,
    "sos": FeedbackKind.ESCALATE,
}
OURS = ("app_uninstalled", "tokens_revoked")  # about the app itself
# Every type of event that something is done about; the manifest subscribes to these.
EVENTS = ("message", "app_mention", "reaction_added", "reaction_removed", *OURS)
_INTERACTIVE = {
    "block_actions": "action",
    "view_submission": "view",
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
    """What to store of a request's body; None for what nothing is ever done about.

    Most messages in a workspace are none of Mynah's business: they are not copied into its store.
    """
    # The old verification token is a secret that nothing needs.
    payload = {name: value for name, value in body.items() if name != "token"}
    if body.get("type") == "event_callback":
        event = body["event"]
        if not concerns(event, identity):
            return None
        return Delivery(body["event_id"], "event", lane_of(event), payload)
    if "command" in body:
        return Delivery(body["trigger_id"], "command", _lane_of_command(body), payload)
    if kind := _INTERACTIVE.get(str(body.get("type"))):
        event_id = body.get("trigger_id") or _digest(payload)
        return Delivery(event_id, kind, _lane_of_interaction(body, event_id), payload)
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
    return "installation" if event["type"] in OURS else f"event:{event['type']}"


def _lane_of_command(body: Body) -> str:
    """Commands come one after the other: they change the same few things.

    `why` changes nothing and asks Slack a lot: no roll back waits behind it.
    """
    asks_why = body.get("text", "").lower().split()[:1] == ["why"]
    return f"why:{body['user_id']}" if asks_why else "commands"


def _lane_of_interaction(body: Body, event_id: str) -> str:
    """What is about a thread takes its turn there; what opens a modal has no time to wait."""
    container = body.get("container") or {}
    actions = [action["action_id"] for action in body.get("actions") or ()]
    if any(name.startswith(ADMIN) for name in actions):
        return "commands"
    if not actions and body["type"] != "view_submission":
        return f"shortcut:{event_id}"
    if any(name.startswith(OPENS) for name in actions):
        return f"open:{event_id}"
    if "message_ts" in container:
        return lane(body["channel"]["id"], container.get("thread_ts") or container["message_ts"])
    return str(about(body["view"]).get("lane") or f"view:{body['user']['id']}")


def _subject(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """The message that an event is about."""
    subject = {"message_changed": "message", "message_deleted": "previous_message"}
    found: Mapping[str, Any] = event.get(subject.get(event.get("subtype", ""), ""), event)
    return found


def concerns(event: Mapping[str, Any], identity: Identity) -> bool:
    """Whether an event is a question, a rating, or about a message that was edited or deleted."""
    if event["type"] in ("reaction_added", "reaction_removed"):
        rated: bool = event["reaction"] in RATINGS and event["item"].get("type") == "message"
        return rated and event.get("user") != identity.user_id
    if event["type"] not in ("message", "app_mention"):
        return event["type"] in OURS
    if event.get("subtype") == "message_deleted":
        return True
    if event.get("subtype") == "message_changed":
        return _is_rewritten(event, identity)
    return is_question(event, identity)


def _is_rewritten(event: Mapping[str, Any], identity: Identity) -> bool:
    """Whether a person changed the words; else Slack added the preview of a link, or a reply."""
    message, before = event["message"], event.get("previous_message") or {}
    if message.get("user") == identity.user_id:
        return False
    same: bool = message.get("text") == before.get("text")
    return message.get("subtype") == "tombstone" or not same


def is_question(event: Mapping[str, Any], identity: Identity) -> bool:
    """Whether a message, given with its channel, is a person's who asks the bot something."""
    if not event.get("user") or event.get("bot_id") or event.get("subtype") not in SPOKEN:
        return False
    if event["user"] in ("USLACKBOT", identity.user_id):
        return False
    direct = event.get("channel_type") == "im" or event["channel"].startswith("D")
    mention = rf"<@{re.escape(identity.user_id)}(\|[^>]*)?>"
    return direct or re.search(mention, event.get("text", "")) is not None


def _digest(payload: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()
