"""A stand-in for vLLM that answers at once, as strictly: what is measured then is the rest."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from serving import http
from serving.client import BASE, ChatMessage

Script = Callable[[Sequence[ChatMessage]], str]
Pace = Callable[[str], Awaitable[None]]
LOGPROB = -0.01  # of each token: it is sure of what it says
ROLES = frozenset({"system", "user", "assistant"})


class StandIn:
    """Serves the base model's name alone; `script` makes an answer of the messages.

    `logprob` may be changed at any time: how sure it is of each token. So may `pace`: it is awaited
    before each token that is streamed, with that token.
    """

    def __init__(self, script: Script, *, api_key: str) -> None:
        self._script = script
        self._authorization = f"Bearer {api_key}"
        self.asked = 0
        self.logprob = LOGPROB
        self.pace: Pace = _at_once

    @asynccontextmanager
    async def served(self, port: int) -> AsyncIterator[None]:
        """Listen on a port of this machine, in this event loop, meanwhile."""
        with http.listen("127.0.0.1", port) as listener:
            async with http.served(self.app(), listener):
                yield

    def app(self) -> Starlette:
        """Its routes, as far as the bot uses vLLM's."""
        return Starlette(
            routes=[
                Route("/health", self._health),
                Route("/v1/models", self._models),
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
            ]
        )

    async def _health(self, request: Request) -> Response:
        return self._stranger(request) or Response()

    async def _models(self, request: Request) -> Response:
        card = {"id": BASE, "object": "model", "root": BASE}
        return self._stranger(request) or JSONResponse({"object": "list", "data": [card]})

    async def _chat(self, request: Request) -> Response:
        if (refusal := self._stranger(request)) is not None:
            return refusal
        try:
            body = await request.json()
        except ClientDisconnect:  # the bot was killed
            return Response(status_code=400)
        if (complaint := _complaint(body)) is not None:
            return _error(400, complaint)
        if body["model"] != BASE:
            return _error(404, f"The model `{body['model']}` does not exist.")
        self.asked += 1
        words = _tokens(self._script(body["messages"]))
        reason = "length" if len(words) > body["max_tokens"] else "stop"
        words = words[: body["max_tokens"]]
        if body.get("stream"):
            return StreamingResponse(self._events(words, reason), media_type="text/event-stream")
        message = {"role": "assistant", "content": "".join(words)}
        choice = {"index": 0, "message": message, "finish_reason": reason}
        return JSONResponse({"model": BASE, "choices": [choice | self._logprobs(words)]})

    async def _events(self, words: Sequence[str], reason: str) -> AsyncIterator[str]:
        yield _event({"delta": {"role": "assistant", "content": ""}})
        for word in words:
            await self.pace(word)
            yield _event({"delta": {"content": word}} | self._logprobs([word]))
        yield _event({"delta": {"content": ""}, "finish_reason": reason})
        yield "data: [DONE]\n\n"

    def _logprobs(self, words: Sequence[str]) -> dict[str, Any]:
        tokens = [{"token": word, "logprob": self.logprob} for word in words]
        return {"logprobs": {"content": tokens}}

    def _stranger(self, request: Request) -> Response | None:
        known = request.headers.get("authorization") == self._authorization
        return None if known else _error(401, "Unauthorized")


async def _at_once(_word: str) -> None:
    pass


def _complaint(body: Any) -> str | None:
    """What vLLM would refuse."""
    messages = body.get("messages") if isinstance(body, dict) else None
    if not isinstance(messages, list) or not messages:
        return "messages must not be empty"
    if any(set(message) != {"role", "content"} for message in messages):
        return "each message needs a role and a content"
    if any(message["role"] not in ROLES for message in messages):
        return "unknown role"
    limit = body.get("max_tokens")
    if not isinstance(limit, int) or limit < 1:
        return "max_tokens must be at least 1"
    return None if isinstance(body.get("model"), str) else "model is missing"


def _event(choice: dict[str, Any]) -> str:
    chunk = {"object": "chat.completion.chunk", "model": BASE, "choices": [{"index": 0, **choice}]}
    return f"data: {json.dumps(chunk)}\n\n"


def _tokens(text: str) -> list[str]:
    return re.findall(r"\s*\S+", text)


def _error(status: int, message: str) -> Response:
    error = {"message": message, "type": "StandIn", "code": status}
    return JSONResponse({"error": error}, status)
