"""What an operator's tools ask: /healthz, /readyz and Prometheus /metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from sqlalchemy import Engine, func
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, select
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from bot.store.database import reading
from bot.store.schema import Answer, AnswerExample, InboxEvent, OutboxMessage, Status

OPEN = (Status.WAITING, Status.CLAIMED)
Connected = Callable[[], Awaitable[bool]]


def build(engine: Engine, connected: Connected, routes: Sequence[BaseRoute] = ()) -> Starlette:
    """The app.

    Args:
        connected: says whether Slack can reach this process.
        routes: what else the process serves.
    """
    registry = CollectorRegistry()
    inbox = Gauge("mynah_inbox_open", "Events waiting or being handled", registry=registry)
    outbox = Gauge("mynah_outbox_open", "Messages waiting to be posted", registry=registry)
    failed = Gauge("mynah_given_up", "Events and messages given up", registry=registry)
    origin = ["mode", "adapter"]
    answers = Gauge("mynah_answers", "Answers by origin", origin, registry=registry)
    about = "Answers whose example weights recognised"
    recognised = Gauge("mynah_answers_recognised", about, origin, registry=registry)

    def measure() -> bytes:
        with reading(engine) as session:
            for gauge, table in ((inbox, InboxEvent), (outbox, OutboxMessage)):
                waiting = select(func.count()).where(col(table.status).in_(OPEN))
                gauge.set(session.exec(waiting).one())
            gone = [
                session.exec(select(func.count()).where(table.status == Status.FAILED)).one()
                for table in (InboxEvent, OutboxMessage)
            ]
            failed.set(sum(gone))
            by_origin = select(Answer.mode, Answer.adapter, func.count()).group_by(
                col(Answer.mode), col(Answer.adapter)
            )
            of_these = by_origin.join(AnswerExample).where(
                col(AnswerExample.recognised_logprob).is_not(None)
            )
            for gauge, rows in ((answers, by_origin), (recognised, of_these)):
                for mode, adapter, count in session.exec(rows):
                    gauge.labels(str(mode), adapter or "").set(count)
        return generate_latest(registry)

    async def metrics(_: Request) -> Response:
        return Response(await asyncio.to_thread(measure), media_type=CONTENT_TYPE_LATEST)

    async def ready(_: Request) -> Response:
        if not await connected():
            return PlainTextResponse("not connected to Slack", 503)
        try:
            await asyncio.to_thread(_touch, engine)
        except SQLAlchemyError:
            return PlainTextResponse("the store cannot be reached", 503)
        return PlainTextResponse("ready")

    async def healthy(_: Request) -> Response:
        return PlainTextResponse("ok")

    ours = [Route("/healthz", healthy), Route("/readyz", ready), Route("/metrics", metrics)]
    return Starlette(routes=[*ours, *routes])


def _touch(engine: Engine) -> None:
    with reading(engine) as session:
        session.exec(select(InboxEvent.id).limit(1)).first()
