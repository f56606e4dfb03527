"""What an operator's tools ask: /healthz, /readyz and Prometheus /metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import select
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from bot.census import Census
from bot.figures import Figures
from bot.store.database import reading
from bot.store.schema import InboxEvent

Connected = Callable[[], Awaitable[bool]]


def build(
    engine: Engine,
    connected: Connected,
    routes: Sequence[BaseRoute] = (),
    figures: Figures | None = None,
) -> Starlette:
    """The app.

    Args:
        connected: says whether Slack can reach this process.
        routes: what else the process serves.
        figures: what the process counts by itself.
    """
    pages = Pages(engine, connected, figures or Figures())
    ours = [
        Route("/healthz", pages.healthy),
        Route("/readyz", pages.ready),
        Route("/metrics", pages.metrics),
    ]
    return Starlette(routes=[*ours, *routes])


class Pages:
    """The three pages."""

    def __init__(self, engine: Engine, connected: Connected, figures: Figures) -> None:
        self._engine = engine
        self._connected = connected
        self._figures = figures
        self._census = Census(engine)
        self._store = CollectorRegistry()
        self._store.register(self._census)

    async def healthy(self, _: Request) -> Response:
        """The process lives."""
        return PlainTextResponse("ok")

    async def ready(self, _: Request) -> Response:
        """It can take what Slack delivers; else 503, and why."""
        if not await self._connected():
            return PlainTextResponse("not connected to Slack", 503)
        try:
            await asyncio.to_thread(self._touch)
        except SQLAlchemyError:
            return PlainTextResponse("the store cannot be reached", 503)
        return PlainTextResponse("ready")

    async def metrics(self, _: Request) -> Response:
        """The store's figures, and this process's."""
        store = await asyncio.to_thread(generate_latest, self._store)
        # The event loop's own: a series is not dropped while it grows.
        self._figures.retire(self._census.found.named)
        own = generate_latest(self._figures.registry)
        return Response(store + own, media_type=CONTENT_TYPE_LATEST)

    def _touch(self) -> None:
        with reading(self._engine) as session:
            session.exec(select(InboxEvent.id).limit(1)).first()
