"""Messages: questions to the bot, and messages that were edited or deleted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Engine, update
from sqlmodel import Session, col, select

from bot import cases, examples, inbox, outbox, showing
from bot.mrkdwn import plain
from bot.people import SPOKEN
from bot.prompt import Turn
from bot.slack import blocks, delivery
from bot.slack.aftermath import Aftermath
from bot.slack.follow_ups import FollowUps
from bot.slack.metadata import is_aside
from bot.slack.workspace import Message, Workspace
from bot.store import answers, shadows
from bot.store.database import reading, transaction
from bot.store.once import insert_once
from bot.store.schema import Answer, Example, InboxEvent, Question, now
from serving import logs

EMPTY = "Ask me something, and I will answer here. `/mynah help` says what else I can do."

Change = Callable[..., Sequence[Example] | None]  # what it made Mynah forget, if anything


class Messages:
    """Turns messages into stored questions, and forgets what was edited or deleted."""

    def __init__(
        self,
        engine: Engine,
        workspace: Workspace,
        aftermath: Aftermath,
        *,
        stored: Callable[[], None],
        keep: Sequence[str] = (),
    ) -> None:
        self._engine = engine
        self._workspace = workspace
        self._aftermath = aftermath
        self._stored = stored
        self._keep = keep  # contacts that stay in what is learned
        self._follow_ups = FollowUps(engine, workspace)

    async def handle(self, row: InboxEvent) -> None:
        """Handle a `message` or `app_mention` event."""
        event = row.payload["event"]
        if event.get("subtype") in ("message_changed", "message_deleted"):
            await self._changed(event, row.event_id)
        elif (asked := await self._read(event)) is not None:
            await self._ask(asked)

    async def forget(self, channel: str, ts: str) -> None:
        """Forget a question, as if its message had been deleted."""
        await self._write(_delete, channel, ts, None)

    async def read_thread(self, question: Question) -> list[Turn]:
        """The thread before the question, oldest first, as the model should see it."""
        if question.thread_ts == question.ts:
            return []
        thread = await self._workspace.thread(question.channel, question.thread_ts)
        before = (message for message in thread if _was_before(message, question.ts))
        return [self._turn(message) for message in before if not is_aside(message)]

    async def _read(self, event: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The message, given with its channel, when it is for Mynah."""
        addressed = delivery.is_addressed(event, self._workspace.identity)
        return event if addressed else await self._follow_ups.find(event)

    def _turn(self, message: Message) -> Turn:
        own = message.get("user") == self._workspace.identity.user_id
        return Turn("assistant" if own else "user", plain(message.get("text", "")))

    async def _ask(self, event: Mapping[str, Any]) -> None:
        question = await self._question(event, _words(event))
        await self._write(_enqueue if question.text else _greet, question)

    async def _question(self, message: Mapping[str, Any], text: str) -> Question:
        """The question that a message, given with its channel, is; taken back when it is empty."""
        return Question(
            team_id=self._workspace.identity.team_id, channel=message["channel"],
            channel_kind=await self._workspace.channel_kind(message["channel"]),
            thread_ts=message.get("thread_ts") or message["ts"], ts=message["ts"],
            user=message["user"], text=text, deleted_at=None if text else now(),
        )  # fmt: skip

    async def _changed(self, event: Mapping[str, Any], event_id: str) -> None:
        """What counts is how the message reads now: events come late and out of order.

        Its own event may still be to come: then the question is stored here, as it reads now.
        """
        channel, ts = event["channel"], event.get("deleted_ts") or event["message"]["ts"]
        asked = self._asked(event)
        if _is_deleted(event):
            text = ""
        elif asked is not None or await asyncio.to_thread(self._matters, channel, ts):
            text = _words(await self._workspace.message(channel, ts))
        else:
            return
        unheard = None if asked is None else await self._question(asked, text)
        if text:
            before = _words(event.get("previous_message"))
            await self._write(_edit, channel, ts, unheard, text, before, event_id, self._keep)
        else:
            await self._write(_delete, channel, ts, unheard)

    def _asked(self, event: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The message of an edit or a deletion, when it asks or asked something."""
        where = {name: event[name] for name in ("channel", "channel_type") if name in event}
        for version in (event.get("message"), event.get("previous_message")):
            asked = {**(version or {}), **where}
            if delivery.is_question(asked, self._workspace.identity):
                return asked
        return None

    def _matters(self, channel: str, ts: str) -> bool:
        """Whether it is a question, or something was learned from it."""
        team_id = self._workspace.identity.team_id
        with reading(self._engine) as session:
            asked = session.exec(_question(team_id, channel, ts)).first()
            return asked is not None or examples.came_from(session, team_id, channel, ts)

    async def _write(self, change: Change, *arguments: Any) -> None:
        await asyncio.to_thread(self._write_now, change, *arguments)
        self._stored()

    def _write_now(self, change: Change, *arguments: Any) -> None:
        with transaction(self._engine) as session:
            forgotten = change(session, self._workspace.identity.team_id, *arguments)
            self._aftermath.forgotten(session, forgotten or ())


def _enqueue(session: Session, team_id: str, question: Question) -> None:
    """Store the question and queue its answering, both once, whichever event comes first.

    Answering has a lane of its own: deleting and correcting in a thread must not wait for a model.
    """
    if not insert_once(session, question):
        return
    stored = session.exec(_question(team_id, question.channel, question.ts)).one()
    logs.note(question=stored.id)
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


def _delete(
    session: Session, team_id: str, channel: str, ts: str, unheard: Question | None
) -> list[Example]:
    if unheard is not None:
        insert_once(session, unheard)
    # The row first: whoever teaches from this question at this moment goes before, or not at all.
    gone = {"deleted_at": now()}
    for table, values in ((Question, gone | {"text": ""}), (Answer, gone)):
        here = (col(table.team_id) == team_id, col(table.channel) == channel)
        session.execute(update(table).where(*here, col(table.ts) == ts).values(values))
    shadows.forget_message(session, team_id, channel, ts)
    forgotten = examples.forget_message(session, team_id, channel, ts)
    cases.forget_message(session, team_id, channel, ts)
    question = session.exec(_question(team_id, channel, ts)).first()
    if question is not None:
        showing.take_away(session, question)  # without it, it says nothing
    return forgotten


def _edit(
    session: Session,
    team_id: str,
    channel: str,
    ts: str,
    unheard: Question | None,
    text: str,
    before: str,
    event_id: str,
    keep: Sequence[str],
) -> list[Example]:
    if unheard is not None:
        _enqueue(session, team_id, unheard)
    question = session.exec(_question(team_id, channel, ts).with_for_update()).first()
    if question is not None and question.text != text:
        question.text, question.deleted_at = text, None
        session.add(question)
        shadows.forget_message(session, team_id, channel, ts)
        _answer_again(session, question, event_id)
    return examples.forget_message(
        session, team_id, channel, ts, reads=text, before=before, keep=keep
    )


def _answer_again(session: Session, question: Question, event_id: str) -> None:
    """Its answer, if it has one, answers other words: make a new one."""
    if (answer := answers.current(session, question.id)) is not None:
        answer.replaced_at = now()
        session.add(answer)
    _queue_answering(session, question, f"question:{question.id}:{event_id}")


def _question(team_id: str, channel: str, ts: str) -> Any:
    return select(Question).where(
        Question.team_id == team_id, Question.channel == channel, Question.ts == ts
    )


def _is_deleted(event: Mapping[str, Any]) -> bool:
    """Whether a message is gone; one whose thread lives on leaves a tombstone."""
    gone: bool = event.get("subtype") == "message_deleted"
    return gone or event["message"].get("subtype") == "tombstone"


def _words(message: Message | None) -> str:
    """What a message says; nothing when it is gone."""
    if message is None or message.get("subtype") == "tombstone":
        return ""
    return plain(message.get("text", ""))


def _was_before(message: Message, ts: str) -> bool:
    return message["ts"] < ts and message.get("subtype") in (*SPOKEN, "bot_message")
