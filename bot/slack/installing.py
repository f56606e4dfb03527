"""Installing the app in a workspace: "Add to Slack", Slack's consent page, and back."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from logging import Logger
from typing import Any
from urllib.parse import urljoin

from slack_bolt.adapter.starlette.async_handler import to_async_bolt_request, to_starlette_response
from slack_bolt.oauth.async_oauth_flow import AsyncOAuthFlow
from slack_bolt.oauth.async_oauth_settings import AsyncOAuthSettings
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.oauth.state_store.async_state_store import AsyncOAuthStateStore
from sqlalchemy import Engine, delete
from sqlmodel import col
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot.settings import BotSettings
from bot.slack.app import web_client
from bot.slack.installations import Installations
from bot.store.database import transaction
from bot.store.schema import InstallState, now

log = logging.getLogger(__name__)
INSTALL = "/slack/install"
REDIRECT = "/slack/oauth_redirect"
STATE_S = 600
# What the app asks for; deploy/slack-manifest.yaml says why, and the two are the same.
SCOPES = (
    "app_mentions:read", "channels:history", "channels:read", "chat:write", "commands",
    "files:write", "groups:history", "groups:read", "im:history", "im:read", "reactions:read",
    "usergroups:read", "users:read",
)  # fmt: skip


class States(AsyncOAuthStateStore):
    """Proofs that who comes back from Slack left from here: each is good once, for a while."""

    def __init__(self, engine: Engine, *, lives_s: float = STATE_S) -> None:
        self._engine = engine
        self._lives_s = lives_s

    @property
    def logger(self) -> Logger:
        """Where slack_sdk's part writes."""
        return log

    async def async_issue(self, *_: Any, **__: Any) -> str:
        """A new state; those that are over are forgotten."""
        state = secrets.token_urlsafe(32)
        await asyncio.to_thread(self._issue, state)
        return state

    async def async_consume(self, state: str) -> bool:
        """Whether a state is good; it is not any more."""
        return await asyncio.to_thread(self._consume, state)

    def _issue(self, state: str) -> None:
        until = now() + timedelta(seconds=self._lives_s)
        with transaction(self._engine) as session:
            session.execute(delete(InstallState).where(col(InstallState.until) < now()))
            session.add(InstallState(state=state, until=until))

    def _consume(self, state: str) -> bool:
        good = col(InstallState.state) == state, col(InstallState.until) > now()
        used = delete(InstallState).where(*good).returning(col(InstallState.state))
        with transaction(self._engine) as session:
            return session.execute(used).first() is not None


def flow(settings: BotSettings, engine: Engine, installations: Installations) -> AsyncOAuthFlow:
    """Bolt's OAuth flow with Mynah's stores behind it."""
    return AsyncOAuthFlow(
        client=web_client(settings, patient=False),
        logger=logging.getLogger("slack_bolt"),
        settings=AsyncOAuthSettings(
            client_id=settings.slack_client_id,
            client_secret=settings.slack_client_secret.get_secret_value(),
            scopes=SCOPES,
            user_scopes=(),
            install_path=INSTALL,
            redirect_uri_path=REDIRECT,
            authorization_url=urljoin(settings.slack_api_url, "/oauth/v2/authorize"),
            installation_store=installations,
            state_store=States(engine),
            state_expiration_seconds=STATE_S,
        ),
    )


def routes(oauth: AsyncOAuthFlow) -> Sequence[Route]:
    """What the process serves for it."""
    return [
        Route(INSTALL, _answer(oauth.handle_installation), methods=["GET"]),
        Route(REDIRECT, _answer(oauth.handle_callback), methods=["GET"]),
    ]


def _answer(
    handle: Callable[[AsyncBoltRequest], Awaitable[BoltResponse]],
) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        return to_starlette_response(await handle(to_async_bolt_request(request, b"")))

    return answer
