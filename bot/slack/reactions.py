"""Reactions: staff put ✅, ❌ or 📝 on a message, or take it away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.dispatcher import Elsewhere, Later
from bot.slack.delivery import RATINGS, lane
from bot.slack.roles import Roles
from bot.slack.teaching import Teaching, Unread
from bot.slack.workspace import Message, Workspace
from bot.store.schema import InboxEvent, now

# Slack may show a message without the reaction that it has just told of: look again for this long.
SETTLED_S = 3.0


class Reactions:
    """Turns reactions into lessons.

    What counts is whether the reaction is on the message now: events come late and out of order.
    """

    def __init__(self, workspace: Workspace, roles: Roles, teaching: Teaching) -> None:
        self._workspace = workspace
        self._roles = roles
        self._teaching = teaching

    async def handle(self, row: InboxEvent) -> None:
        """Handle a `reaction_added` or `reaction_removed` event.

        Raises:
            Elsewhere: the message is a reply; the reaction takes its turn in the thread's lane.
        """
        event = row.payload["event"]
        kind, item = RATINGS[event["reaction"]], event["item"]
        if event["type"] == "reaction_added" and not await self._roles.is_staff(event["user"]):
            return
        message = await self._workspace.message(item["channel"], item["ts"])
        if message is not None:
            _check_lane(row, item["channel"], message)
        if not _is_there(row, message):
            await self._teaching.take_back(kind, item["channel"], item["ts"], event["user"])
        elif message is not None and await self._roles.is_staff(event["user"]):
            at, rated = float(event["event_ts"]), (item["channel"], message, event["user"])
            try:
                await self._teaching.teach(kind, *rated, at=at)
            except Unread:
                await self._teaching.tell_unread(*rated, at)


def _check_lane(row: InboxEvent, channel: str, message: Message) -> None:
    right = lane(channel, message.get("thread_ts") or message["ts"])
    if row.lane != right:
        raise Elsewhere(right)


def _is_there(row: InboxEvent, message: Message | None) -> bool:
    """Whether the reaction is on the message. Raises Later while event and message disagree."""
    if message is None:
        return False
    event = row.payload["event"]
    added: bool = event["type"] == "reaction_added"
    seen = _seen(message, event)
    if seen is None:
        return added
    if seen != added and (now() - row.received_at).total_seconds() < SETTLED_S:
        raise Later("the reaction and the message disagree", delay_s=1.0)
    return seen


def _seen(message: Message, event: Mapping[str, Any]) -> bool | None:
    """Whether the message shows the person's reaction; None when its list is cut short."""
    for reaction in message.get("reactions") or ():
        if reaction["name"] == event["reaction"]:
            users: list[str] = reaction["users"]
            if event["user"] in users:
                return True
            return None if reaction.get("count", 0) > len(users) else False
    return False
