"""Messages: questions to the bot, and messages that were edited or deleted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Engine, update
from sqlmodel import Session, col, select

from bot import examples, inbox, outbox, showing
from bot.mrkdwn import plain
from bot.prompt import Turn
from bot.slack import blocks
from bot.slack.delivery import SPOKEN
from bot.slack.workspace import Message, Workspace
from bot.store import answers
from bot.store.database import reading, transaction
from bot.store.once import insert_once
from bot.store.schema import Answer, InboxEvent, Question, now

EMPTY = "Ask me something, and I will answer here. `/mynah help` says what else I can do."


class Messages:
    """Turns messages into stored questions, and forgets what was edited or deleted."""

    def __init__(self, engine: Engine, workspace: Workspace, *, said: Callable[[], None]) -> None:
        self._engine = engine
        self._workspace = workspace
        self._said = said

    async def handle(self, row: InboxEvent) -> None:
        """Handle a `message` or `app_mention` event."""
        event = row.payload["event"]
        if event.get("subtype") == "message_deleted":
            await self._write(_delete, event["channel"], event["deleted_ts"])
        elif event.get("subtype") == "message_changed":
            await self._changed(event)
        else:
            await self._ask(event)

    async def read_thread(self, question: Question) -> list[Turn]:
        """The thread before the question, oldest first, as the model should see it."""
        if question.thread_ts == question.ts:
            return []
        thread = await self._workspace.thread(question.channel, question.thread_ts)
        return [self._turn(message) for message in thread if _was_before(message, question.ts)]

    def _turn(self, message: Message) -> Turn:
        own = message.get("user") == self._workspace.identity.user_id
        return Turn("assistant" if own else "user", plain(message.get("text", "")))

    async def _ask(self, event: Mapping[str, Any]) -> None:
        text = _storable(plain(event.get("text", "")))
        kind = await self._workspace.channel_kind(event["channel"])
        question = Question(
            team_id=self._workspace.identity.team_id, channel=event["channel"], channel_kind=kind,
            thread_ts=event.get("thread_ts") or event["ts"], ts=event["ts"], user=event["user"],
            text=text,
        )  # fmt: skip
        await self._write(_enqueue if text else _greet, question)

    async def _changed(self, event: Mapping[str, Any]) -> None:
        message = event["message"]
        if message.get("subtype") == "tombstone":  # a deleted message whose thread lives on
            await self._write(_delete, event["channel"], message["ts"])
        else:
            await self._edited(event["channel"], message["ts"])

    async def _edited(self, channel: str, ts: str) -> None:
        """What counts is how the message reads now: events come late and out of order."""
        if not await asyncio.to_thread(self._matters, channel, ts):
            return
        message = await self._workspace.message(channel, ts)
        text = _storable(plain(message.get("text", ""))) if message else ""
        await self._write(_edit, channel, ts, text)

    def _matters(self, channel: str, ts: str) -> bool:
        """Whether it is a question, or something was learned from it."""
        team_id = self._workspace.identity.team_id
        with reading(self._engine) as session:
            asked = session.exec(_question(team_id, channel, ts)).first()
            return asked is not None or examples.came_from(session, team_id, channel, ts)

    async def _write(self, change: Callable[..., None], *arguments: Any) -> None:
        await asyncio.to_thread(self._write_now, change, *arguments)
        self._said()

    def _write_now(self, change: Callable[..., None], *arguments: Any) -> None:
        with transaction(self._engine) as session:
            change(session, self._workspace.identity.team_id, *arguments)


def _enqueue(session: Session, team_id: str, question: Question) -> None:
    """Store the question and queue its answering, both once, whichever event comes first.

    Answering has a lane of its own: deleting and correcting in a thread must not wait for a model.
    """
    if not insert_once(session, question):
        return
    stored = session.exec(_question(team_id, question.channel, question.ts)).one()
    _queue_answering(session, stored, f"question:{stored.id}")


def _queue_answering(session: Session, question: Question, event_id: str) -> None:
    inbox.receive(
        session, team_id=question.team_id, event_id=event_id, kind="question",
        lane=f"answer:{question.channel}:{question.thread_ts}",
        payload={"question_id": question.id},
    )  # fmt: skip


def _greet(session: Session, team_id: str, question: Question) -> None:
    outbox.say(
        session, team_id=team_id, key=f"empty:{question.channel}:{question.ts}",
        channel=question.channel, thread_ts=question.thread_ts, payload=blocks.note(EMPTY),
    )  # fmt: skip


def _delete(session: Session, team_id: str, channel: str, ts: str) -> None:
    # The row first: whoever teaches from this question at this moment goes before, or not at all.
    gone = {"deleted_at": now()}
    for table, values in ((Question, gone | {"text": ""}), (Answer, gone)):
        here = (col(table.team_id) == team_id, col(table.channel) == channel)
        session.execute(update(table).where(*here, col(table.ts) == ts).values(values))
    examples.forget_message(session, team_id, channel, ts)
    question = session.exec(_question(team_id, channel, ts)).first()
    if question is None:
        return
    showing.take_away(session, question)  # without it, it says nothing


def _edit(session: Session, team_id: str, channel: str, ts: str, text: str) -> None:
    if not text:  # nothing is left of it
        _delete(session, team_id, channel, ts)
        return
    question = session.exec(_question(team_id, channel, ts).with_for_update()).first()
    if question is not None:
        if question.deleted_at is not None or question.text == text:
            return
        question.text = text
        session.add(question)
        _answer_again(session, question)
    examples.forget_message(session, team_id, channel, ts)


def _answer_again(session: Session, question: Question) -> None:
    """Its answer answers other words: make a new one. (While there is none, one is being made.)"""
    if (answer := answers.current(session, question.id)) is not None:
        answer.replaced_at = now()
        session.add(answer)
        _queue_answering(session, question, f"question:{question.id}:{answer.id}")


def _question(team_id: str, channel: str, ts: str) -> Any:
    return select(Question).where(
        Question.team_id == team_id, Question.channel == channel, Question.ts == ts
    )


def _was_before(message: Message, ts: str) -> bool:
    return message["ts"] < ts and message.get("subtype") in (*SPOKEN, "bot_message")


def _storable(text: str) -> str:
    """Without what databases refuse: NUL characters and halves of surrogate pairs."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()
