"""Moving in and out: what the store says of a workspace that installs Mynah or takes it out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine
from sqlmodel import Session

from bot import audit, releases
from bot.slack.workspace import Identity, Workspace
from bot.store import queue
from bot.store.database import transaction
from bot.store.schema import InboxEvent, OutboxMessage, Team, now

log = logging.getLogger(__name__)
REMOVED = "Mynah was taken out of the workspace"
SELF = "mynah"


def move_in(session: Session, identity: Identity, *, by: str = SELF) -> None:
    """The app is installed in a workspace, for the first time or again.

    What was learned there before still counts; what was left to do is nobody's wish any more.
    """
    known = session.get(Team, identity.team_id)
    if known is not None and known.removed_at is not None:
        _abandon(session, identity.team_id)
    if by != SELF or known is None or known.removed_at is not None:
        audit.record(session, identity.team_id, by, "team.install", f"team:{identity.team_id}")
    team = releases.ensure_team(session, identity.team_id)
    team.name, team.bot_user_id, team.removed_at = identity.team, identity.user_id, None
    session.add(team)


def move_out(session: Session, team_id: str, *, but: int | None = None) -> None:
    """The app was taken out: nothing is tried there until it is back.

    Args:
        but: the inbox row that says so, which its holder ends.
    """
    team = releases.ensure_team(session, team_id)
    if team.removed_at is not None:
        return
    team.removed_at = now()
    session.add(team)
    _abandon(session, team_id, but=but)
    audit.record(session, team_id, "slack", "team.uninstall", f"team:{team_id}")


def _abandon(session: Session, team_id: str, but: int | None = None) -> None:
    queue.abandon(session, InboxEvent, team_id, error=REMOVED, but=but)
    queue.abandon(session, OutboxMessage, team_id, error=REMOVED)


class Leaving:
    """Hears that the app was taken out of its workspace, or that tokens ended there."""

    def __init__(
        self, engine: Engine, workspace: Workspace, *, forget: Callable[[Session, str], None]
    ) -> None:
        self._engine = engine
        self._workspace = workspace
        self._forget = forget

    def events(self) -> dict[str, Any]:
        """Who handles which event."""
        return {"app_uninstalled": self.handle, "tokens_revoked": self.handle}

    async def handle(self, row: InboxEvent) -> None:
        """Believe Slack rather than the event: it may tell of another token, or come so late that
        the app is back."""
        if await self._workspace.takes_us():
            return
        await asyncio.to_thread(self._leave, row)
        log.warning("Mynah was taken out of the workspace %s", row.team_id)

    def _leave(self, row: InboxEvent) -> None:
        with transaction(self._engine) as session:
            self._forget(session, row.team_id)
            move_out(session, row.team_id, but=row.id)
