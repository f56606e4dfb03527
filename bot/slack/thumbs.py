"""What 👍 and 👎 under an answer do, depending on who presses them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sqlalchemy import Engine

from bot import inbox
from bot.slack.correcting import NO_ANSWER, Correcting
from bot.slack.delivery import lane
from bot.slack.interactions import Listeners, Press
from bot.slack.rating import BAD, GOOD, RATE
from bot.slack.roles import Roles
from bot.slack.teaching import Teaching, Unread, answer_of
from bot.slack.workspace import Message, Workspace
from bot.store.database import reading, transaction
from bot.store.schema import FeedbackKind, Question

RATED = "rated"  # a press that takes its turn in the thread's lane
THANKS = "Thank you! That tells staff how I am doing."
NOT_YOURS = (
    "Thanks, but I count only what staff say, and whoever asked. If you need help with the same, "
    "ask me."
)
CHANGED = (
    "This did not count: the answer changed just then, and you may have meant the words before. "
    "Please press again if you mean those that stand there now."
)
_BY_STAFF = {GOOD: FeedbackKind.APPROVE, BAD: FeedbackKind.REJECT}
_BY_ASKER = {GOOD: FeedbackKind.HELPFUL, BAD: FeedbackKind.UNHELPFUL}


class Thumbs:
    """Staff approve and reject as with a reaction; 👎 opens the correction too."""

    def __init__(
        self,
        engine: Engine,
        workspace: Workspace,
        roles: Roles,
        teaching: Teaching,
        correcting: Correcting,
        *,
        stored: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._workspace = workspace
        self._roles = roles
        self._teaching = teaching
        self._correcting = correcting
        self._stored = stored

    def register(self, listeners: Listeners) -> None:
        """Handle presses."""
        listeners.actions[RATE] = self.on_press
        listeners.actions[RATED] = self.on_turn

    async def on_press(self, press: Press) -> None:
        """👍 is rated at once. 👎 has left its lane to open a modal: its rating goes back there."""
        if press.value != BAD:
            await self.on_turn(press)
            return
        await asyncio.to_thread(self._queue, press)  # first: a modal may never be sent
        self._stored()
        if await self._roles.is_staff(press.user):
            await self._correcting.open(press, str(press.channel), {"ts": press.message_ts})

    async def on_turn(self, press: Press) -> None:
        """Record what a press says, and answer the person where there is something to say."""
        message = await self._workspace.message(str(press.channel), str(press.message_ts))
        if message is None or press.value not in _BY_STAFF:
            return
        try:
            said = await self._rate(press, message)
        except Unread:
            said = CHANGED
        if said is not None:
            await self._correcting.reply(press, said)

    async def _rate(self, press: Press, message: Message) -> str | None:
        staff = await self._roles.is_staff(press.user)
        if not staff:
            asker = await asyncio.to_thread(self._asker, press, message)
            if asker not in (None, press.user):
                return NOT_YOURS
        kind = (_BY_STAFF if staff else _BY_ASKER)[press.value]
        counted = await self._teaching.teach(
            kind, str(press.channel), message, press.user, at=press.at
        )
        if not counted:
            return NO_ANSWER
        return None if staff else THANKS

    def _asker(self, press: Press, message: Message) -> str | None:
        with reading(self._engine) as session:
            answer = answer_of(session, str(press.channel), message)
            return session.get_one(Question, answer.question_id).user if answer else None

    def _queue(self, press: Press) -> None:
        """Have the press handled in its thread's lane, once, however often this runs."""
        thread_ts = press.thread_ts or str(press.message_ts)
        action = {"action_id": RATED, "value": press.value, "action_ts": f"{press.at:.6f}"}
        payload = {
            "user": {"id": press.user}, "trigger_id": press.trigger_id, "actions": [action],
            "channel": {"id": press.channel}, "response_url": press.response_url,
            "container": {"message_ts": press.message_ts, "thread_ts": press.thread_ts},
        }  # fmt: skip
        with transaction(self._engine) as session:
            inbox.receive(
                session, team_id=self._workspace.identity.team_id,
                event_id=f"{press.event_id}:{RATED}", kind="action",
                lane=lane(str(press.channel), thread_ts), payload=payload,
            )  # fmt: skip
