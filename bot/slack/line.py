"""How Slack reaches this process: over a socket that it opens, or by HTTP at its own port."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol
from urllib.parse import parse_qsl

from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.adapter.starlette.async_handler import to_async_bolt_request, to_starlette_response
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.signature import SignatureVerifier
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

log = logging.getLogger(__name__)
PATH = "/slack/events"
PING_S = 5.0
DEAF_PINGS = 4
# A message of 40,000 characters comes escaped, as text and as blocks, and edited with what it was.
MOST_BYTES = 4 * 1024 * 1024


class Line(Protocol):
    """What Slack's deliveries come in by."""

    @property
    def routes(self) -> Sequence[Route]:
        """What the process has to serve for it."""

    async def open(self) -> None:
        """Take deliveries from now on."""

    async def close(self) -> None:
        """Take no more of them."""

    async def is_open(self) -> bool:
        """Whether Slack can reach the process, as far as the process can tell."""


class SocketLine:
    """Socket Mode: a connection to `url`, which `apps.connections.open` gave, and those after it.

    slack_sdk pings, and reconnects by itself when the connection breaks or Slack asks for it. It
    does not notice that its own reconnecting came to nothing: it tries one address for ever, though
    that is good for half a minute only. So whoever hears nothing for DEAF_PINGS pings, not even a
    pong, starts anew here, with nothing of what was.
    """

    routes: Sequence[Route] = ()

    def __init__(self, app: AsyncApp, app_token: str, url: str, *, ping_s: float = PING_S) -> None:
        self._app = app
        self._token = app_token
        self._ping_s = ping_s
        self._ear = self._new(url)
        self._watch: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Connect; what does not go at once is tried again in the background."""
        self._watch = asyncio.create_task(self._watch_over())
        await self._connect()

    async def close(self) -> None:
        """Disconnect."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait({self._watch})
        await self._ear.close()
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def is_open(self) -> bool:
        """Whether the socket is connected, was greeted, and heard something lately."""
        return await self._ear.hears()

    async def _watch_over(self) -> None:
        while True:
            await asyncio.sleep(self._ping_s)
            if self._ear.is_deaf():
                log.warning("nothing was heard from Slack for a while: connecting anew")
                await self._start_anew()

    async def _start_anew(self) -> None:
        old, self._ear = self._ear, self._new(None)
        # A connection that is stuck may be slow to close, or never.
        task = asyncio.create_task(old.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        await self._connect()

    async def _connect(self) -> None:
        # Not awaited for longer than it may take: the next look finds it deaf, and starts anew.
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ear.connect(), self._ping_s * DEAF_PINGS)

    def _new(self, url: str | None) -> Ear:
        return Ear(self._app, self._token, url, ping_s=self._ping_s)


class Ear:
    """One Socket Mode client of slack_sdk, and when it last heard something."""

    def __init__(self, app: AsyncApp, app_token: str, url: str | None, *, ping_s: float) -> None:
        self._handler = AsyncSocketModeHandler(app, app_token, ping_interval=ping_s)
        self._client = self._handler.client
        self._client.proxy = app.client.proxy
        self._client.wss_uri = url
        self._client.message_listeners.append(self._hear)
        self._patience_s = ping_s * DEAF_PINGS
        self._heard_at = time.monotonic()
        self._pong: float | None = None
        self._greeted: object = None  # the session that said hello

    async def connect(self) -> None:
        """Connect; it may take for ever."""
        await self._handler.connect_async()  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        """Disconnect."""
        await self._handler.close_async()  # type: ignore[no-untyped-call]

    async def hears(self) -> bool:
        """Whether what Slack says arrives."""
        greeted = self._greeted is not None and self._greeted is self._client.current_session
        return greeted and await self._client.is_connected() and not self.is_deaf()

    def is_deaf(self) -> bool:
        """Whether nothing was heard for too long, pongs included."""
        pong = self._client.last_ping_pong_time
        # slack_sdk writes a time there itself where there is none: that is no pong.
        if pong is not None and self._pong is not None and pong != self._pong:
            self._heard_at = time.monotonic()
        self._pong = pong
        return time.monotonic() - self._heard_at > self._patience_s

    async def _hear(self, client: Any, message: dict[str, Any], raw: str | None) -> None:
        self._heard_at = time.monotonic()
        if message.get("type") == "hello":
            self._greeted = client.current_session


class HttpLine:
    """HTTP mode: Slack posts to `/slack/events`, and what it did not sign is refused.

    Nothing is remembered between two requests, so that any process may get any of them.
    """

    def __init__(self, app: AsyncApp, signing_secret: str) -> None:
        self._app = app
        self._verifier = SignatureVerifier(signing_secret)
        self._open = False
        self.routes = [Route(PATH, self._take, methods=["POST"])]

    async def open(self) -> None:
        """Be ready."""
        self._open = True

    async def close(self) -> None:
        """Be ready no longer. What a balancer still sends is stored, for the others to handle."""
        self._open = False

    async def is_open(self) -> bool:
        """Whether a balancer should send deliveries here."""
        return self._open

    async def _take(self, request: Request) -> Response:
        try:
            body = await _read(request)
        except ClientDisconnect:
            return Response(status_code=400)
        if body is None:
            return Response(status_code=413)
        if not self._is_signed(request, body):
            return _unsigned(body)
        bolt = to_async_bolt_request(request, body)
        if not bolt.body:
            # Bolt takes any form with the word "payload" in it for a button's, and finds nothing.
            bolt.body = dict(parse_qsl(bolt.raw_body, keep_blank_values=True))
        return to_starlette_response(await self._app.async_dispatch(bolt))

    def _is_signed(self, request: Request, body: bytes) -> bool:
        """Whether Slack sent it, less than 5 minutes ago.

        Bolt checks the same, but it parses a body first, and logs the whole of what it refuses.
        """
        try:
            return self._verifier.is_valid_request(body, request.headers)
        except (TypeError, ValueError):  # a time that is no number, a body that is no text, …
            return False


async def _read(request: Request) -> bytes | None:
    """The body; None as soon as it is too long."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            return None
    return bytes(body)


def _unsigned(body: bytes) -> Response:
    """Slack looks at the certificate now and then, without a signature; the rest is refused."""
    if b"ssl_check=1" in body.split(b"&"):
        return Response()
    log.warning("refused a delivery that SLACK_SIGNING_SECRET does not fit, or an old one")
    return Response(status_code=401)
