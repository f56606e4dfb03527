"""The link under an answer: to the approved message behind it, where the asker may read that."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from slack_sdk.errors import SlackApiError
from sqlalchemy import Engine

from bot.dispatcher import Later
from bot.memory import Match
from bot.slack.roles import Roles
from bot.slack.workspace import Workspace, error_of
from bot.store import receipts
from bot.store.database import reading
from bot.store.receipts import Source
from bot.store.schema import ChannelKind, Example, Question

log = logging.getLogger(__name__)


class Citing:
    """Finds sources. An answer never waits for one: without Slack's word there is no link."""

    def __init__(self, engine: Engine, workspace: Workspace, roles: Roles) -> None:
        self._engine = engine
        self._workspace = workspace
        self._roles = roles

    async def link(self, question: Question, match: Match) -> str | None:
        """The address of the message that was approved; None if the asker cannot read it."""
        source = await asyncio.to_thread(self._source, match.example_id)
        return await self._link(
            source, lambda channel: self._roles.may_read(question.user, channel)
        )

    async def public_link(self, example_id: int) -> str | None:
        """The same for whoever asks from outside of Slack: None unless all channels that it came
        from are public."""
        source = await asyncio.to_thread(self._source, example_id)
        return await self._link(source, self._is_public)

    async def _is_public(self, channel: str) -> bool:
        return await self._workspace.channel_kind(channel) is ChannelKind.PUBLIC

    async def _link(self, source: Source, may: Callable[[str], Awaitable[bool]]) -> str | None:
        if source.message is None:
            return None
        try:
            for channel in source.channels:
                if not await may(channel):
                    return None
            return await self._workspace.link(*source.message)
        except Later as later:
            log.info("no source is shown: %s", later)
        except SlackApiError as error:
            log.info("no source is shown: %s", error_of(error))
        return None

    def _source(self, example_id: int) -> Source:
        with reading(self._engine) as session:
            return receipts.source_of(session, session.get_one(Example, example_id))
