"""Socket Mode: single-use tickets, connections, envelopes out, acknowledgements in."""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
import time
from collections.abc import Callable
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from deploy.sandbox import sent
from deploy.sandbox.ledger import Ledger
from deploy.sandbox.silence import SELF

TICKET_S = 30.0
MOST_CONNECTIONS = 10
REFRESH_GRACE_S = 2.0

Acknowledge = Callable[[str, Any], None]


class Connection:
    """One open socket of the app."""

    def __init__(self, number: int, websocket: WebSocket) -> None:
        self.number = number
        self.websocket = websocket
        self.live = True  # takes new envelopes
        self.silent = False
        self.on_close: dict[str, Callable[[], None]] = {}  # envelope id → who waits for its ack
        self._out: asyncio.Queue[str | None] = asyncio.Queue()

    def send(self, message: dict[str, Any]) -> None:
        """Queue a message; they leave in this order."""
        self._out.put_nowait(json.dumps(message))

    def hang_up(self) -> None:
        """Close once what was queued has left."""
        self.live = False
        self._out.put_nowait(None)

    async def write(self) -> None:
        """Send what is queued until told to close."""
        while (message := await self._out.get()) is not None:
            if not self.silent:
                await self.websocket.send_text(message)
        await self.websocket.close()

    def fall_silent(self) -> None:
        """Say and hear nothing more, pings neither, and stay connected."""
        self.silent = self.websocket.scope["extensions"][SELF].silent = True

    def closed(self) -> None:
        """Tell everybody who waits for an acknowledgement that it will not come."""
        self.live = False
        for tell in list(self.on_close.values()):
            tell()


class Sockets:
    """The app's open connections; each envelope goes to one of them."""

    def __init__(self, app_id: str, acknowledge: Acknowledge, ledger: Ledger) -> None:
        self._app_id = app_id
        self._ledger = ledger
        self._acknowledge = acknowledge
        self._tickets: dict[str, float] = {}  # ticket → until when
        self._numbers = itertools.count(1)
        self._turn = itertools.count()
        self._some_live = asyncio.Event()
        self._grace: set[asyncio.Task[None]] = set()
        self.connections: list[Connection] = []
        self.spoil = 0  # so many of the next tickets are too old when they are used

    def ticket(self) -> str:
        """A ticket for one connection, good for half a minute."""
        ticket = secrets.token_hex(16)
        spoiled = self.spoil > 0
        self.spoil -= spoiled
        self._tickets[ticket] = time.monotonic() + (0 if spoiled else TICKET_S)
        return ticket

    def live(self) -> list[Connection]:
        """The connections that take new envelopes."""
        return [connection for connection in self.connections if connection.live]

    async def next(self) -> Connection:
        """The connection whose turn it is; waits while there is none."""
        while not (live := self.live()):
            self._some_live.clear()
            await self._some_live.wait()
        return live[next(self._turn) % len(live)]

    async def endpoint(self, websocket: WebSocket) -> None:
        """Serve one WebSocket from handshake to close."""
        until = self._tickets.pop(websocket.query_params.get("ticket", ""), 0.0)
        if until < time.monotonic():
            self._ledger.socket("refused", error="the ticket is used up or too old")
            await websocket.close(code=1008)  # before accept: the handshake gets a 403
            return
        await websocket.accept()
        connection = Connection(next(self._numbers), websocket)
        if len(self.connections) >= MOST_CONNECTIONS:
            self._ledger.socket("refused", connection.number, "too_many_websockets")
            await websocket.send_json(self._disconnect("too_many_websockets"))
            await websocket.close()
            return
        await self._serve(connection)

    def refresh(self, reason: str = "refresh_requested") -> None:
        """Ask every connection to come anew, and close it after a short grace."""
        for connection in self.live():
            connection.live = False
            connection.send(self._disconnect(reason))
            self._ledger.socket("refresh asked", connection.number)
            task = asyncio.create_task(_close_later(connection))
            self._grace.add(task)
            task.add_done_callback(self._grace.discard)

    def drop(self) -> None:
        """Close every connection without a word."""
        for connection in self.live():
            connection.hang_up()

    def deafen(self) -> None:
        """Let every connection fall silent; nobody on this side notices either."""
        for connection in self.live():
            connection.fall_silent()

    async def _serve(self, connection: Connection) -> None:
        self.connections.append(connection)
        self._ledger.socket("opened", connection.number)
        connection.send(self._hello())
        self._some_live.set()
        writer = asyncio.create_task(connection.write())
        try:
            await self._read(connection.websocket)
        finally:
            self.connections.remove(connection)
            connection.closed()
            self._ledger.socket("closed", connection.number)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    async def _read(self, websocket: WebSocket) -> None:
        while True:
            try:
                message = sent.read(await websocket.receive_text())
            except (WebSocketDisconnect, RuntimeError):
                return
            except ValueError:
                continue  # Slack ignores what is no JSON
            if isinstance(message, dict) and isinstance(message.get("envelope_id"), str):
                self._acknowledge(message["envelope_id"], message.get("payload"))

    def _hello(self) -> dict[str, Any]:
        return {
            "type": "hello",
            "num_connections": len(self.connections),
            "debug_info": self._debug(),
            "connection_info": {"app_id": self._app_id},
        }

    def _disconnect(self, reason: str) -> dict[str, Any]:
        return {"type": "disconnect", "reason": reason, "debug_info": self._debug()}

    def _debug(self) -> dict[str, Any]:
        return {"host": "sandbox", "build_number": 1, "approximate_connection_time": 18060}


async def _close_later(connection: Connection) -> None:
    await asyncio.sleep(REFRESH_GRACE_S)
    connection.hang_up()
