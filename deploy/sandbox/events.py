"""What Slack tells the app about: pure builders of events, and of the callback around them."""

from __future__ import annotations

import uuid
from typing import Any

from deploy.sandbox.messages import Message
from deploy.sandbox.people import Channel
from deploy.sandbox.request_url import TOKEN
from deploy.sandbox.state import Workspace
from deploy.sandbox.text import mentions

Event = dict[str, Any]


def posted(workspace: Workspace, channel: Channel, message: Message) -> list[Event]:
    """A new message: a `message` event and, where it mentions the bot, an `app_mention` besides.

    Slack gives no `app_mention` in direct messages, nor for the bot's own words.
    """
    body = message.event_json() | {"channel": channel.id, "event_ts": message.ts}
    found = [body | {"channel_type": channel.type}]
    bot = workspace.app.user_id
    if not channel.im and message.user != bot and mentions(message.text, bot):
        kept = {k: v for k, v in body.items() if k not in ("subtype", "parent_user_id")}
        found.append(kept | {"type": "app_mention"})
    return found


def changed(
    channel: Channel, before: Event, message: Message, event_ts: str, hidden: bool = True
) -> list[Event]:
    """An edited message; `before` is its `event_json` before the change."""
    return [
        {
            **_envelope("message_changed", channel, event_ts, hidden),
            "message": message.event_json() | _source(message),
            "previous_message": before,
        }
    ]


def deleted(channel: Channel, before: Event, event_ts: str) -> list[Event]:
    """A deleted message."""
    return [
        {
            **_envelope("message_deleted", channel, event_ts, hidden=True),
            "deleted_ts": before["ts"],
            "previous_message": before,
        }
    ]


def reaction(kind: str, user: str, name: str, message: Message, event_ts: str) -> list[Event]:
    """A reaction; `kind` is `reaction_added` or `reaction_removed`."""
    return [
        {
            "type": kind,
            "user": user,
            "reaction": name,
            "item": {"type": "message", "channel": message.channel, "ts": message.ts},
            "item_user": message.user,
            "event_ts": event_ts,
        }
    ]


def joined(workspace: Workspace, channel: Channel, user: str, inviter: str | None) -> list[Event]:
    """Somebody joined a channel."""
    event = {
        "type": "member_joined_channel",
        "user": user,
        "channel": channel.id,
        "channel_type": "G" if channel.private else "C",
        "team": workspace.team,
        "event_ts": workspace.clock.ts(),
    }
    return [event | ({"inviter": inviter} if inviter else {})]


def home_opened(
    workspace: Workspace, channel: Channel, user: str, tab: str, view: Event | None
) -> Event:
    """Somebody opened the app's home: its Home tab, or its messages."""
    event = {
        "type": "app_home_opened",
        "user": user,
        "channel": channel.id,
        "tab": tab,
        "event_ts": workspace.clock.ts(),
    }
    return event | ({"view": view} if view else {})


def tokens_revoked(workspace: Workspace, kind: str, users: list[str]) -> Event:
    """Tokens ended; `kind` is `bot` or `oauth`, and the users are those behind them."""
    tokens: dict[str, list[str]] = {"oauth": [], "bot": []}
    tokens[kind] = users
    return {"type": "tokens_revoked", "tokens": tokens, "event_ts": workspace.clock.ts()}


def app_uninstalled(workspace: Workspace) -> Event:
    """The app was taken out of the workspace."""
    return {"type": "app_uninstalled", "event_ts": workspace.clock.ts()}


def callback(workspace: Workspace, event: Event) -> dict[str, Any]:
    """The whole `event_callback` around an event, with an event id of its own."""
    number = uuid.uuid4().hex.upper()
    return {
        "token": TOKEN,
        "team_id": workspace.team,
        "context_team_id": workspace.team,
        "context_enterprise_id": None,
        "api_app_id": workspace.app.id,
        "event": event,
        "type": "event_callback",
        "event_id": f"Ev0{number[:10]}",
        "event_time": workspace.clock.seconds(),
        "authorizations": [
            {
                "enterprise_id": None,
                "team_id": workspace.team,
                "user_id": workspace.app.user_id,
                "is_bot": True,
                "is_enterprise_install": False,
            }
        ],
        "is_ext_shared_channel": False,
        "event_context": f"4-{number}",
    }


def _envelope(subtype: str, channel: Channel, event_ts: str, hidden: bool) -> Event:
    return {
        "type": "message",
        "subtype": subtype,
        "hidden": hidden,
        "channel": channel.id,
        "channel_type": channel.type,
        "ts": event_ts,
        "event_ts": event_ts,
    }


def _source(message: Message) -> Event:
    return {"source_team": message.team, "user_team": message.team}
