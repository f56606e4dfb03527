"""Answers that are shown while they are written, where that takes longer than a moment.

A stream is an outbox row before it is a message, as everything is. It carries the row's id only
when it stops: after a crash the bot's unmarked message in that thread is the one (a thread has one
answer under way at a time, and each answer begins one stream at most), and a late holder deletes
what it began. The poster ends a stream by
making it the whole answer.

Limits: https://docs.slack.dev/reference/methods/chat.appendStream ; a stream ends by itself after
about 5 minutes (https://github.com/slackapi/python-slack-sdk/issues/1859).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Coroutine
from typing import Any

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session

from bot import outbox
from bot.pump import LostClaim
from bot.slack.markdown import PART_CHARS, safe
from bot.slack.pacing import Pacing
from bot.slack.workspace import NO_REPLY, Identity, error_of, is_trouble
from bot.store import answers
from bot.store.database import reading, transaction
from bot.store.schema import OutboxMessage, Question, Status

log = logging.getLogger(__name__)
AFTER_S = 2.0  # what is written sooner is posted whole
EVERY_S = 1.0
LONGEST_S = 240.0
ABSENT_S = 600.0  # where there are no streams, they are not tried for so long
ABSENT = frozenset({"unknown_method", "missing_scope", "not_allowed_token_type",
                    "access_denied", "method_deprecated"})  # fmt: skip


class Streams:
    """The streams of one workspace."""

    def __init__(
        self,
        engine: Engine,
        client: AsyncWebClient,
        identity: Identity,
        pacing: Pacing,
        *,
        after_s: float = AFTER_S,
    ) -> None:
        self.after_s = after_s
        self.engine = engine
        self.client = client
        self.identity = identity
        self.pacing = pacing
        self.off_until = 0.0
        self._beginning: set[asyncio.Task[str]] = set()

    def of(self, question: Question) -> Stream:
        """One attempt to show the question's answer."""
        return Stream(self, question)

    async def begin(self, begin: Coroutine[Any, Any, str]) -> str:
        """Await a stream's begin, which is not stopped half-way with whoever waits for it: it would
        leave a message that nobody knows of."""
        task = asyncio.create_task(begin)
        self._beginning.add(task)  # or it might be collected
        task.add_done_callback(self._beginning.discard)
        return await asyncio.shield(task)


class Stream:
    """Shows one attempt at an answer. Whatever goes wrong, the poster says all of it in the end."""

    def __init__(self, streams: Streams, question: Question) -> None:
        self._streams = streams
        self._question = question
        self._holder = secrets.token_hex(8)
        self._began = time.monotonic()
        self._next = self._began + streams.after_s
        self._row: OutboxMessage | None = None
        self._shown = ""
        self._over = False

    @property
    def began(self) -> bool:
        """Whether some of it may be in Slack."""
        return self._row is not None

    async def grew(self, text: str) -> None:
        """The answer says so much by now."""
        moment = time.monotonic()
        if self._over or moment < max(self._next, self._streams.off_until):
            return
        try:
            await self._show(safe(text))
        except (SQLAlchemyError, LostClaim) as error:
            self._stop(f"{type(error).__name__}: {error}")
        except SlackApiError as error:
            await self._refused(error)
        except NO_REPLY as error:
            self._stop(type(error).__name__)
        self._next = max(self._next, time.monotonic() + EVERY_S)

    async def _show(self, text: str) -> None:
        if not text.startswith(self._shown) or not text.strip():
            self._stop("the answer was begun anew")
        elif len(text) > PART_CHARS:
            self._stop("the rest is said in further messages")
        elif time.monotonic() - self._began > LONGEST_S:
            self._stop("it takes too long for a stream")
        elif self._row is None:
            await self._start(text)
        else:
            await self._append(self._row, text)

    async def _start(self, text: str) -> None:
        self._row = row = await asyncio.to_thread(self._write, self._open)
        if row is None or row.lease_owner != self._holder:
            self._stop("the answer has a message, or may have, or has to wait")
            return
        row.ts = await self._streams.begin(self._begin(row, text))
        self._shown = text

    async def _begin(self, row: OutboxMessage, text: str) -> str:
        """Begin the stream in Slack; its ts. Raises LostClaim."""
        question, client = self._question, self._streams.client
        started = await client.chat_startStream(
            channel=question.channel, thread_ts=question.thread_ts, markdown_text=text,
            recipient_user_id=question.user, recipient_team_id=self._streams.identity.team_id,
        )  # fmt: skip
        ts = str(started["ts"])
        try:
            await asyncio.to_thread(
                self._write,
                lambda session: outbox.stream_started(session, row, self._holder, ts),
            )
        except LostClaim:
            await self._withdraw(row, ts)
            raise
        return ts

    async def _append(self, row: OutboxMessage, text: str) -> None:
        more = text.removeprefix(self._shown)
        if row.ts is None or not more:
            return
        await self._streams.client.chat_appendStream(
            channel=row.channel, ts=row.ts, markdown_text=more
        )
        self._shown = text

    async def _refused(self, error: SlackApiError) -> None:
        code = error_of(error)
        if code == "ratelimited" and self._row is not None and self._row.ts is not None:
            self._next = time.monotonic() + self._streams.pacing.refused("stream", error)
            return
        self._stop(code)
        if self._row is None or self._row.ts is not None:
            return
        if code in ABSENT:
            log.info("no streams for a while: %s", code)
            self._streams.off_until = time.monotonic() + ABSENT_S
        if code == "ratelimited" or not is_trouble(code):
            await self._mark_refused(self._row)

    async def _mark_refused(self, row: OutboxMessage) -> None:
        """Nothing was begun, so that nobody has to look for it."""
        try:
            await asyncio.to_thread(
                self._write, lambda session: outbox.stream_refused(session, row, self._holder)
            )
        except (SQLAlchemyError, LostClaim) as error:
            log.info("a refused stream was not marked: %s", error)

    async def _withdraw(self, row: OutboxMessage, ts: str) -> None:
        """Another process has written this answer, or nobody does any more. Delete what was begun,
        unless it was adopted."""
        for _ in range(240):
            now = await asyncio.to_thread(self._read, row.id)
            if now.status in (Status.DONE, Status.FAILED):
                if now.ts != ts:
                    await self._take_away(ts)
                return
            await asyncio.sleep(0.25)

    async def _take_away(self, ts: str) -> None:
        channel, client = self._question.channel, self._streams.client
        try:
            await client.chat_stopStream(channel=channel, ts=ts)
            await client.chat_delete(channel=channel, ts=ts)
        except (SlackApiError, *NO_REPLY) as error:
            log.warning("the stream %s could not be taken back: %s", ts, error)

    def _open(self, session: Session) -> OutboxMessage | None:
        question = self._question
        return outbox.open_stream(
            session, team_id=question.team_id, key=answers.message_key(question.id),
            channel=question.channel, thread_ts=question.thread_ts, holder=self._holder,
        )  # fmt: skip

    def _read(self, row_id: int | None) -> OutboxMessage:
        with reading(self._streams.engine) as session:
            return session.get_one(OutboxMessage, row_id)

    def _write(self, change: Callable[[Session], Any]) -> Any:
        with transaction(self._streams.engine) as session:
            return change(session)

    def _stop(self, why: str) -> None:
        log.debug("the stream of question %s is left to its end: %s", self._question.id, why)
        self._over = True
