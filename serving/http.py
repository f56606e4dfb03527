"""The small HTTP server of a process: its health, its figures, and what else it takes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.applications import Starlette

from serving.settings import BadSettings


def listen(host: str, port: int) -> socket.socket:
    """Take the port; 0 takes a free one.

    Raises:
        BadSettings: somebody else listens there, or the address is not this machine's.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()  # or another process that reuses addresses could bind it, too
    except OSError as error:
        listener.close()
        why = f"MYNAH_HOST, MYNAH_PORT: cannot listen on {host}:{port}: {error.strerror}"
        raise BadSettings(why) from error
    return listener


@contextlib.asynccontextmanager
async def served(app: Starlette, listener: socket.socket) -> AsyncIterator[None]:
    """Serve `app` in this event loop meanwhile; closes `listener`."""
    config = uvicorn.Config(
        app, log_level="warning", lifespan="off", ws="none", timeout_graceful_shutdown=1,
        log_config=None,  # its lines go the way of all others
    )  # fmt: skip
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True  # cancelled, uvicorn would leave its sockets in the event loop
        await task
        listener.close()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the affair of the process around it."""
        yield
