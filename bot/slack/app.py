"""The Bolt app: everything Slack delivers goes into the inbox before it is acknowledged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from bot import inbox
from bot.settings import BotSettings
from bot.slack import delivery
from bot.slack.delivery import Delivery
from bot.slack.workspace import Identity
from bot.store.database import transaction

log = logging.getLogger(__name__)
CALL_S = 10  # the longest a call to Slack may take


def web_client(settings: BotSettings, *, patient: bool) -> AsyncWebClient:
    """A client of Slack's Web API.

    Args:
        patient: wait and try again within a call when Slack says 429 or the connection breaks.
            Never for posting: a post whose connection broke may have arrived.
    """
    client = AsyncWebClient(
        token=settings.slack_bot_token.get_secret_value(),
        base_url=settings.slack_api_url,
        timeout=CALL_S,
        retry_handlers=None if patient else [],
    )
    if patient:
        client.retry_handlers.append(AsyncRateLimitErrorRetryHandler(max_retry_count=2))
    if settings.slack_api_url.startswith(("http://127.", "http://localhost", "http://[::1]")):
        client.proxy = None  # the SDK takes a proxy from the environment even for this machine
    return client


def build_app(
    settings: BotSettings, engine: Engine, wake: asyncio.Event, identity: Identity
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
        before_authorize=_Intake(engine, wake, identity),
        logger=logging.getLogger("slack_bolt"),
    )


class _Intake:
    """The global middleware in front of everything.

    What arrives while a transaction is under way is stored together in the next one: a burst is
    acknowledged in time, and rows get their ids in the order of arrival.
    """

    def __init__(self, engine: Engine, wake: asyncio.Event, identity: Identity) -> None:
        self._engine = engine
        self._wake = wake
        self._identity = identity
        self._arrived: list[tuple[Delivery, asyncio.Future[bool]]] = []
        self._turn = asyncio.Lock()

    async def __call__(
        self, req: AsyncBoltRequest, next: Callable[[], Awaitable[Any]]
    ) -> BoltResponse:
        if req.body.get("type") == "url_verification":
            await next()  # Bolt knows the answer
        what = delivery.read(req.body, self._identity)
        if what is not None and not await self._stored(what):
            return BoltResponse(status=500, body="")
        return BoltResponse(status=200, body="")

    async def _stored(self, what: Delivery) -> bool:
        stored: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._arrived.append((what, stored))
        async with self._turn:
            if not stored.done():
                await self._store_arrived()
        return stored.result()

    async def _store_arrived(self) -> None:
        batch, self._arrived = self._arrived, []
        done = False
        try:
            await asyncio.to_thread(self._store, [what for what, _ in batch])
            done = True
            self._wake.set()
        except SQLAlchemyError as error:
            log.error("not acknowledged, because it could not be stored: %s", error)
        finally:
            for _, stored in batch:
                stored.set_result(done)

    def _store(self, batch: Sequence[Delivery]) -> None:
        with transaction(self._engine) as session:
            for what in batch:
                inbox.receive(
                    session, team_id=self._identity.team_id, event_id=what.event_id,
                    kind=what.kind, lane=what.lane, payload=what.payload,
                )  # fmt: skip
