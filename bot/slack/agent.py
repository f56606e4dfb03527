"""The agent view: what Mynah proposes to ask, and that it is at work on an answer.

All of it is an extra: where Slack does not take it, nothing else is late or goes wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from bot.dispatcher import Later
from bot.slack.pieces import cut
from bot.slack.roles import Roles
from bot.slack.workspace import LOCKED_OUT, NO_REPLY, error_of, is_trouble
from bot.store import answers, receipts
from bot.store.asked import most_asked
from bot.store.database import reading
from bot.store.schema import InboxEvent, Question

log = logging.getLogger(__name__)
STATUS = "is looking it up…"
SOON_S = 0.3  # an answer that is there so soon needs no status
# Slack's words for "this workspace, or this app, does not have it".
ABSENT = LOCKED_OUT | {"unknown_method", "not_allowed_token_type", "feature_not_enabled"}
ABSENT_S, TROUBLE_S = 600.0, 30.0  # how long it is not tried again
PROMPTS, FEWEST = 4, 3
LOOKED_AT = 12  # so many are looked at for those that the person may read
TITLE, MESSAGE = 75, 1000
TITLED = "What people ask here"
GENERAL = (
    "What can you help me with?",
    "How do you know what you answer?",
    "How can I ask a person instead?",
)


class Agent:
    """Sets prompts and statuses in one workspace."""

    def __init__(self, engine: Engine, client: AsyncWebClient, team_id: str, roles: Roles) -> None:
        self._engine = engine
        self._client = client
        self._team_id = team_id
        self._roles = roles
        self._absent_until = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    async def opened(self, row: InboxEvent) -> None:
        """Handle an `app_home_opened` event of the messages tab."""
        event = row.payload["event"]
        questions = await self._readable(event["user"])
        await self._try(
            lambda: self._client.assistant_threads_setSuggestedPrompts(
                channel_id=event["channel"], title=TITLED, prompts=prompts(questions)
            )
        )

    @contextlib.asynccontextmanager
    async def thinking(self, row: InboxEvent) -> AsyncIterator[None]:
        """Show that the question of an inbox row is being answered, beside the answering."""
        done = asyncio.Event()
        task = asyncio.create_task(self._think(row.payload["question_id"], done))
        self._tasks.add(task)  # or it might be collected
        task.add_done_callback(self._tasks.discard)
        try:
            yield
        finally:
            done.set()

    async def _think(self, question_id: int, done: asyncio.Event) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(done.wait(), SOON_S)
        if done.is_set():
            return
        question = await asyncio.to_thread(self._unanswered, question_id)
        if question is None or not await self._say(question, STATUS):
            return
        is_late = done.is_set()  # the answer may have come first, and nothing would clear it
        await done.wait()
        still = await asyncio.to_thread(self._unanswered, question_id)
        if is_late or still is not None:  # it has to wait
            await self._say(question, "")

    async def _say(self, question: Question, status: str) -> bool:
        return await self._try(
            lambda: self._client.assistant_threads_setStatus(
                channel_id=question.channel, thread_ts=question.thread_ts, status=status
            )
        )

    def _unanswered(self, question_id: int) -> Question | None:
        """The question, when a new message will answer it: only that takes a status away."""
        try:
            with reading(self._engine) as session:
                question = session.get(Question, question_id)
                if question is None or question.deleted_at is not None:
                    return None
                return None if answers.shown(session, question) else question
        except SQLAlchemyError as error:
            log.debug("no status: %s", type(error).__name__)
            return None

    async def _readable(self, user: str) -> list[str]:
        """Questions of this workspace from where the person may read; none without Slack's word."""
        may_read: dict[str, bool] = {}
        found = []
        for question, channels in await asyncio.to_thread(self._asked):
            try:
                for channel in channels - may_read.keys():
                    may_read[channel] = await self._roles.may_read(user, channel)
            except Later as later:
                log.debug("no prompts of this workspace: %s", later)
                return []
            if all(may_read[channel] for channel in channels):
                found.append(question)
        return found

    def _asked(self) -> list[tuple[str, frozenset[str]]]:
        """The questions asked most, and the channels that each came from."""
        with reading(self._engine) as session:
            found = most_asked(session, self._team_id, LOOKED_AT)
            return [(one.question, receipts.source_of(session, one).channels) for one in found]

    async def _try(self, call: Callable[[], Awaitable[Any]]) -> bool:
        """Whether Slack took it. What it does not have is not tried again for a while."""
        if time.monotonic() < self._absent_until:
            return False
        try:
            await call()
        except SlackApiError as error:
            code = error_of(error)
            wait_s = ABSENT_S if code in ABSENT else TROUBLE_S if is_trouble(code) else 0.0
            self._absent_until = time.monotonic() + wait_s
            log.debug("the agent view was not changed: %s", code)
        except NO_REPLY as error:
            log.debug("the agent view was not changed: %s", type(error).__name__)
        else:
            return True
        return False


def prompts(questions: Sequence[str]) -> list[dict[str, str]]:
    """What to propose: questions of this workspace if there are enough, else general ones."""
    chosen = questions[:PROMPTS] if len(questions) >= FEWEST else GENERAL
    return [{"title": cut(one, TITLE), "message": one[:MESSAGE]} for one in chosen]
