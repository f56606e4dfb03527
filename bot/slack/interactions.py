"""Buttons, modals and message shortcuts: what people did with them, handed to whom it concerns."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.slack.rating import BAD, RATE
from bot.store.schema import InboxEvent

Json = Mapping[str, Any]
# Action ids say what a press needs: these open a modal, and a trigger lives for 3 seconds only.
OPENS = "open:"
# … and these change what all commands change: they take their turn with them.
ADMIN = "admin:"


@dataclass(frozen=True)
class Press:
    """A button that was pressed, in a message or on the Home tab.

    `about` is its view's private metadata, which is JSON; `lane` is the one that it is handled in.
    """

    event_id: str
    user: str
    action_id: str
    value: str
    trigger_id: str
    channel: str | None = None  # None on the Home tab, and in modals
    message_ts: str | None = None
    thread_ts: str | None = None
    response_url: str | None = None
    at: float = 0.0  # when, by Slack's clock
    about: Json = field(default_factory=dict)
    lane: str = ""


@dataclass(frozen=True)
class Submission:
    """A modal that was filled in and sent.

    `about` is the view's private metadata, which is JSON. `values` are by block id: what was typed,
    the value of a choice, or a list of them.
    """

    event_id: str
    user: str
    callback_id: str
    about: Json
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Shortcut:
    """A message shortcut that was used on a message."""

    event_id: str
    user: str
    callback_id: str
    channel: str
    message: Json
    trigger_id: str
    response_url: str | None = None


@dataclass(frozen=True)
class Listeners:
    """Who handles which action, modal and shortcut. Each feature registers its own."""

    actions: dict[str, Callable[[Press], Awaitable[None]]] = field(default_factory=dict)
    views: dict[str, Callable[[Submission], Awaitable[None]]] = field(default_factory=dict)
    shortcuts: dict[str, Callable[[Shortcut], Awaitable[None]]] = field(default_factory=dict)

    async def handle(self, row: InboxEvent) -> None:
        """Handle an inbox row of kind "action", "view" or "shortcut".

        What nobody registered for (a button that only opens a link) is passed over.
        """
        payload = row.payload
        if row.kind == "action":
            for press in presses(row.event_id, payload, row.lane):
                if on_press := self.actions.get(press.action_id):
                    await on_press(press)
        elif row.kind == "view":
            if on_submit := self.views.get(payload["view"].get("callback_id", "")):
                await on_submit(submission(row.event_id, payload))
        elif row.kind == "shortcut" and (used := self.shortcuts.get(payload["callback_id"])):
            await used(shortcut(row.event_id, payload))


def presses(event_id: str, payload: Json, lane: str) -> Iterator[Press]:
    """What was pressed. Slack sends one action a payload, but in a list."""
    container = payload.get("container") or {}
    for action in payload["actions"]:
        yield Press(
            event_id=event_id,
            user=payload["user"]["id"],
            action_id=action["action_id"],
            value=_chosen(action),
            trigger_id=payload["trigger_id"],
            channel=(payload.get("channel") or {}).get("id"),
            message_ts=container.get("message_ts"),
            thread_ts=container.get("thread_ts"),
            response_url=payload.get("response_url"),
            at=float(action.get("action_ts") or 0),
            about=about(payload.get("view") or {}),
            lane=lane,
        )


def opens(action: Json) -> bool:
    """Whether a press opens a modal: 👎 by staff asks what is wrong."""
    return action["action_id"].startswith(OPENS) or (
        action["action_id"] == RATE and action.get("value") == BAD
    )


def submission(event_id: str, payload: Json) -> Submission:
    """What was filled in."""
    view = payload["view"]
    values = {
        block: _chosen(element)
        for block, elements in view["state"]["values"].items()
        for element in elements.values()
    }
    return Submission(
        event_id, payload["user"]["id"], view.get("callback_id", ""), about(view), values
    )


def shortcut(event_id: str, payload: Json) -> Shortcut:
    """What was used on which message."""
    return Shortcut(
        event_id, payload["user"]["id"], payload["callback_id"], payload["channel"]["id"],
        payload["message"], payload["trigger_id"], payload.get("response_url"),
    )  # fmt: skip


def about(view: Json) -> Json:
    """What a view says that it is about: its private metadata, read; `lane` orders its rows."""
    found = json.loads(view.get("private_metadata") or "{}")
    return found if isinstance(found, dict) else {}


def _chosen(action: Json) -> Any:
    """The value of an element, whatever its kind."""
    if (option := action.get("selected_option")) is not None:
        return option["value"]
    if "selected_options" in action:
        return [option["value"] for option in action["selected_options"]]
    return action.get("value") or action.get("selected_user") or ""
