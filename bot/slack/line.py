"""How Slack reaches this process: over a socket that it opens, or by HTTP at its own port."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol
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
    """Socket Mode: a connection to `url`, which `apps.connections.open` gave."""

    routes: Sequence[Route] = ()

    def __init__(self, app: AsyncApp, app_token: str, url: str) -> None:
        self._handler = AsyncSocketModeHandler(app, app_token)
        self._handler.client.proxy = app.client.proxy
        self._handler.client.wss_uri = url

    async def open(self) -> None:
        """Connect."""
        await self._handler.connect_async()  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        """Disconnect."""
        await self._handler.close_async()  # type: ignore[no-untyped-call]

    async def is_open(self) -> bool:
        """Whether the socket is connected."""
        return await self._handler.client.is_connected()


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
