"""The link under an answer: to the approved message behind it, where the asker may read that."""

from __future__ import annotations

import asyncio
import logging

from slack_sdk.errors import SlackApiError
from sqlalchemy import Engine

from bot.dispatcher import Later
from bot.memory import Match
from bot.slack.roles import Roles
from bot.slack.workspace import Workspace, error_of
from bot.store import receipts
from bot.store.database import reading
from bot.store.receipts import Source
from bot.store.schema import Example, Question

log = logging.getLogger(__name__)


class Citing:
    """Finds sources. An answer never waits for one: without Slack's word there is no link."""

    def __init__(self, engine: Engine, workspace: Workspace, roles: Roles) -> None:
        self._engine = engine
        self._workspace = workspace
        self._roles = roles

    async def link(self, question: Question, match: Match) -> str | None:
        """The address of the message that was approved; None if the asker cannot read it."""
        source = await asyncio.to_thread(self._source, match)
        if source.message is None:
            return None
        try:
            for channel in source.channels:
                if not await self._roles.may_read(question.user, channel):
                    return None
            return await self._workspace.link(*source.message)
        except Later as later:
            log.info("no source is shown: %s", later)
        except SlackApiError as error:
            log.info("no source is shown: %s", error_of(error))
        return None

    def _source(self, match: Match) -> Source:
        with reading(self._engine) as session:
            return receipts.source_of(session, session.get_one(Example, match.example_id))
