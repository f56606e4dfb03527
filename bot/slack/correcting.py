"""The correction of an answer: the shortcut, the modal, and Undo."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine
from sqlmodel import Session

from bot import corrections, examples, feedback
from bot.mrkdwn import storable
from bot.slack import ephemeral, modals
from bot.slack.aftermath import Aftermath
from bot.slack.corrected import REASONS, UNDO
from bot.slack.interactions import Listeners, Press, Shortcut, Submission
from bot.slack.roles import Roles
from bot.slack.teaching import Lesson, Teaching, answer_of, own_words
from bot.slack.windows import Windows
from bot.slack.workspace import Message
from bot.store import answers
from bot.store.callers import is_caller
from bot.store.database import reading, transaction
from bot.store.schema import Answer, Feedback, FeedbackKind, Question

STAFF_ONLY = "Only staff can correct my answers."
NO_ANSWER = "This is no answer of mine, or it is just being changed."
TOO_LATE = "Slack did not let me open the form in time. Please try again."
CHANGED = "I did not take the correction: the question was edited or deleted meanwhile."
SAME = "The answer says exactly that already."
GONE = "This correction was taken back already."


@dataclass(frozen=True)
class Found:
    """An answer as it stands, and its question."""

    question: Question
    answer: Answer


class Correcting:
    """Lets staff rewrite an answer in place, and take that back."""

    def __init__(
        self,
        engine: Engine,
        team_id: str,
        roles: Roles,
        windows: Windows,
        teaching: Teaching,
        aftermath: Aftermath,
        *,
        said: Callable[[], None],
        keep: Sequence[str] = (),
    ) -> None:
        self._engine = engine
        self._team_id = team_id
        self._roles = roles
        self._windows = windows
        self._teaching = teaching
        self._keep = keep
        self._aftermath = aftermath
        self._said = said

    def register(self, listeners: Listeners) -> None:
        """Handle the shortcut, the modal and the button."""
        listeners.shortcuts[modals.CORRECT] = self.on_shortcut
        listeners.views[modals.CORRECT] = self.on_submit
        listeners.actions[UNDO] = self.on_undo

    async def on_shortcut(self, used: Shortcut) -> None:
        """Open the modal for the answer that a message shows, or say why not."""
        await self.open(used, used.channel, used.message)

    async def open(self, act: Press | Shortcut, channel: str, message: Message) -> None:
        """Open the modal for a message's answer, or tell the person why it does not open."""
        if not await self._roles.is_staff(act.user):
            await self.reply(act, STAFF_ONLY)
        elif (found := await asyncio.to_thread(self._find, channel, message)) is None:
            await self.reply(act, NO_ANSWER)
        else:
            view = modals.correction(found.question, found.answer)
            if not await self._windows.open(act.trigger_id, view):
                await self.reply(act, TOO_LATE)

    async def reply(self, act: Press | Shortcut, text: str) -> None:
        """A line for the person who pressed, alone."""
        await self._write(lambda session: ephemeral.reply(session, self._team_id, act, text))

    async def on_submit(self, form: Submission) -> None:
        """Learn the correction, and show it in the answer's place."""
        if not await self._roles.is_staff(form.user):
            await self._whisper(form, STAFF_ONLY)
            return
        lesson = await asyncio.to_thread(self._read, form)
        if isinstance(lesson, str):
            await self._whisper(form, lesson)
        else:
            await self._teaching.store(lesson)

    async def on_undo(self, press: Press) -> None:
        """Take a correction back: any of the staff may, and admins."""
        user = press.user
        if not (await self._roles.is_staff(user) or await self._roles.is_admin(user)):
            await self.reply(press, STAFF_ONLY)
            return
        await self._write(lambda session: self._undo(session, press))

    def _find(self, channel: str, message: Message) -> Found | None:
        with reading(self._engine) as session:
            answer = answer_of(session, channel, message)
            if answer is None or answer.team_id != self._team_id:
                return None
            question = session.get_one(Question, answer.question_id)
            return None if question.deleted_at is not None else Found(question, answer)

    def _read(self, form: Submission) -> Lesson | str:
        """The lesson that a form holds, or what to say instead."""
        asked, said = (storable(str(form.values[name])) for name in ("question", "answer"))
        with reading(self._engine) as session:
            found = self._standing(session, form)
            if found is None or found.answer.ts is None:
                return CHANGED
            if said.strip() == found.answer.text.strip():
                return SAME
            question, ts = found.question, found.answer.ts
            draft = examples.draft(
                asked, said, rejected=own_words(session, found.answer), keep=self._keep
            )
            return Lesson(
                FeedbackKind.CORRECT, question.channel, ts, form.user,
                thread_ts=question.thread_ts, answer_id=found.answer.id,
                question=question, correction=said, reason=_reason(form.values), draft=draft,
                sources=[(question.channel, question.ts), (question.channel, ts)],
            )  # fmt: skip

    def _standing(self, session: Session, form: Submission) -> Found | None:
        """What stands where the form's answer stood; None when its question reads otherwise."""
        opened = session.get(Answer, int(form.about["answer"]))
        if opened is None or opened.team_id != self._team_id:
            return None
        question = session.get_one(Question, opened.question_id)
        current = answers.current(session, question.id)
        if question.deleted_at is not None or current is None:
            return None
        if corrections.root(session, current).id != corrections.root(session, opened).id:
            return None
        return Found(question, current)

    def _undo(self, session: Session, press: Press) -> None:
        given = session.get(Feedback, int(press.value))
        if given is None or given.team_id != self._team_id or given.answer_id is None:
            return
        if given.revoked_at is not None:
            ephemeral.reply(session, self._team_id, press, GONE)
            return
        feedback.withdraw(session, given, press.user, f"{press.user} undid the correction")
        self._aftermath.follow_rating(session, given)

    async def _whisper(self, form: Submission, text: str) -> None:
        if is_caller(form.about["channel"]):
            return  # nobody can be told anything there: the Home tab shows what stands

        def say(session: Session) -> None:
            ephemeral.whisper(
                session, self._team_id, f"form:{form.event_id}", form.user, text,
                channel=form.about["channel"], thread_ts=form.about["thread_ts"],
            )  # fmt: skip

        await self._write(say)

    async def _write(self, change: Callable[[Session], None]) -> None:
        def write() -> None:
            with transaction(self._engine) as session:
                change(session)

        await asyncio.to_thread(write)
        self._said()


def _reason(values: Any) -> str | None:
    found = values.get("reason")
    return found if found in REASONS else None
