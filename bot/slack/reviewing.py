"""The buttons of a review card: a member of the staff settles what others disagree on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sqlalchemy import Engine
from sqlmodel import Session

from bot import disputes
from bot.slack import ephemeral
from bot.slack.aftermath import Aftermath
from bot.slack.conflicting import Conflicting
from bot.slack.interactions import Listeners, Press
from bot.slack.review_card import RIGHT, WRONG
from bot.slack.roles import Roles
from bot.store.database import reading, transaction
from bot.store.schema import Answer, Question

STAFF_ONLY = "Only staff can settle what staff disagree on."
UNREADABLE = "You cannot read the channel of this answer, so somebody else has to settle it."
SETTLED = "This is settled already."


class Reviewing:
    """Settles disputes."""

    def __init__(
        self,
        engine: Engine,
        team_id: str,
        roles: Roles,
        aftermath: Aftermath,
        conflicting: Conflicting,
        *,
        said: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._team_id = team_id
        self._roles = roles
        self._aftermath = aftermath
        self._conflicting = conflicting
        self._said = said

    def register(self, listeners: Listeners) -> None:
        """Handle both buttons."""
        listeners.actions[RIGHT] = self.on_press
        listeners.actions[WRONG] = self.on_press

    async def on_press(self, press: Press) -> None:
        """Settle the dispute, if the person may."""
        refusal = await self._refusal(press)
        await asyncio.to_thread(self._write, press, refusal)
        self._said()
        await self._conflicting.compare()

    async def _refusal(self, press: Press) -> str | None:
        if not await self._roles.is_staff(press.user):
            return STAFF_ONLY
        answer = await asyncio.to_thread(self._answer, press)
        if answer is not None and not await self._roles.may_read(press.user, answer.channel):
            return UNREADABLE
        return None

    def _answer(self, press: Press) -> Answer | None:
        with reading(self._engine) as session:
            return session.get(Answer, int(press.value))

    def _write(self, press: Press, refusal: str | None) -> None:
        with transaction(self._engine) as session:
            if refusal is None:
                refusal = self._settle(session, press)
            if refusal is not None:
                ephemeral.reply(session, self._team_id, press, refusal)

    def _settle(self, session: Session, press: Press) -> str | None:
        """Settle it; what to say instead when there is nothing to settle."""
        answer = session.get(Answer, int(press.value))
        if answer is None or answer.team_id != self._team_id:
            return SETTLED
        session.get_one(Question, answer.question_id, with_for_update=True)
        right = press.action_id == RIGHT
        dispute = disputes.of_answer(session, answer)
        if dispute is not None:
            disputes.decide(session, dispute, right=right, user=press.user)
            self._aftermath.follow(session, answer.question_id)
            return None
        before = disputes.decision(session, answer.id or 0)
        # The same press, handled twice.
        own = before is not None and before.user == press.user
        return None if own else SETTLED
