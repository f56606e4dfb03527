"""The Web API over HTTP: who calls, may they, does bad luck strike, and then the method itself."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from deploy.sandbox import arguments
from deploy.sandbox.arguments import Arguments
from deploy.sandbox.errors import SlackError
from deploy.sandbox.faults import CallFault
from deploy.sandbox.methods.method import Call, Method
from deploy.sandbox.methods.registry import METHODS
from deploy.sandbox.people import Token, TokenKind
from deploy.sandbox.personas import APP
from deploy.sandbox.world import World
from deploy.sandbox.worlds import Worlds

_NOBODY = Token(TokenKind.USER, APP.user_id)  # behind a method that takes no token


class WebApi:
    """`/api/{method}`."""

    def __init__(self, worlds: Worlds) -> None:
        self._worlds = worlds

    async def endpoint(self, request: Request) -> Response:
        """Answer one call, errors included, with HTTP 200 as Slack does."""
        name, args = request.path_params["method"], Arguments()
        self._worlds.home.calls[name] += 1
        start = time.perf_counter()
        try:
            args = await arguments.read(request)
            response = self._answer(name, args, request)
        except SlackError as error:
            response = JSONResponse(error.as_json())
        self._note(name, args, request, response, (time.perf_counter() - start) * 1000)
        return response

    def _answer(self, name: str, args: Arguments, request: Request) -> Response:
        method = METHODS.get(name)
        if method is None:
            raise SlackError("unknown_method", req_method=name)
        secret = _secret(request, args)
        world = self._worlds.of_token(secret)
        token = _NOBODY if method.open else _token(world, secret)
        base_url = str(request.base_url).rstrip("/")
        call = Call(world, token, args, base_url, secret, self._worlds.consents, _client(request))
        _allow(method, call)
        fault = world.faults.of_call(name, secret)
        if fault is not None and not fault.applied:
            return _struck(fault)
        answer = {"ok": True, **method.run(call)}
        return _struck(fault) if fault else JSONResponse(answer, headers=_scopes(method, token))

    def _note(
        self, name: str, args: Arguments, request: Request, response: Response, ms: float
    ) -> None:
        """Put a call into the ledger. People's tokens are not the app's: those calls are acts of
        people in their client, which the app sees as events."""
        if _of_a_person(self._worlds, _secret(request, args)):
            return
        after = response.headers.get("retry-after")
        self._worlds.ledger.called(
            name,
            args,
            _said(response),
            status=response.status_code,
            retry_after=int(after) if after else None,
            ms=ms,
        )


def _of_a_person(worlds: Worlds, secret: str) -> bool:
    token = worlds.of_token(secret).workspace.tokens.get(secret)
    kind = token.kind if token else secret.partition("-")[0]  # of one that counts no more
    return kind == TokenKind.USER


def _said(response: Response) -> Any:
    """What the app reads in an answer."""
    body = bytes(response.body)
    return json.loads(body) if isinstance(response, JSONResponse) else body.decode()


def _token(world: World, secret: str) -> Token:
    if not secret:
        raise SlackError("not_authed")
    token = world.workspace.tokens.get(secret)
    if token is None:
        raise SlackError(world.workspace.revoked.get(secret, "invalid_auth"))
    if token.until is not None and token.until <= time.time():
        raise SlackError("token_expired")
    if world.workspace.users[token.user_id].deleted:
        raise SlackError("account_inactive")
    return token


def _client(request: Request) -> tuple[str, str]:
    """The client id and secret, as HTTP's basic authentication brings them."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        client_id, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return client_id, secret


def _secret(request: Request, args: Arguments) -> str:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else args.text("token")


def _allow(method: Method, call: Call) -> None:
    if not method.open and call.token.kind not in method.kinds:
        raise SlackError("not_allowed_token_type")
    if method.scope is not None:
        call.need(method.scope)


def _struck(fault: CallFault) -> Response:
    if fault.retry_after_s is not None:
        headers = {"Retry-After": str(fault.retry_after_s)}
        return JSONResponse({"ok": False, "error": "ratelimited"}, 429, headers=headers)
    if fault.status != 200:
        return PlainTextResponse("sandbox: a fault was asked for", fault.status)
    return JSONResponse({"ok": False, "error": fault.error})


def _scopes(method: Method, token: Token) -> dict[str, Any]:
    owned = ",".join(sorted(token.scopes)) if token.scopes is not None else "identify"
    return {"x-oauth-scopes": owned, "x-accepted-oauth-scopes": method.scope or ""}
