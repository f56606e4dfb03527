"""Watching the work: each row's log lines, figures and spans, from the inbox until it is posted."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from bot.figures import Figures
from bot.store import answers
from bot.store.database import reading
from bot.store.schema import InboxEvent, OutboxKind, OutboxMessage, Question, now
from serving import logs, tracing
from serving.tracing import Tracing, Value

log = logging.getLogger(__name__)
DONE = "done"
_ANSWER_KEY = re.compile(r"answer:(\d+)(?::|$)")  # `answers.message_key`, and what follows it

Row = InboxEvent | OutboxMessage


@dataclass
class Seen:
    """What came of a row; see `Figures.handled`."""

    outcome: str = "lost"


class Watch:
    """What a process notes of the rows it works on. Without tracing it asks the store nothing."""

    def __init__(
        self,
        engine: Engine | None = None,
        figures: Figures | None = None,
        traces: Tracing | None = None,
    ) -> None:
        self.figures = figures or Figures()
        self._engine = engine
        self._tracing = traces

    @asynccontextmanager
    async def handling(self, row: Row) -> AsyncIterator[Seen]:
        """Around the work on a claimed row: whoever works says in the end what came of it."""
        seen = Seen()
        question = await asyncio.to_thread(self._question, row) if self._tracing else None
        with logs.about(**_ids(row)) as ids, tracing.using(self._tracing):
            with self._traced(row, _key(row, question)):
                yield seen
            self.figures.handled(_queue(row), seen.outcome)
            if seen.outcome == DONE:
                self._is_done(row, ids, question)

    @asynccontextmanager
    async def asking(self, team: str, number: int) -> AsyncIterator[None]:
        """Around the answering of a question that stands in no queue: another system waits."""
        began, outcome = now(), "error"
        question = await asyncio.to_thread(self._read, number) if self._tracing else None
        with logs.about(team=team, question=number) as ids, tracing.using(self._tracing):
            try:
                with self._called(team, question):
                    yield
                outcome = DONE
            finally:
                self.figures.handled("api", outcome)
            if "answer" in ids:
                self._is_answered(team, ids, (now() - began).total_seconds())

    @contextmanager
    def _called(self, team: str, question: Question | None) -> Iterator[None]:
        """In the trace of the question, which is whole at the end."""
        if self._tracing is None or question is None:
            yield
            return
        key = _question_key(team, question)
        with self._tracing.within(key) as trace:
            logs.note(trace=trace)
            with tracing.span("dispatch", team=team, question=question.id or 0, kind="api"):
                yield
        about: dict[str, Value] = {"team": team, "question": question.id or 0}
        self._tracing.whole(key, "question", question.asked_at, **about)

    def _is_done(self, row: Row, ids: logs.Ids, question: Question | None) -> None:
        if isinstance(row, OutboxMessage):
            seconds = _since(row)
            self.figures.posted(row.team_id, seconds)
            if row.answer_id is not None:
                log.info("posted", extra={"seconds": round(seconds, 3)})
                self._is_whole(row, question)
        elif row.kind == "question" and "answer" in ids:
            self._is_answered(row.team_id, ids, _since(row))

    def _is_answered(self, team: str, ids: logs.Ids, seconds: float) -> None:
        self.figures.answered(team, str(ids.get("mode", "")), seconds)
        self.figures.recalled(str(ids.get("memory", "none")))
        log.info("answered", extra={"seconds": round(seconds, 3)})

    def _is_whole(self, row: OutboxMessage, question: Question | None) -> None:
        """A question's trace ends with its first message in Slack."""
        if self._tracing is None or question is None:
            return
        if row.kind is OutboxKind.POST and row.key == answers.message_key(question.id):
            about: dict[str, Value] = {"team": row.team_id, "question": question.id or 0}
            key = _key(row, question)
            self._tracing.whole(key, "question", question.asked_at, **about)

    @contextmanager
    def _traced(self, row: Row, key: str) -> Iterator[None]:
        if self._tracing is None:
            yield
            return
        wait, work = ("outbox", "posted") if isinstance(row, OutboxMessage) else _INBOX
        about: dict[str, Value] = {**_ids(row), "kind": str(row.kind), "attempt": row.attempts}
        with self._tracing.within(key) as trace:
            logs.note(trace=trace)
            self._tracing.past(wait, row.not_before, **about)
            with tracing.span(work, **about):
                yield

    def _question(self, row: Row) -> Question | None:
        """The question that the row is about; None where it is about none, or cannot be read."""
        number = _question_id(row)
        return None if number is None else self._read(number)

    def _read(self, number: int) -> Question | None:
        if self._engine is None:
            return None
        try:
            with reading(self._engine) as session:
                return session.get(Question, number)
        except SQLAlchemyError:  # a trace is worth no question
            return None


_INBOX = ("inbox", "dispatch")


def _queue(row: Row) -> str:
    """As `bot.census` names the queues."""
    if isinstance(row, OutboxMessage):
        return "outbox"
    return {"question": "questions", "shadow": "shadows"}.get(row.kind, "deliveries")


def _ids(row: Row) -> dict[str, str | int | float]:
    ids: dict[str, str | int | float | None] = {
        "team": row.team_id, _table(row): row.id, "question": _question_id(row),
        "answer": row.answer_id if isinstance(row, OutboxMessage) else None,
    }  # fmt: skip
    return {name: one for name, one in ids.items() if one is not None}


def _table(row: Row) -> str:
    return "outbox" if isinstance(row, OutboxMessage) else "inbox"


def _question_id(row: Row) -> int | None:
    if isinstance(row, InboxEvent):
        found: int | None = row.payload.get("question_id")
        return found
    match = _ANSWER_KEY.match(row.key)
    return int(match[1]) if match else None


def _key(row: Row, question: Question | None) -> str:
    """What the row's trace is about: the message that was asked or changed, else the row."""
    if question is not None:
        return _question_key(row.team_id, question)
    if isinstance(row, OutboxMessage):
        return f"{row.team_id}:outbox:{row.key}:{row.created_at.timestamp()}"
    event = row.payload.get("event") or {}
    if event.get("type") not in ("message", "app_mention"):
        return f"{row.team_id}:{row.event_id}"
    ts = event.get("deleted_ts") or (event.get("message") or event).get("ts")
    return f"{row.team_id}:{event.get('channel')}:{ts}"


def _question_key(team: str, question: Question) -> str:
    return f"{team}:{question.channel}:{question.ts}"


def _since(row: Row) -> float:
    began = row.created_at if isinstance(row, OutboxMessage) else row.received_at
    return max((now() - began).total_seconds(), 0.0)
