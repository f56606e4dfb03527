"""What Slack delivered, in the inbox's words: an id that stays when sent again, and a lane."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.people import SPOKEN
from bot.slack.interactions import ADMIN, about, opens
from bot.slack.workspace import Identity
from bot.store.schema import FeedbackKind

Body = Mapping[str, Any]
REACTIONS = {
    "white_check_mark": FeedbackKind.APPROVE,
    "x": FeedbackKind.REJECT,
    "memo": FeedbackKind.CORRECT,
    "sos": FeedbackKind.ESCALATE,
}
OURS = ("app_uninstalled", "tokens_revoked")  # about the app itself
# Every type of event that something is done about; the manifest subscribes to these.
EVENTS = (
    "app_home_opened", "message", "app_mention", "reaction_added", "reaction_removed", *OURS,
)  # fmt: skip
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
    # Of a reply that mentions nobody: its thread. It matters where Mynah takes part alone.
    thread: tuple[str, str] | None = None


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
        thread = None if _is_ours(event, identity) else (event["channel"], event["thread_ts"])
        return Delivery(body["event_id"], "event", lane_of(event), payload, thread)
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
    if event["type"] == "app_home_opened":  # in turn with what the person presses there
        return f"view:{event['user']}"
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
    if any(opens(action) for action in body.get("actions") or ()):
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
    """Whether an event is a question, a rating, about a message that was edited or deleted, or
    somebody opened Mynah's own tabs.

    A reply in a thread is a question perhaps: that is for its thread to say.
    """
    if event["type"] in ("reaction_added", "reaction_removed"):
        rated: bool = event["reaction"] in REACTIONS and event["item"].get("type") == "message"
        return rated and event.get("user") != identity.user_id
    if event["type"] == "app_home_opened":
        return True
    if event["type"] not in ("message", "app_mention"):
        return event["type"] in OURS
    if event.get("subtype") == "message_deleted":
        return True
    if event.get("subtype") == "message_changed":
        return _is_rewritten(event, identity)
    return is_question(event, identity) or (_is_said(event, identity) and _is_reply(event))


def is_question(event: Mapping[str, Any], identity: Identity) -> bool:
    """Whether a message, given with its channel, is a person's who asks the bot something."""
    return _is_said(event, identity) and is_addressed(event, identity)


def is_addressed(event: Mapping[str, Any], identity: Identity) -> bool:
    """Whether a message is to Mynah beyond doubt: said to it alone, or with a mention."""
    direct = event.get("channel_type") == "im" or event["channel"].startswith("D")
    return direct or mentions(event.get("text", ""), identity.user_id)


def mentions(text: str, user: str) -> bool:
    """Whether a text mentions the user."""
    return re.search(rf"<@{re.escape(user)}(\|[^>]*)?>", text) is not None


def _is_rewritten(event: Mapping[str, Any], identity: Identity) -> bool:
    """Whether a person changed the words; else Slack added the preview of a link, or a reply."""
    message, before = event["message"], event.get("previous_message") or {}
    if message.get("user") == identity.user_id:
        return False
    same: bool = message.get("text") == before.get("text")
    return message.get("subtype") == "tombstone" or not same


def _is_ours(event: Mapping[str, Any], identity: Identity) -> bool:
    """Whether an event that concerns Mynah does so whatever its thread is."""
    if event["type"] != "message" or event.get("subtype") not in SPOKEN:
        return True
    return is_addressed(event, identity)


def _is_said(event: Mapping[str, Any], identity: Identity) -> bool:
    """Whether a message is a person's own words."""
    if not event.get("user") or event.get("bot_id") or event.get("subtype") not in SPOKEN:
        return False
    return event["user"] not in ("USLACKBOT", identity.user_id)


def _is_reply(event: Mapping[str, Any]) -> bool:
    return event.get("thread_ts") not in (None, event["ts"])


def _digest(payload: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()
