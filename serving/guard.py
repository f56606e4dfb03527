"""What stands in front of every route of vLLM's own server (`--middleware serving.guard.Guard`).

vLLM's API key covers only a few of its routes: adapters can be loaded and unloaded without one.
The guard lets through what Mynah uses, each with its key, and refuses everything else. An adapter
is loaded only on the signed word of somebody who has its hash from the store (serving/signing.py),
and only if the files have that hash. It looks at requests only; answers stream through untouched.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.adapters import MAX_RANK, NAME, BadAdapter, validate
from serving.base import BaseSpec, base_spec
from serving.signing import BadSignature, check

LOAD = "/v1/load_lora_adapter"
UNLOAD = "/v1/unload_lora_adapter"
# `/metrics/`, because vLLM answers `/metrics` with a redirect to it.
INFERENCE = frozenset(
    {
        ("GET", "/health"),
        ("GET", "/metrics"),
        ("GET", "/metrics/"),
        ("GET", "/v1/models"),
        ("POST", "/v1/chat/completions"),
    }
)
CONTROL = frozenset({("POST", LOAD), ("POST", UNLOAD)})
# What a load request says to vLLM, and what it says to the guard besides.
FOR_VLLM = ("lora_name", "lora_path")
FOR_GUARD = ("sha256", "expires", "signature")
MAX_CONTROL_BYTES = 64 * 1024


class Forbidden(Exception):
    """One line that the caller may see."""

    def __init__(self, reason: str, status: int = 403) -> None:
        super().__init__(reason)
        self.status = status


class Guard:
    """ASGI middleware. Reads its keys, directories and limits from the environment when it is
    built, and refuses to be built without them: a server without its guard must not start.

    MYNAH_VLLM_API_KEY opens inference, models, health and metrics; MYNAH_CONTROL_KEY opens loading
    and unloading, and is what a load is signed with; MYNAH_ADAPTERS_DIR holds what may be loaded;
    MYNAH_BASE_DIR is what it must fit; MYNAH_MAX_RANK is the server's limit.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._api_key = os.environ["MYNAH_VLLM_API_KEY"]
        self._control_key = os.environ["MYNAH_CONTROL_KEY"]
        self._adapters_dir = Path(os.environ["MYNAH_ADAPTERS_DIR"]).resolve()
        self._base: BaseSpec = base_spec(Path(os.environ["MYNAH_BASE_DIR"]))
        self._max_rank = int(os.environ.get("MYNAH_MAX_RANK", MAX_RANK))
        if not self._api_key or not self._control_key:
            raise ValueError("MYNAH_VLLM_API_KEY and MYNAH_CONTROL_KEY must not be empty")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with 401 or 403 and `{"error": {"message": …}}`."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] != "http":
            # Closed before it was accepted: the server answers the handshake with 403.
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            control = self._allow(scope)
            if control:
                body = await self._check_control(scope["path"], receive)
                scope, receive = _resized(scope, len(body)), _replay(body, receive)
        except Forbidden as error:
            refusal = {"message": str(error), "type": "Forbidden", "code": error.status}
            await JSONResponse({"error": refusal}, error.status)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _allow(self, scope: Scope) -> bool:
        """Whether this is a control request; Forbidden unless the route and the key are right."""
        route = (scope["method"], scope["path"])
        if route not in INFERENCE and route not in CONTROL:
            raise Forbidden(f"{scope['method']} {scope['path'][:100]} is not served here")
        control = route in CONTROL
        if not _same(_bearer(scope), self._control_key if control else self._api_key):
            raise Forbidden("missing or wrong key", status=401)
        return control

    async def _check_control(self, path: str, receive: Receive) -> bytes:
        """The body for vLLM, once all is right with it."""
        request = _parse(await _read(receive))
        name = request.get("lora_name")
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise Forbidden("lora_name must be mynah- and 12 hexadecimal digits")
        allowed = {*FOR_VLLM, *FOR_GUARD} if path == LOAD else {"lora_name"}
        strange = sorted(set(request) - allowed)
        if strange:
            raise Forbidden(f"{strange[0][:40]} is not allowed here")
        if path == LOAD:
            sha256 = self._signed_for(request)
            # In a thread: hashing a large adapter must not hold up the streams.
            await asyncio.to_thread(self._check_adapter, name, request.get("lora_path"), sha256)
        return json.dumps({key: request[key] for key in FOR_VLLM if key in request}).encode()

    def _signed_for(self, request: Mapping[str, Any]) -> str:
        try:
            return check(self._control_key, request, at=time.time())
        except BadSignature as error:
            raise Forbidden(str(error)) from error

    def _check_adapter(self, name: str, path: Any, sha256: str) -> None:
        if not isinstance(path, str) or "\0" in path or not Path(path).is_absolute():
            raise Forbidden("lora_path must be an absolute path")
        if Path(path).resolve() != self._adapters_dir / name:
            raise Forbidden(f"lora_path must be {name} in the adapters directory")
        try:
            validate(Path(path), self._base, max_rank=self._max_rank, sha256=sha256)
        except BadAdapter as error:
            raise Forbidden(str(error)) from error


def _same(given: str, key: str) -> bool:
    return hmac.compare_digest(given.encode(), key.encode())


def _bearer(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, key = value.decode("latin-1").partition(" ")
            return key if scheme.lower() == "bearer" else ""
    return ""


async def _read(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Forbidden("the request broke off")
        body += bytes(message.get("body", b""))
        if len(body) > MAX_CONTROL_BYTES:
            raise Forbidden("the request is too large")
        if not message.get("more_body", False):
            return body


def _parse(body: bytes) -> Mapping[str, Any]:
    try:
        # Of two equal keys vLLM could take the other one than this check: refuse both.
        request = json.loads(body, object_pairs_hook=_unique)
    except ValueError as error:
        raise Forbidden("the body is not JSON") from error
    if not isinstance(request, dict):
        raise Forbidden("the body is not a JSON object")
    return request


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    parsed = dict(pairs)
    if len(parsed) != len(pairs):
        raise ValueError("a key stands twice")
    return parsed


def _resized(scope: Scope, length: int) -> Scope:
    kept = [pair for pair in scope["headers"] if pair[0] != b"content-length"]
    return {**scope, "headers": [*kept, (b"content-length", str(length).encode())]}


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body once more, and then whatever really comes."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again
