"""The Web API over HTTP: who calls, may they, does bad luck strike, and then the method itself."""

from __future__ import annotations

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

_NOBODY = Token(TokenKind.USER, APP.user_id)  # behind a method that takes no token


class WebApi:
    """`/api/{method}`."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def endpoint(self, request: Request) -> Response:
        """Answer one call, errors included, with HTTP 200 as Slack does."""
        name = request.path_params["method"]
        self._world.calls[name] += 1
        try:
            return self._answer(name, await arguments.read(request), request)
        except SlackError as error:
            return JSONResponse(error.as_json())

    def _answer(self, name: str, args: Arguments, request: Request) -> Response:
        method = METHODS.get(name)
        if method is None:
            raise SlackError("unknown_method", req_method=name)
        secret = _secret(request, args)
        token = _NOBODY if method.open else self._token(secret)
        call = Call(self._world, token, args, str(request.base_url).rstrip("/"), secret)
        _allow(method, call)
        fault = self._world.faults.of_call(name, secret)
        if fault is not None and not fault.applied:
            return _struck(fault)
        answer = {"ok": True, **method.run(call)}
        return _struck(fault) if fault else JSONResponse(answer, headers=_scopes(method, token))

    def _token(self, secret: str) -> Token:
        if not secret:
            raise SlackError("not_authed")
        token = self._world.workspace.tokens.get(secret)
        if token is None:
            raise SlackError(self._world.workspace.revoked.get(secret, "invalid_auth"))
        if self._world.workspace.users[token.user_id].deleted:
            raise SlackError("account_inactive")
        return token


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
