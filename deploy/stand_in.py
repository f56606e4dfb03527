"""A stand-in for vLLM that answers at once, as strictly: what is measured then is the rest."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from serving import http
from serving.client import BASE, ChatMessage

Script = Callable[[Sequence[ChatMessage]], str]
Pace = Callable[[str], Awaitable[None]]
Trouble = Literal["hang", "drip", "error", "missing", "reset"]
DRIP_S = 1.5  # a token
RESET_AFTER = 3  # tokens
LOGPROB = -0.01  # of each token: it is sure of what it says
ROLES = frozenset({"system", "user", "assistant"})


class StandIn:
    """Serves the base model's name and `adapters`; `script` makes an answer of the messages.

    `logprob` may be changed at any time: how sure it is of each token. So may `pace`: it is awaited
    before each token that is streamed, with that token. `adapters` says how sure each one is.
    `trouble` is what goes wrong with each answer that is asked for from then on: it says nothing
    ("hang"), hardly anything ("drip"), 500 ("error"), that it knows no adapter ("missing"), or the
    connection breaks in the middle ("reset").
    """

    def __init__(self, script: Script, *, api_key: str) -> None:
        self._script = script
        self._authorization = f"Bearer {api_key}"
        self.asked = 0
        self.logprob = LOGPROB
        self.pace: Pace = _at_once
        self.adapters: dict[str, float] = {}
        self.trouble: Trouble | None = None

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
        names = (BASE, *self.adapters)
        cards = [{"id": name, "object": "model", "root": name} for name in names]
        return self._stranger(request) or JSONResponse({"object": "list", "data": cards})

    async def _chat(self, request: Request) -> Response:
        if (refusal := self._stranger(request)) is not None:
            return refusal
        try:
            body = await request.json()
        except ClientDisconnect:  # the bot was killed
            return Response(status_code=400)
        if (complaint := _complaint(body)) is not None:
            return _error(400, complaint)
        if (failure := await self._failure(body["model"])) is not None:
            return failure
        self.asked += 1
        logprob = self.adapters.get(body["model"], self.logprob)
        words = _tokens(self._script(body["messages"]))
        reason = "length" if len(words) > body["max_tokens"] else "stop"
        words = words[: body["max_tokens"]]
        if body.get("stream"):
            events = self._events(words, reason, logprob)
            return StreamingResponse(events, media_type="text/event-stream")
        message = {"role": "assistant", "content": "".join(words)}
        choice = {"index": 0, "message": message, "finish_reason": reason}
        return JSONResponse({"model": BASE, "choices": [choice | _logprobs(words, logprob)]})

    async def _failure(self, model: str) -> Response | None:
        if self.trouble == "hang":
            return StreamingResponse(_nothing(), media_type="text/event-stream")
        if self.trouble == "error":
            return _error(500, "told to fail")
        known = model == BASE or (model in self.adapters and self.trouble != "missing")
        return None if known else _error(404, f"The model `{model}` does not exist.")

    async def _events(
        self, words: Sequence[str], reason: str, logprob: float
    ) -> AsyncIterator[str]:
        trouble = self.trouble
        yield _event({"delta": {"role": "assistant", "content": ""}})
        for number, word in enumerate(words):
            if trouble == "drip":
                await asyncio.sleep(DRIP_S)
            if trouble == "reset" and number == RESET_AFTER:
                raise ConnectionResetError("told to break off")
            await self.pace(word)
            yield _event({"delta": {"content": word}} | _logprobs([word], logprob))
        yield _event({"delta": {"content": ""}, "finish_reason": reason})
        yield "data: [DONE]\n\n"

    def _stranger(self, request: Request) -> Response | None:
        known = request.headers.get("authorization") == self._authorization
        return None if known else _error(401, "Unauthorized")


async def _nothing() -> AsyncIterator[str]:
    await asyncio.Event().wait()
    yield ""


def _logprobs(words: Sequence[str], logprob: float) -> dict[str, Any]:
    return {"logprobs": {"content": [{"token": word, "logprob": logprob} for word in words]}}


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
