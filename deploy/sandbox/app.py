"""The sandbox as one web application, and serving it."""

from __future__ import annotations

import contextlib
import errno
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
from deploy.sandbox.errors import PortTaken
from deploy.sandbox.guard import Guard
from deploy.sandbox.pages import Pages
from deploy.sandbox.silence import Silenceable
from deploy.sandbox.uploads import FileEndpoints
from deploy.sandbox.web import WebApi
from deploy.sandbox.worlds import Worlds

HOST = "127.0.0.1"
PORT = 3100
MANIFEST = Path(__file__).parents[1] / "slack-manifest.yaml"


def build(timing: Timing | None = None, manifest: Path | None = MANIFEST) -> Starlette:
    """A fresh local Slack: Web API at `/api/`, Socket Mode, response URLs, control API, a page.

    Args:
        manifest: the app's, whose commands people may type; without one it has none.
    """
    worlds = Worlds(timing, AppManifest.read(manifest) if manifest else None)
    courier, uploads = worlds.home.courier, FileEndpoints(worlds)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await courier.close()

    return Starlette(
        lifespan=lifespan,
        middleware=[Middleware(Guard)],
        routes=[
            Route("/api/{method:path}", WebApi(worlds).endpoint, methods=["GET", "POST"]),
            WebSocketRoute("/link/", courier.sockets.endpoint),
            Route("/upload/{key}", uploads.upload, methods=["POST"]),
            Route("/files/{file_id}/{name}", uploads.download, methods=["GET"]),
            Route("/commands/{key}", ResponseUrlEndpoint(worlds).endpoint, methods=["POST"]),
            Mount("/_control", routes=Control(worlds).routes()),
            *Pages(worlds).routes(),
        ],
    )


def listen(host: str = HOST, port: int = PORT) -> socket.socket:
    """Take the port (0: any free one) before anything starts.

    Raises:
        PortTaken: the port or the address cannot be had; one clear line.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, so that asyncio turns Nagle's algorithm off: it costs 40 ms an answer.
    taken = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((host, port))
    except OSError as error:
        taken.close()
        why = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be used ({error})"
        raise PortTaken(f"{host}:{port} {why}: choose another with MYNAH_PORT") from error
    taken.listen(2048)
    return taken


def server(timing: Timing | None = None) -> uvicorn.Server:
    """A uvicorn server for a fresh sandbox, quiet but for warnings."""
    config = uvicorn.Config(
        build(timing),
        log_level="warning",
        access_log=False,
        ws=Silenceable,
        timeout_graceful_shutdown=2,
    )
    return uvicorn.Server(config)


async def serve(host: str = HOST, port: int = PORT, timing: Timing | None = None) -> None:
    """Serve a fresh sandbox until SIGINT or SIGTERM.

    Raises:
        PortTaken: before anything starts.
    """
    taken = listen(host, port)
    with contextlib.closing(taken):
        await server(timing).serve(sockets=[taken])
