"""The Bolt app: everything Slack delivers goes into the inbox before it is acknowledged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.oauth.async_oauth_flow import AsyncOAuthFlow
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.request.internals import extract_team_id
from slack_bolt.response import BoltResponse
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session

from bot import inbox
from bot.settings import BotSettings
from bot.slack import delivery
from bot.slack.delivery import Delivery
from bot.slack.workspace import Identity
from bot.slack.workspaces import Workspaces
from bot.store import threads
from bot.store.database import transaction

log = logging.getLogger(__name__)
CALL_S = 10  # the longest a call to Slack may take


class _FreshClient(AsyncWebClient):
    """A client that asks for its token at each call: it may have been exchanged meanwhile."""

    def __init__(self, fresh: Callable[[], Awaitable[str]], **options: Any) -> None:
        super().__init__(**options)
        self._fresh = fresh

    async def api_call(self, api_method: str, **options: Any) -> AsyncSlackResponse:
        self.token = await self._fresh()
        return await super().api_call(api_method, **options)


def web_client(
    settings: BotSettings, *, patient: bool, fresh: Callable[[], Awaitable[str]] | None = None
) -> AsyncWebClient:
    """A client of Slack's Web API.

    Args:
        patient: wait and try again within a call when Slack says 429 or the connection breaks.
            Never for posting: a post whose connection broke may have arrived.
        fresh: gives the token for each call; without it, that of the settings is used, if any.
    """
    options: dict[str, Any] = {
        "token": settings.slack_bot_token.get_secret_value() or None,
        "base_url": settings.slack_api_url,
        "timeout": CALL_S,
        "retry_handlers": None if patient else [],
    }
    client = _FreshClient(fresh, **options) if fresh else AsyncWebClient(**options)
    if patient:
        client.retry_handlers.append(AsyncRateLimitErrorRetryHandler(max_retry_count=2))
    if settings.slack_api_url.startswith(("http://127.", "http://localhost", "http://[::1]")):
        client.proxy = None  # the SDK takes a proxy from the environment even for this machine
    return client


def build_app(
    settings: BotSettings,
    engine: Engine,
    wake: asyncio.Event,
    workspaces: Workspaces,
    oauth_flow: AsyncOAuthFlow | None = None,
) -> AsyncApp:
    """An app that stores what it is sent, sets `wake`, and acknowledges.

    Nothing is acknowledged that is not stored: Slack sends it again. The store stands before Bolt's
    own authorization, which would acknowledge (and so lose) an event when `auth.test` fails, and
    behind its check of the signature.
    """
    return AsyncApp(
        name="mynah",
        client=web_client(settings, patient=True),
        signing_secret=settings.slack_signing_secret.get_secret_value() or "unused in Socket Mode",
        before_authorize=_Intake(engine, wake, workspaces),
        oauth_flow=oauth_flow,
        logger=logging.getLogger("slack_bolt"),
    )


class _Intake:
    """The global middleware in front of everything.

    What arrives while a transaction is under way is stored together in the next one: a burst is
    acknowledged in time, and rows get their ids in the order of arrival.
    """

    def __init__(self, engine: Engine, wake: asyncio.Event, workspaces: Workspaces) -> None:
        self._engine = engine
        self._wake = wake
        self._workspaces = workspaces
        self._arrived: list[tuple[str, Delivery, asyncio.Future[bool]]] = []
        self._turn = asyncio.Lock()

    async def __call__(
        self, req: AsyncBoltRequest, next: Callable[[], Awaitable[Any]]
    ) -> BoltResponse:
        if req.body.get("type") == "url_verification":
            await next()  # Bolt knows the answer
        try:
            identity = await self._workspaces.identity(extract_team_id(req.body) or "")
        except SQLAlchemyError as error:
            log.error("not acknowledged, because the store cannot be asked: %s", error)
            return BoltResponse(status=500, body="")
        if identity is None or await self._taken(req.body, identity):
            return BoltResponse(status=200, body="")
        return BoltResponse(status=500, body="")

    async def _taken(self, body: dict[str, Any], identity: Identity) -> bool:
        """Whether it is stored, or nothing is ever done about it."""
        what = delivery.read(body, identity)
        return what is None or await self._stored(identity.team_id, what)

    async def _stored(self, team_id: str, what: Delivery) -> bool:
        stored: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._arrived.append((team_id, what, stored))
        async with self._turn:
            if not stored.done():
                await self._store_arrived()
        return stored.result()

    async def _store_arrived(self) -> None:
        batch, self._arrived = self._arrived, []
        done = False
        try:
            await asyncio.to_thread(self._store, [(team_id, what) for team_id, what, _ in batch])
            done = True
            self._wake.set()
        except SQLAlchemyError as error:
            log.error("not acknowledged, because it could not be stored: %s", error)
        finally:
            for *_, stored in batch:
                stored.set_result(done)

    def _store(self, batch: Sequence[tuple[str, Delivery]]) -> None:
        with transaction(self._engine) as session:
            for team_id, what in batch:
                if not _is_kept(session, team_id, what):
                    continue
                inbox.receive(
                    session, team_id=team_id, event_id=what.event_id,
                    kind=what.kind, lane=what.lane, payload=what.payload,
                )  # fmt: skip


def _is_kept(session: Session, team_id: str, what: Delivery) -> bool:
    """Most replies are none of Mynah's business: those in its own threads may be."""
    if what.thread is None or threads.takes_part(session, team_id, *what.thread):
        return True
    return threads.is_waited_for(session, team_id, what.lane)
