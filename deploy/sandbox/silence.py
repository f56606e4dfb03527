"""A WebSocket that can fall silent: the connection stays, and nothing goes either way."""

from __future__ import annotations

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

SELF = "sandbox.line"  # in the scope's extensions


class Silenceable(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, which answers pings by itself, with a way to stop that."""

    silent = False

    def handle_connect(self, event: Request) -> None:
        """Take a connection, and let the application reach it."""
        super().handle_connect(event)
        if hasattr(self, "scope"):  # else the handshake was refused
            self.scope["extensions"][SELF] = self  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Hear what comes, unless it fell silent."""
        if not self.silent:
            super().data_received(data)
