"""A desk for each workspace: rows go to the desk of their own, and to no other."""

from __future__ import annotations

import asyncio
import logging

from sqlalchemy.exc import SQLAlchemyError

from bot import outbox
from bot.api.calls import Calls
from bot.dispatcher import Later
from bot.slack.desk import Desk, Shared
from bot.slack.workspace import LOCKED_OUT_S, Identity
from bot.slack.workspaces import Workspaces
from bot.store.database import transaction
from bot.store.queue import LostClaim
from bot.store.schema import InboxEvent, OutboxMessage

log = logging.getLogger(__name__)


class Desks:
    """The desks of a process, each made when its workspace first needs it."""

    def __init__(self, shared: Shared, workspaces: Workspaces) -> None:
        self._shared = shared
        self._workspaces = workspaces
        self._desks: dict[Identity, Desk] = {}

    async def of(self, team_id: str) -> Desk:
        """The workspace's desk. Raises Later where the app is not installed."""
        identity = await self._workspaces.identity(team_id)
        if identity is None:
            raise Later(f"not installed in {team_id}", LOCKED_OUT_S)
        if identity not in self._desks:
            self._desks[identity] = Desk(
                self._shared,
                identity,
                client=self._workspaces.client(team_id, patient=False),
                patient=self._workspaces.client(team_id, patient=True),
            )
        return self._desks[identity]

    async def calls(self, team_id: str) -> Calls:
        """What other systems ask of a workspace. Raises Later where the app is not installed."""
        return (await self.of(team_id)).calls

    async def handle(self, row: InboxEvent) -> None:
        """Handle what Slack delivered, where it happened."""
        await (await self.of(row.team_id)).handle(row)

    async def deliver(self, row: OutboxMessage) -> None:
        """Say one claimed row in its workspace; whatever goes wrong is left for the next try."""
        try:
            desk = await self.of(row.team_id)
        except Later as later:
            await asyncio.to_thread(self._put_back, row, later)
        except SQLAlchemyError as error:  # the lease runs out, and the row is taken up again
            log.error("cannot say outbox row %s: %s", row.id, getattr(error, "orig", error))
        else:
            await desk.poster.deliver(row)

    def _put_back(self, row: OutboxMessage, why: Later) -> None:
        try:
            with transaction(self._shared.engine) as session:
                outbox.retry(session, row, self._shared.owner, error=str(why), delay_s=why.delay_s)
        except (LostClaim, SQLAlchemyError) as error:
            log.warning("outbox row %s was not handed back: %s", row.id, type(error).__name__)
