"""The sandbox as one web application, and serving it."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount, Route, WebSocketRoute

from deploy.sandbox.app_manifest import AppManifest
from deploy.sandbox.commands import ResponseUrlEndpoint
from deploy.sandbox.control import Control
from deploy.sandbox.courier import Timing
from deploy.sandbox.errors import NotLoopback, PortTaken
from deploy.sandbox.guard import Guard
from deploy.sandbox.live import Behind
from deploy.sandbox.pages import Pages
from deploy.sandbox.port_holder import holder
from deploy.sandbox.silence import Silenceable
from deploy.sandbox.state_file import StateFile, WrittenFirst
from deploy.sandbox.uploads import FileEndpoints
from deploy.sandbox.web import WebApi
from deploy.sandbox.worlds import Worlds

HOST = "127.0.0.1"
PORT = 3100
MANIFEST = Path(__file__).parents[1] / "slack-manifest.yaml"


def build(
    timing: Timing | None = None, *, keep: StateFile | None = None, behind: Behind | None = None
) -> Starlette:
    """A local Slack: Web API at `/api/`, Socket Mode, response URLs, control API, a page.

    Args:
        keep: where it outlives this process, and what is there; without it nothing was said yet,
            and nothing stays.
        behind: tells the page what happens behind the scenes.

    Raises:
        NotKept: what was kept cannot be read.
    """
    worlds = Worlds(timing, AppManifest.read(MANIFEST))
    courier, uploads = worlds.home.courier, FileEndpoints(worlds)
    if keep is not None:
        keep.restore(worlds)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with keep.going() if keep is not None else contextlib.nullcontext():
            yield
            await courier.close()

    return Starlette(
        lifespan=lifespan,
        middleware=[
            Middleware(Guard),
            *([] if keep is None else [Middleware(WrittenFirst, keep=keep)]),
        ],
        routes=[
            Route("/api/{method:path}", WebApi(worlds).endpoint, methods=["GET", "POST"]),
            WebSocketRoute("/link/", courier.sockets.endpoint),
            Route("/upload/{key}", uploads.upload, methods=["POST"]),
            Route("/files/{file_id}/{name}", uploads.download, methods=["GET"]),
            Route("/commands/{key}", ResponseUrlEndpoint(worlds).endpoint, methods=["POST"]),
            Mount("/_control", routes=Control(worlds).routes()),
            *Pages(worlds, behind).routes(),
        ],
    )


def listen(host: str = HOST, port: int = PORT) -> socket.socket:
    """Take the port (0: any free one) before anything starts.

    Raises:
        NotLoopback: the address can be reached from elsewhere.
        PortTaken: the port or the address cannot be had; one clear line.
    """
    if not _is_loopback(host):
        raise NotLoopback(
            f"{host} may be reached from elsewhere, and this Slack asks for no "
            "password: choose 127.0.0.1 or ::1 with MYNAH_HOST or --host"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, so that asyncio turns Nagle's algorithm off: it costs 40 ms an answer.
    taken = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((host, port))
    except OSError as error:
        taken.close()
        why = f"cannot be used ({error})"
        if error.errno == errno.EADDRINUSE:
            why = f"is taken by {holder(port)}"
        raise PortTaken(
            f"{host}:{port} {why}; choose another port with MYNAH_PORT or --port"
        ) from error
    taken.listen(2048)
    return taken


def server(
    timing: Timing | None = None, *, keep: StateFile | None = None, behind: Behind | None = None
) -> uvicorn.Server:
    """A uvicorn server for a sandbox, quiet but for warnings."""
    config = uvicorn.Config(
        build(timing, keep=keep, behind=behind),
        log_level="warning",
        access_log=False,
        ws=Silenceable,
        timeout_graceful_shutdown=2,
    )
    return uvicorn.Server(config)


async def serve(
    taken: socket.socket, *, keep: StateFile | None = None, behind: Behind | None = None
) -> None:
    """Serve a sandbox on a socket of `listen` until SIGINT or SIGTERM."""
    await server(keep=keep, behind=behind).serve(sockets=[taken])


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
