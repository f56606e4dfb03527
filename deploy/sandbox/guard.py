"""Keeps other web pages out: a browser lets any site send requests to a port on loopback."""

from __future__ import annotations

import re

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_LOOPBACK = re.compile(r"(127(\.\d{1,3}){3}|localhost|\[::1\])(:\d+)?", re.IGNORECASE)
_OWN_FETCHES = ("same-origin", "none")  # none: typed into the address bar
_BY_SCRIPT = "empty"
REFUSED = "The local Slack answers this machine alone, and its own page."


class Guard:
    """Lets through what names this machine and comes from no other site; all else gets a 403.

    The host keeps out names that a site points at loopback. Who sends no `Origin`, as curl, Bolt
    and Slack's SDKs, is no web page, unless a browser says where it fetches from. The Web API acts
    on a GET, too: in a browser only a script may call it, for a link in a message, a picture, and
    a redirect from elsewhere of what somebody typed all look like our own page's.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request or a WebSocket on, or refuse it."""
        if scope["type"] == "lifespan" or _allowed(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            # Before it is accepted: the handshake gets the 403.
            await send({"type": "websocket.close", "code": 1008, "reason": REFUSED})
        else:
            await PlainTextResponse(REFUSED, 403)(scope, receive, send)


def _allowed(scope: Scope) -> bool:
    hosts, origins = _header(scope, b"host"), _header(scope, b"origin")
    if len(hosts) != 1 or not _LOOPBACK.fullmatch(hosts[0]):
        return False
    if any(origin.lower() != f"http://{hosts[0].lower()}" for origin in origins):
        return False
    by = _header(scope, b"sec-fetch-dest")
    if scope["path"].startswith("/api/") and any(kind != _BY_SCRIPT for kind in by):
        return False
    fetched_from = _header(scope, b"sec-fetch-site")  # also with an image, which has no Origin
    return scope["path"] == "/" or all(site in _OWN_FETCHES for site in fetched_from)


def _header(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]
