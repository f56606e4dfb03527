"""Reactions: staff put ✅, ❌ or 📝 on a message, anybody puts 🆘; or they take it away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.dispatcher import Elsewhere, Later
from bot.slack.delivery import REACTIONS, lane
from bot.slack.escalating import Escalating
from bot.slack.roles import Roles
from bot.slack.teaching import Teaching, Unread
from bot.slack.workspace import Message, Workspace
from bot.store.schema import FeedbackKind, InboxEvent, now

# Slack may show a message without the reaction that it has just told of: look again for this long.
SETTLED_S = 3.0


class Reactions:
    """Turns reactions into lessons and calls for help.

    What counts is whether the reaction is on the message now: events come late and out of order.
    """

    def __init__(
        self, workspace: Workspace, roles: Roles, teaching: Teaching, escalating: Escalating
    ) -> None:
        self._workspace = workspace
        self._roles = roles
        self._teaching = teaching
        self._escalating = escalating

    async def handle(self, row: InboxEvent) -> None:
        """Handle a `reaction_added` or `reaction_removed` event.

        Raises:
            Elsewhere: the message is a reply; the reaction takes its turn in the thread's lane.
        """
        event = row.payload["event"]
        kind, item, user = REACTIONS[event["reaction"]], event["item"], event["user"]
        if event["type"] == "reaction_added" and not await self._may(kind, user, item["channel"]):
            return
        message = await self._workspace.message(item["channel"], item["ts"])
        if message is not None:
            _check_lane(row, item["channel"], message)
        if not _is_there(row, message):
            await self._take_back(kind, item["channel"], item["ts"], user)
        elif message is not None and await self._may(kind, user, item["channel"]):
            await self._take(kind, item["channel"], message, user, float(event["event_ts"]))

    async def _may(self, kind: FeedbackKind, user: str, channel: str) -> bool:
        if kind is FeedbackKind.ESCALATE:
            return await self._escalating.may_ask(user, channel)
        return await self._roles.is_staff(user)

    async def _take(
        self, kind: FeedbackKind, channel: str, message: Message, user: str, at: float
    ) -> None:
        if kind is FeedbackKind.ESCALATE:
            await self._escalating.ask(channel, message, user)
            return
        try:
            await self._teaching.teach(kind, channel, message, user, at=at)
        except Unread:
            await self._teaching.tell_unread(channel, message, user, at)

    async def _take_back(self, kind: FeedbackKind, channel: str, ts: str, user: str) -> None:
        if kind is FeedbackKind.ESCALATE:
            await self._escalating.take_back(channel, ts, user)
        else:
            await self._teaching.take_back(kind, channel, ts, user)


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
