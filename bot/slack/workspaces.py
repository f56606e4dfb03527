"""The workspaces that a process works for: the one of its token, or all that installed the app."""

from __future__ import annotations

from typing import Any, Protocol

from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy import Select
from sqlmodel import Session, col, select

from bot.slack.workspace import Identity
from bot.store.schema import Team


class Workspaces(Protocol):
    """Who is served, and with whose token."""

    def served(self) -> Select[Any]:
        """A query for the ids of the workspaces whose rows are worked on."""

    async def identity(self, team_id: str) -> Identity | None:
        """Who the bot is in a workspace; None where it is not installed."""

    def client(self, team_id: str, *, patient: bool) -> AsyncWebClient:
        """A client with the workspace's token; it raises Later while there is none."""

    def forget(self, session: Session, team_id: str) -> None:
        """Erase the workspace's token, as far as Mynah keeps it."""


class OneWorkspace:
    """The workspace of the token in the settings, which are the operator's to change."""

    def __init__(
        self, identity: Identity, *, patient: AsyncWebClient, hasty: AsyncWebClient
    ) -> None:
        self._identity = identity
        self._clients = {True: patient, False: hasty}

    def served(self) -> Select[Any]:
        """The workspace, unless the app was taken out of it."""
        return standing().where(col(Team.team_id) == self._identity.team_id)

    async def identity(self, team_id: str) -> Identity | None:
        """Who the bot is."""
        return self._identity if team_id == self._identity.team_id else None

    def client(self, team_id: str, *, patient: bool) -> AsyncWebClient:
        """A client with the token of the settings."""
        return self._clients[patient]

    def forget(self, session: Session, team_id: str) -> None:
        """The token is in the settings, and dead."""


def standing() -> Select[Any]:
    """A query for the ids of the workspaces that Mynah was not taken out of."""
    return select(Team.team_id).where(col(Team.removed_at).is_(None))
