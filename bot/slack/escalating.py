"""Asking for people: 🆘 on a message opens its case; staff claim and resolve it by button."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine
from sqlmodel import Session, select

from bot import cases, feedback, outbox
from bot.cases import ASKED, MYNAH, Cases
from bot.people import is_speech
from bot.slack import case_card, ephemeral
from bot.slack.blocks import note
from bot.slack.interactions import Listeners, Press
from bot.slack.roles import Roles
from bot.slack.teaching import answer_of
from bot.slack.workspace import Message, Workspace
from bot.store.database import transaction
from bot.store.schema import Answer, Case, CaseStatus, FeedbackKind, Question

Change = Callable[[Session, Case, str], None]


class Escalating:
    """Calls for help, and what staff do about them."""

    def __init__(
        self,
        engine: Engine,
        workspace: Workspace,
        roles: Roles,
        cases: Cases,
        *,
        said: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._workspace = workspace
        self._roles = roles
        self._cases = cases
        self._said = said

    def register(self, listeners: Listeners) -> None:
        """Take the buttons of a case's card."""
        listeners.actions[case_card.CLAIM] = self._claim
        listeners.actions[case_card.RESOLVE] = self._resolve

    async def may_ask(self, user: str, channel: str) -> bool:
        """Whether the user may ask for help there: every person who can read it."""
        who = await self._workspace.user(user)
        if who is None or who.get("is_bot") or user == "USLACKBOT":
            return False
        return await self._roles.may_read(user, channel)

    async def ask(self, channel: str, message: Message, user: str) -> None:
        """Open the case of a message, or of the question that a message of the bot's answers."""
        await self._write(lambda session: self._open(session, channel, message, user))

    async def take_back(self, channel: str, ts: str, user: str) -> None:
        """The user took their call for help away: without another one its case is withdrawn."""
        await self._write(lambda session: self._withdraw(session, channel, ts, user))

    def _open(self, session: Session, channel: str, message: Message, user: str) -> None:
        by_bot = message.get("user") == self._workspace.identity.user_id
        answer = answer_of(session, channel, message) if by_bot else None
        wanted = self._wanted(session, channel, message, answer, user)
        if wanted is None:
            return
        _, new = feedback.record(
            session, team_id=wanted.team_id, channel=channel, target_ts=message["ts"], user=user,
            kind=FeedbackKind.ESCALATE, answer_id=answer.id if answer else None,
        )  # fmt: skip
        if not new:
            return
        case = self._cases.open(session, wanted)
        if cases.is_direct(channel):
            self._confirm(session, wanted, case)

    def _wanted(
        self, session: Session, channel: str, message: Message, answer: Answer | None, user: str
    ) -> Case | None:
        """The case that a call for help on a message is about; None for what needs no answer."""
        team_id = self._workspace.identity.team_id
        if answer is not None:
            question = session.get_one(Question, answer.question_id)
        elif not is_speech(message):
            return None
        else:
            asked = select(Question).where(
                Question.team_id == team_id, Question.channel == channel,
                Question.ts == message["ts"],
            )  # fmt: skip
            found = session.exec(asked).first()
            if found is None:
                return Case(
                    team_id=team_id, channel=channel, ts=message["ts"], opened_by=user,
                    thread_ts=message.get("thread_ts") or message["ts"], reason=ASKED,
                )  # fmt: skip
            question = found
        if question.deleted_at is not None:
            return None
        return cases.of_question(question, by=user, reason=ASKED)

    def _confirm(self, session: Session, wanted: Case, case: Case | None) -> None:
        """In a direct message the card is elsewhere: say that it is on its way, or cannot be."""
        if case is None and self._cases.reaches(wanted.channel):
            return
        words = case_card.TOLD if case else case_card.NOBODY
        outbox.say(
            session, team_id=wanted.team_id, key=f"sos:{wanted.channel}:{wanted.ts}",
            channel=wanted.channel, thread_ts=wanted.thread_ts, payload=_aside(words),
        )  # fmt: skip

    def _withdraw(self, session: Session, channel: str, ts: str, user: str) -> None:
        team_id = self._workspace.identity.team_id
        given = feedback.revoke(
            session, team_id=team_id, channel=channel, target_ts=ts, user=user,
            kind=FeedbackKind.ESCALATE,
        )  # fmt: skip
        if given is None:
            return
        session.flush()
        if given.answer_id is not None:
            answer = session.get_one(Answer, given.answer_id)
            ts = session.get_one(Question, answer.question_id).ts
        case = cases.of_message(session, team_id, channel, ts)
        if case is None or case.opened_by == MYNAH or cases.is_still_wanted(session, case):
            return
        self._cases.withdraw(session, case, user)

    async def _claim(self, press: Press) -> None:
        await self._press(press, self._cases.claim)

    async def _resolve(self, press: Press) -> None:
        await self._press(press, self._cases.resolve)

    async def _press(self, press: Press, change: Change) -> None:
        is_staff = await self._roles.is_staff(press.user)
        await self._write(
            lambda session: (
                self._change(session, press, change)
                if is_staff
                else self._reply(session, press, case_card.STAFF_ONLY)
            )
        )

    def _change(self, session: Session, press: Press, change: Change) -> None:
        number = int(press.value) if press.value.isdecimal() else 0
        case = cases.by_id(session, self._workspace.identity.team_id, number)
        if case is None:
            self._reply(session, press, case_card.GONE)
            return
        change(session, case, press.user)
        if press.user not in (case.claimed_by, case.resolved_by):  # somebody was quicker
            self._reply(session, press, case_card.standing(case))
        elif case.status is CaseStatus.CLAIMED and cases.is_direct(case.channel):
            outbox.say(
                session, team_id=case.team_id, key=f"case:{case.id}:claimed",
                channel=case.channel, thread_ts=case.thread_ts,
                payload=_aside(f"<@{press.user}> takes care of it and will write to you."),
            )  # fmt: skip

    def _reply(self, session: Session, press: Press, words: str) -> None:
        ephemeral.reply(session, self._workspace.identity.team_id, press, words)

    async def _write(self, change: Callable[[Session], None]) -> None:
        await asyncio.to_thread(self._write_now, change)
        self._said()

    def _write_now(self, change: Callable[[Session], None]) -> None:
        with transaction(self._engine) as session:
            change(session)


def _aside(words: str) -> dict[str, Any]:
    return {**note(words), "metadata": {"event_payload": {"aside": True}}}
