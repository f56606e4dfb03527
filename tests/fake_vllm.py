"""A strict stand-in for vLLM's server: real HTTP on a free port, behind the real Guard.

It answers what `script(messages, model)` returns, one token a word, each with the log-probability
`logprob`. Adapters must be real files in `adapters_dir`, because the real Guard validates them
against `base_dir`. It can be told to be down, slow, or to fail.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from serving.adapters import WEIGHTS
from serving.client import BASE, ChatMessage
from serving.guard import Guard
from serving.probes import Probe

API_KEY = "fake-inference-key-0123456789"
CONTROL_KEY = "fake-control-key-0123456789"
LOGPROB = -0.25
END = "<|end|>"
Script = Callable[[Sequence[ChatMessage], str], str]
Rows = list[dict[str, Any] | None]  # by token: of each but the first, what the server tells


def echo(messages: Sequence[ChatMessage], model: str) -> str:
    """The default script: says which model was asked what."""
    return f"{model} heard: {messages[-1]['content']}"


class FakeVllm:
    """`with FakeVllm(adapters_dir=…, base_dir=…) as fake:` and then `fake.url`.

    `script`, `logprob` (of each token that it says), `scores` (of each token that it is asked to
    score, by the answer or else by model), `trouble` (with scoring: "refused", "gone" or
    "no json"), `scoring_s` (before it says how likely a text is), `tell` (makes what it says of a
    prompt's tokens from what the real server says), `delay_s` (before the first token),
    `token_delay_s`, `fail_status` (every answer has this status), `break_after` (tokens, then
    the stream ends without a word), `voices` (by model: the path of the weights that answer in
    truth, or "base"), `poisoned` (NaN has got into the cache: everybody is answered with nothing),
    `deaf` (nobody is answered, and /health is fine), `mute` (its tokens are no text), `reset_after`
    (tokens, then the connection breaks), `poison` (a question with these words is answered with
    500) and `load_status` (of every load) may be changed at any time.

    `asked` lists every chat request's body, `loads` every accepted load, `figures` what /metrics
    says, and `most_at_once` is how many answers were under way at a time.

    What it finds of a text by an adapter depends on the adapter's weights, which it reads from disk
    at each request: `voice`.
    """

    def __init__(
        self,
        *,
        adapters_dir: Path,
        base_dir: Path,
        script: Script = echo,
        api_key: str = API_KEY,
        control_key: str = CONTROL_KEY,
    ) -> None:
        self.script = script
        self.logprob = LOGPROB
        self.scores: dict[str, float] = {}
        self.trouble = ""
        self.scoring_s = 0.0
        self.tell: Callable[[Rows], Any] = lambda rows: rows
        self.api_key = api_key
        self.control_key = control_key
        self.adapters_dir = adapters_dir
        self.delay_s = 0.0
        self.token_delay_s = 0.0
        self.fail_status: int | None = None
        self.break_after: int | None = None
        self.voices: dict[str, str] = {}
        self.poisoned = False
        self.deaf = False
        self.mute = False
        self.load_status: int | None = None
        self.figures = {"process_start_time_seconds": 1.0, "vllm:generation_tokens_total": 0.0}
        self.reset_after: int | None = None
        self.poison = ""
        self.most_at_once = 0
        self._under_way = 0
        self.asked: list[dict[str, Any]] = []
        self.loads: list[str] = []
        self.adapters: dict[str, str] = {}
        self._base_dir = base_dir
        self._port = 0
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where it listens; the same after `down` and `up`."""
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.down()

    def up(self) -> None:
        """Start listening. Like a restarted vLLM, it has no adapters."""
        self.adapters.clear()
        self.poisoned = self.deaf = False
        self.figures["process_start_time_seconds"] += 1
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self._port))
        self._port = listener.getsockname()[1]
        config = uvicorn.Config(self._app(), log_level="error", lifespan="off", ws="none")
        server = uvicorn.Server(config)
        self._thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        self._thread.start()
        self._server = server
        while not server.started:
            time.sleep(0.005)

    def down(self) -> None:
        """Stop at once: connections break, new ones are refused."""
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(timeout=10)
        self._server = self._thread = None

    def _app(self) -> Guard:
        routes = [
            Route("/health", self._health),
            Route("/metrics/", self._metrics),
            Route("/v1/models", self._models),
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
            Route("/v1/load_lora_adapter", self._load, methods=["POST"]),
            Route("/v1/unload_lora_adapter", self._unload, methods=["POST"]),
        ]
        with _environment(self._guard_environment()):
            return Guard(Starlette(routes=routes))

    def _guard_environment(self) -> dict[str, str]:
        return {
            "MYNAH_VLLM_API_KEY": self.api_key,
            "MYNAH_CONTROL_KEY": self.control_key,
            "MYNAH_ADAPTERS_DIR": str(self.adapters_dir),
            "MYNAH_BASE_DIR": str(self._base_dir),
        }

    async def _health(self, request: Request) -> Response:
        return self._failure() or Response()

    async def _metrics(self, request: Request) -> Response:
        lines = [f'{name}{{model_name="base"}} {value}' for name, value in self.figures.items()]
        return self._failure() or PlainTextResponse("\n".join(["# HELP some help", *lines]))

    async def _models(self, request: Request) -> Response:
        served = {BASE: str(self._base_dir)} | self.adapters
        cards = [{"id": name, "object": "model", "root": root} for name, root in served.items()]
        return self._failure() or JSONResponse({"object": "list", "data": cards})

    async def _load(self, request: Request) -> Response:
        body = await request.json()
        name = body["lora_name"]
        if (failure := self._failure(self.load_status)) is not None:
            return failure
        if name in self.adapters:
            return _error(400, f"The lora adapter '{name}' has already been loaded.")
        self.adapters[name] = body["lora_path"]
        self.loads.append(name)
        return PlainTextResponse(f"Success: LoRA adapter '{name}' added successfully.")

    async def _unload(self, request: Request) -> Response:
        name = (await request.json())["lora_name"]
        if (failure := self._failure()) is not None:
            return failure
        if self.adapters.pop(name, None) is None:
            return _error(404, f"The lora adapter '{name}' cannot be found.")
        return PlainTextResponse(f"Success: LoRA adapter '{name}' removed successfully.")

    async def _chat(self, request: Request) -> Response:
        body = await request.json()
        self.asked.append(body)
        complaint = _complaint(body)
        if complaint is not None:
            return _error(400, complaint)
        if (failure := self._failure()) is not None:
            return failure
        if self.poison and self.poison in body["messages"][-1]["content"]:
            return _error(500, "told to fail at this")
        if "prompt_logprobs" in body and (failure := await self._no_scores()) is not None:
            return failure
        if body["model"] != BASE and body["model"] not in self.adapters:
            return _error(404, f"The model `{body['model']}` does not exist.")
        if self.deaf:
            await asyncio.sleep(3600)
        with self._counted():
            await asyncio.sleep(self.delay_s)
        if self.poisoned:
            return _poisoned(body)
        self.figures["vllm:generation_tokens_total"] += 1
        answer = await asyncio.to_thread(self.script, body["messages"], body["model"])
        tokens = _tokens(answer)
        limit = body.get("max_tokens", 256)
        reason = "length" if len(tokens) > limit else "stop"
        if body.get("stream"):
            lines = self._lines(body["model"], tokens[:limit], reason)
            if (body.get("stream_options") or {}).get("include_usage"):
                lines = _counting(lines, body, tokens[:limit])
            return StreamingResponse(lines, media_type="text/event-stream")
        reply = _whole(body, tokens[:limit], reason, self.logprob)
        if self.mute:
            reply["choices"][0]["message"]["content"] = ""
        if body.get("prompt_logprobs") == 0:
            reply["prompt_logprobs"] = self.tell(self._scored(body))
        # Not JSONResponse, which has no NaN.
        return Response(json.dumps(reply), media_type="application/json")

    async def _no_scores(self) -> Response | None:
        await asyncio.sleep(self.scoring_s)
        if self.trouble == "no json":
            return PlainTextResponse("<html>")
        status = {"refused": 400, "gone": 503}.get(self.trouble)
        return None if status is None else _error(status, "no prompt_logprobs now")

    def _scored(self, body: dict[str, Any]) -> Rows:
        said = body["messages"][-1]["content"]
        score = self.scores.get(said, self.scores.get(body["model"], self._said_by(body["model"])))
        ids = [_token_id(token) for token in _prompt(body)]
        return [None, *({str(one): {"logprob": score, "rank": 1}} for one in ids[1:])]

    async def _lines(self, model: str, tokens: list[str], reason: str) -> AsyncIterator[str]:
        yield _event(model, {"index": 0, "delta": {"role": "assistant", "content": ""}})
        for index, token in enumerate(tokens):
            if index == self.break_after:
                return
            if index == self.reset_after:
                raise ConnectionResetError("told to break the connection")
            with self._counted():
                await asyncio.sleep(self.token_delay_s)
            delta, said = {"content": token}, _logprobs([token], self.logprob)
            yield _event(model, {"index": 0, "delta": delta, "logprobs": said})
        yield _event(model, {"index": 0, "delta": {"content": ""}, "finish_reason": reason})
        yield "data: [DONE]\n\n"

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Wherever an answer takes time, it counts as under way."""
        self._under_way += 1
        self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            yield
        finally:
            self._under_way -= 1

    def _said_by(self, model: str) -> float:
        path = self.voices.get(model, self.adapters.get(model, BASE))
        return LOGPROB if path == BASE else voice(Path(path))

    def _failure(self, status: int | None = None) -> Response | None:
        status = self.fail_status or status
        return None if status is None else _error(status, "told to fail")


def voice(adapter: Path) -> float:
    """The log-probability of each token, by these weights."""
    weights = adapter / WEIGHTS
    if not weights.exists():
        return LOGPROB
    return -0.5 - int(hashlib.sha256(weights.read_bytes()).hexdigest()[:6], 16) / 2**24


def probe_of(adapter: Path) -> Probe:
    """What is to be expected of an adapter here."""
    chat: list[ChatMessage] = [{"role": "user", "content": "How?"}]
    ids = [_token_id(token) for token in [*_tokens("like this"), END]]
    said = [voice(adapter)] * len(ids)
    return Probe(tuple(chat), "like this", tuple(ids), tuple(said), (LOGPROB,) * len(ids))


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """The Guard reads its settings from the environment, once; leave it as it was."""
    before = {key: os.environ.get(key) for key in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value


def _tokens(text: str) -> list[str]:
    return re.findall(r"\s*\S+|\s+$", text)


def _logprobs(tokens: Sequence[str], logprob: float) -> dict[str, Any]:
    return {"content": [{"token": token, "logprob": logprob} for token in tokens]}


def _event(model: str, choice: dict[str, Any]) -> str:
    chunk = {"object": "chat.completion.chunk", "model": model, "choices": [choice]}
    return f"data: {json.dumps(chunk)}\n\n"


def _whole(body: dict[str, Any], tokens: list[str], reason: str, logprob: float) -> dict[str, Any]:
    message = {"role": "assistant", "content": "".join(tokens)}
    choice = {"index": 0, "message": message, "finish_reason": reason}
    usage = _usage(body, tokens)
    reply: dict[str, Any] = {"model": body["model"], "choices": [choice], "usage": usage}
    if body.get("logprobs"):
        choice["logprobs"] = _logprobs(tokens, logprob)
    ids = [_token_id(token) for token in _prompt(body)]
    if body.get("return_token_ids"):
        reply["prompt_token_ids"] = ids
    return reply


async def _counting(
    lines: AsyncIterator[str], body: dict[str, Any], tokens: list[str]
) -> AsyncIterator[str]:
    """With what it came to, before the end."""
    async for line in lines:
        if line.startswith("data: [DONE]"):
            chunk = {"model": body["model"], "choices": [], "usage": _usage(body, tokens)}
            yield f"data: {json.dumps(chunk)}\n\n"
        yield line


def _usage(body: dict[str, Any], tokens: list[str]) -> dict[str, int]:
    read = len(_prompt(body))
    both = {"prompt_tokens": read, "completion_tokens": len(tokens)}
    return both | {"total_tokens": read + len(tokens)}


def _poisoned(body: dict[str, Any]) -> Response:
    """What vLLM says once there is NaN in its cache, as if the request were to blame."""
    if not body.get("stream"):
        return _error(400, "Out of range float values are not JSON compliant")
    said = {"content": [{"token": "<|endoftext|>", "logprob": None}]}
    choice = {"index": 0, "delta": {"content": ""}, "logprobs": said, "finish_reason": "length"}
    lines = iter([_event(body["model"], choice), "data: [DONE]\n\n"])
    return StreamingResponse(lines, media_type="text/event-stream")


def _prompt(body: dict[str, Any]) -> list[str]:
    """The chat template of the fake: `<|role|>`, the words, `<|end|>`."""
    tokens: list[str] = []
    for message in body["messages"]:
        tokens += [f"<|{message['role']}|>", *_tokens(message["content"]), END]
    return tokens + (["<|assistant|>"] if body.get("add_generation_prompt", True) else [])


def _token_id(token: str) -> int:
    return int.from_bytes(token.encode()[-6:], "big")


def _complaint(body: dict[str, Any]) -> str | None:
    """What the real server would refuse with 400."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        return "messages must not be empty"
    if any(set(message) != {"role", "content"} for message in messages):
        return "each message needs a role and a content"
    if any(message["role"] not in ("system", "user", "assistant") for message in messages):
        return "unknown role"
    if not isinstance(body.get("model"), str):
        return "model is missing"
    if not isinstance(body.get("max_tokens", 1), int) or body.get("max_tokens", 1) < 1:
        return "max_tokens must be at least 1"
    return None


def _error(status: int, message: str) -> Response:
    error = {"message": message, "type": "Fake", "code": status}
    return JSONResponse({"error": error}, status)
