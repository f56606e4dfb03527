"""The workspaces that installed the app: their bot tokens, fetched, refreshed and erased."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime, timedelta
from logging import Logger
from typing import Any

from slack_bolt.error import BoltError
from slack_sdk.errors import SlackTokenRotationError
from slack_sdk.oauth.installation_store.async_installation_store import AsyncInstallationStore
from slack_sdk.oauth.installation_store.models.bot import Bot
from slack_sdk.oauth.installation_store.models.installation import Installation as Installed
from slack_sdk.oauth.token_rotation.async_rotator import AsyncTokenRotator
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy import Engine, Select, update
from sqlmodel import Session, col, select

from bot.dispatcher import Later
from bot.settings import BotSettings
from bot.slack.app import web_client
from bot.slack.residence import move_in
from bot.slack.workspace import LOCKED_OUT_S, NO_REPLY, Identity
from bot.slack.workspaces import standing
from bot.store import leases
from bot.store.database import reading, transaction
from bot.store.schema import Installation, Team, now

log = logging.getLogger(__name__)
REFRESH_BEFORE = timedelta(hours=2)  # tokens live for 12
LEASE_S = 60.0  # a refresh that took longer has failed
POLL_S = 0.5
KNOWN_S = 5.0  # for so long who the bot is in a workspace is not asked of the store again


class Installations(AsyncInstallationStore):
    """The installations of one app, in Mynah's own database."""

    def __init__(self, settings: BotSettings, engine: Engine, *, owner: str) -> None:
        self._settings = settings
        self._engine = engine
        self._owner = owner
        self._client_id = settings.slack_client_id
        self._rotator = AsyncTokenRotator(
            client_id=self._client_id,
            client_secret=settings.slack_client_secret.get_secret_value(),
            client=web_client(settings, patient=False),
        )
        self._refreshing: dict[str, asyncio.Task[None]] = {}
        self._known: dict[str, tuple[float, Identity]] = {}

    @property
    def logger(self) -> Logger:
        """Where slack_sdk's part writes."""
        return log

    def served(self) -> Select[Any]:
        """The workspaces that there is a token for."""
        tokens = select(Installation.team_id).where(Installation.client_id == self._client_id)
        return standing().where(col(Team.team_id).in_(tokens))

    async def identity(self, team_id: str) -> Identity | None:
        """Who the bot is in a workspace; None where it is not installed."""
        kept = self._known.get(team_id)
        if kept is not None and time.monotonic() - kept[0] < KNOWN_S:
            return kept[1]
        found = await asyncio.to_thread(self._find, team_id)
        if found is None:
            self._known.pop(team_id, None)
            return None
        identity = Identity(team_id, found.bot_user_id, found.bot_id, found.team_name)
        self._known[team_id] = (time.monotonic(), identity)
        return identity

    def client(self, team_id: str, *, patient: bool) -> AsyncWebClient:
        """A client with the workspace's token; it raises Later while there is none."""
        return web_client(self._settings, patient=patient, fresh=lambda: self.token(team_id))

    async def token(self, team_id: str) -> str:
        """The workspace's token, refreshed when it ends soon. The store is asked each time:
        another process may have refreshed it. Raises Later where the app is not installed."""
        found = await asyncio.to_thread(self._find, team_id)
        if found is not None and _ends_within(found, REFRESH_BEFORE):
            await self._refresh(team_id)
            found = await asyncio.to_thread(self._find, team_id)
        if found is None:
            raise Later(f"not installed in {team_id}", LOCKED_OUT_S)
        return found.token

    async def async_save(self, installation: Installed) -> None:
        """Somebody installed the app, perhaps once more: Mynah moves in."""
        bot = installation.to_bot()
        if bot.team_id is None or bot.is_enterprise_install:
            raise BoltError("Mynah is installed in one workspace at a time, not in a whole org")
        await asyncio.to_thread(self._save, bot, installation.user_id)
        self._known.pop(bot.team_id, None)

    def forget(self, session: Session, team_id: str) -> None:
        """Erase the workspace's token."""
        if (found := self._read(session, team_id)) is not None:
            session.delete(found)
        self._known.pop(team_id, None)

    async def close(self) -> None:
        """Let refreshes end: an answer that nobody stores is a token lost."""
        await asyncio.gather(*self._refreshing.values(), return_exceptions=True)

    async def _refresh(self, team_id: str) -> None:
        """Refresh once in this process, also when who waits for it gives up waiting."""
        task = self._refreshing.get(team_id)
        if task is None:
            task = self._refreshing[team_id] = asyncio.create_task(self._refresh_alone(team_id))
            task.add_done_callback(lambda _: self._refreshing.pop(team_id, None))
        await asyncio.shield(task)

    async def _refresh_alone(self, team_id: str) -> None:
        """A refresh token is good for one use: among all processes, one uses it."""
        while not await asyncio.to_thread(self._acquire, team_id):
            found = await asyncio.to_thread(self._find, team_id)
            if found is None or not _ends_within(found, timedelta(0)):
                return  # somebody is at it, and until then the old one does
            await asyncio.sleep(POLL_S)
        try:
            found = await asyncio.to_thread(self._find, team_id)
            if found is not None and (bot := await self._exchange(found)) is not None:
                await asyncio.to_thread(self._replace, found, bot)
        finally:
            await asyncio.to_thread(self._release, team_id)

    async def _exchange(self, old: Installation) -> Bot | None:
        try:
            return await self._rotator.perform_bot_token_rotation(
                bot=_bot(old), minutes_before_expiration=int(REFRESH_BEFORE.total_seconds() // 60)
            )
        except (SlackTokenRotationError, *NO_REPLY) as error:
            # The old one may be good for a while; once it is not, Slack says so to who uses it.
            log.error("the token of %s was not refreshed: %s", old.team_id, type(error).__name__)
            return None

    def _acquire(self, team_id: str) -> bool:
        with transaction(self._engine) as session:
            return leases.acquire(session, _lease(team_id), self._owner, LEASE_S)

    def _release(self, team_id: str) -> None:
        with transaction(self._engine) as session:
            leases.release(session, _lease(team_id), self._owner)

    def _find(self, team_id: str) -> Installation | None:
        with reading(self._engine) as session:
            return self._read(session, team_id)

    def _read(self, session: Session, team_id: str) -> Installation | None:
        found = session.get(Installation, team_id)
        return found if found is not None and found.client_id == self._client_id else None

    def _save(self, bot: Bot, by: str) -> None:
        new = Installation(
            team_id=str(bot.team_id), client_id=self._client_id, team_name=bot.team_name or "",
            bot_user_id=bot.bot_user_id, bot_id=bot.bot_id, token=bot.bot_token,
            refresh_token=bot.bot_refresh_token, expires_at=_expiry(bot),
        )  # fmt: skip
        identity = Identity(new.team_id, new.bot_user_id, new.bot_id, new.team_name)
        with transaction(self._engine) as session:
            move_in(session, identity, by=by)
            session.merge(new)

    def _replace(self, old: Installation, new: Bot) -> None:
        """Store new tokens, unless the app was taken out or installed anew meanwhile."""
        here = (
            col(Installation.team_id) == old.team_id,
            col(Installation.refresh_token) == old.refresh_token,
        )
        values = {"token": new.bot_token, "refresh_token": new.bot_refresh_token}
        with transaction(self._engine) as session:
            session.execute(
                update(Installation).where(*here).values(**values, expires_at=_expiry(new))
            )


def _bot(found: Installation) -> Bot:
    return Bot(
        team_id=found.team_id, bot_token=found.token, bot_id=found.bot_id,
        bot_user_id=found.bot_user_id, bot_refresh_token=found.refresh_token,
        bot_token_expires_at=found.expires_at, installed_at=found.installed_at,
    )  # fmt: skip


def _expiry(bot: Bot) -> datetime | None:
    ends = bot.bot_token_expires_at
    return None if ends is None else datetime.fromtimestamp(ends, UTC)


def _lease(team_id: str) -> str:
    return f"token:{team_id}"


def _ends_within(found: Installation, time_left: timedelta) -> bool:
    return found.expires_at is not None and found.expires_at < now() + time_left
