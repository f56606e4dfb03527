"""The HTTP side: who may ask, and how the answers travel. What is asked is never logged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from sqlalchemy import Engine
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from bot.api import keys, rating, telling
from bot.api import reading as requests
from bot.api.allowance import Places
from bot.api.calls import Answered, Calls, Exchange
from bot.api.errors import ApiError, bad_key
from bot.dispatcher import Later
from bot.store.database import reading, transaction
from bot.store.schema import ApiKey, Team

log = logging.getLogger(__name__)
NAME_CHARS = 255  # of an Idempotency-Key
_GONE = 499  # nobody reads it

Find = Callable[[str], Awaitable[Calls]]  # of a workspace; raises Later where Mynah is not


class Api:
    """Serves `/v1`. Close it when the server has ended."""

    def __init__(self, engine: Engine, find: Find) -> None:
        self._engine = engine
        self._find = find
        self._places = Places()
        self._tasks: set[asyncio.Task[Answered]] = set()

    def routes(self) -> list[BaseRoute]:
        """One route for all of it, so that whatever goes wrong under it is said in OpenAI's way."""
        routes = [
            Route("/v1/models", self._models),
            Route("/v1/models/{name}", self._model),
            Route("/v1/chat/completions", self._complete, methods=["POST"]),
            Route("/v1/chat/completions/{name}", self._forget, methods=["DELETE"]),
            Route("/v1/feedback", self._rate, methods=["POST"]),
        ]
        handlers: dict[Any, Any] = {
            ApiError: _refused, HTTPException: _no_such_route, Exception: _failed
        }  # fmt: skip
        return [Route("/v1/{path:path}", Starlette(routes=routes, exception_handlers=handlers))]

    async def close(self) -> None:
        """End what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _models(self, request: Request) -> Response:
        await self._key(request)
        return JSONResponse({"object": "list", "data": [telling.model()]})

    async def _model(self, request: Request) -> Response:
        await self._key(request)
        if request.path_params["name"] != requests.MODEL:
            raise requests.other_model()
        return JSONResponse(telling.model())

    async def _complete(self, request: Request) -> Response:
        key = await self._key(request)
        asked = requests.asked(await _body(request))
        name = request.headers.get("idempotency-key")
        if name is not None and not 0 < len(name) <= NAME_CHARS:
            words = f"An Idempotency-Key has 1 to {NAME_CHARS} characters."
            raise ApiError(400, words, "invalid_value", param="Idempotency-Key")
        calls = await self._calls(key)
        self._places.take(key.id)
        try:
            exchange = await calls.begin(key, asked, name)
            task = asyncio.create_task(calls.answer(exchange))
        except BaseException:
            self._places.leave(key.id)
            raise
        self._watch(task, key)
        return await (self._streamed if asked.stream else self._whole)(request, exchange, task)

    def _watch(self, task: asyncio.Task[Answered], key: ApiKey) -> None:
        def ended(_: asyncio.Task[Answered]) -> None:
            self._tasks.discard(task)
            self._places.leave(key.id)
            if not task.cancelled():
                task.exception()  # whoever waits has it, and perhaps nobody does

        self._tasks.add(task)
        task.add_done_callback(ended)

    async def _whole(
        self, request: Request, exchange: Exchange, task: asyncio.Task[Answered]
    ) -> Response:
        if not await _before_they_leave(request, task):
            return Response(status_code=_GONE)
        return JSONResponse(telling.whole(exchange, task.result()), headers=_headers(exchange))

    async def _streamed(
        self, request: Request, exchange: Exchange, task: asyncio.Task[Answered]
    ) -> Response:
        # Until there is something to say, an error can still have a status of its own.
        begun = asyncio.create_task(exchange.piece())
        try:
            if not await _before_they_leave(request, task, begun):
                return Response(status_code=_GONE)
        finally:
            begun.cancel()
        if not begun.done():
            task.result()
        start = begun.result() if begun.done() else ""
        return EventStream(exchange, task, start)

    async def _forget(self, request: Request) -> Response:
        key, name = await self._key(request), request.path_params["name"]
        calls = await self._calls(key)
        if not await calls.forget(key, telling.number(name)):
            raise rating.not_found()
        return JSONResponse({"object": "chat.completion.deleted", "id": name, "deleted": True})

    async def _rate(self, request: Request) -> Response:
        key = await self._key(request)
        said = rating.rated(await _body(request))
        calls = await self._calls(key)

        def write() -> None:
            with transaction(self._engine) as session:
                rating.record(session, calls.spend(session, key), said)

        await asyncio.to_thread(write)
        return JSONResponse({"object": "feedback", "id": said.id, "rating": said.rating})

    async def _key(self, request: Request) -> ApiKey:
        """The key that a request came with. Raises ApiError."""
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not secret.startswith(keys.PREFIX):
            raise bad_key()
        return await asyncio.to_thread(self._known, secret.strip())

    def _known(self, secret: str) -> ApiKey:
        with reading(self._engine) as session:
            key = keys.find(session, secret)
            if key is None:
                raise bad_key()
            if key.revoked_at is not None:
                raise bad_key("api_key_revoked")
            team = session.get(Team, key.team_id)
            if team is None or team.removed_at is not None:
                raise _not_there()
            return key

    async def _calls(self, key: ApiKey) -> Calls:
        try:
            return await self._find(key.team_id)
        except Later as later:
            raise _not_there() from later


class EventStream(StreamingResponse):
    """An answer as it is written. When its reader leaves, it ends there."""

    media_type = "text/event-stream"

    def __init__(self, exchange: Exchange, task: asyncio.Task[Answered], start: str) -> None:
        self._exchange = exchange
        self._task = task
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"} | _headers(exchange)
        super().__init__(self._events(start), headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._exchange.leave()  # what was read is recorded as the answer

    async def _events(self, start: str) -> AsyncIterator[str]:
        exchange = self._exchange
        yield telling.first(exchange)
        try:
            if start:
                yield telling.piece(exchange, start)
            async for text in _pieces(exchange, self._task):
                yield telling.piece(exchange, text)
            yield telling.last(exchange, self._task.result())
        except ApiError as error:
            yield error.event()
            return
        except Exception as error:
            log.error("api: question %s failed", exchange.question_id, exc_info=error)
            yield ApiError(500, "Something went wrong.", "internal_error").event()
            return
        if exchange.asked.usage:
            yield telling.usage(exchange, self._task.result())
        yield telling.DONE


async def _pieces(exchange: Exchange, task: asyncio.Task[Answered]) -> AsyncIterator[str]:
    """The pieces of an answer, until all of it was said."""
    while True:
        piece = asyncio.create_task(exchange.piece())
        try:
            await asyncio.wait({task, piece}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            piece.cancel()
        if piece.done():
            yield piece.result()
        elif task.done():
            break
    while (text := exchange.waiting()) is not None:
        yield text


async def _before_they_leave(
    request: Request, task: asyncio.Task[Answered], *or_: asyncio.Task[str]
) -> bool:
    """Wait for the answer, or for what else is given; False where nobody waits for it any more, and
    it is given up."""
    leaving = asyncio.create_task(_left(request))
    try:
        await asyncio.wait({task, leaving, *or_}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
    if task.done() or any(one.done() for one in or_):
        return True
    task.cancel()
    return False


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _body(request: Request) -> bytes:
    """The body; refused as soon as it is too long."""
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > requests.MOST_BYTES:
                words = f"A request has at most {requests.MOST_BYTES // 1024} kB."
                raise ApiError(413, words, "request_too_large")
    except ClientDisconnect as error:
        raise ApiError(400, "The request broke off.", "broken_off") from error
    return bytes(body)


def _headers(exchange: Exchange) -> dict[str, str]:
    return {"x-request-id": telling.identifier(exchange)}


def _not_there() -> ApiError:
    words = "Mynah is not in the workspace of this key any more."
    return ApiError(403, words, "workspace_gone")


async def _refused(_: Request, error: ApiError) -> Response:
    return error.response()


async def _no_such_route(_: Request, error: HTTPException) -> Response:
    return ApiError(error.status_code, f"{error.detail}.", "no_such_route").response()


async def _failed(_: Request, error: Exception) -> Response:
    return ApiError(500, "Something went wrong.", "internal_error").response()
