"""The control API: what the Web API cannot do. JSON in and out, for tests and demos only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deploy.sandbox import commands
from deploy.sandbox.errors import SlackError
from deploy.sandbox.faults import CallFault
from deploy.sandbox.personas import BOT_TOKEN, SIGNING_SECRET
from deploy.sandbox.report import report
from deploy.sandbox.request_url import RequestUrl
from deploy.sandbox.seed import BadSeed, Seed, plant
from deploy.sandbox.world import World

Handler = Callable[[Request], Awaitable[dict[str, Any]]]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RateLimit(_Strict):
    """The next `n` calls of `method` with `token` ("*": any) answer 429."""

    method: str
    n: int = Field(1, ge=1)
    retry_after: int = Field(1, ge=0)
    token: str = BOT_TOKEN


class Fail(_Strict):
    """The next `n` calls fail: by an HTTP `status`, or by an `error` with HTTP 200.

    With `applied` the method does its work first, and only the answer is lost.
    """

    method: str
    n: int = Field(1, ge=1)
    status: int = Field(200, ge=200, le=599)
    error: str = "internal_error"
    applied: bool = False
    token: str = BOT_TOKEN


class FaultOrder(_Strict):
    """The body of `POST /_control/faults`; what it does not name stays as it is."""

    clear: bool = False
    drop_ack: int | None = Field(None, ge=0)
    duplicate: int | None = Field(None, ge=0)
    rate_limit: RateLimit | list[RateLimit] | None = None
    fail: Fail | list[Fail] | None = None
    refresh_socket: bool = False
    drop_socket: bool = False
    ack_s: float | None = Field(None, gt=0)
    retry_s: list[float] | None = None


class CommandOrder(_Strict):
    """The body of `POST /_control/command`."""

    token: str
    channel: str
    command: str = Field(pattern=r"^/\S+$")
    text: str = ""


class RequestUrlOrder(_Strict):
    """The body of `POST /_control/request_url`; without a URL deliveries go over sockets again."""

    url: AnyHttpUrl | None


class Control:
    """`/_control/…`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        """The routes of the control API."""
        posts = (self.seed, self.command, self.faults, self.request_url)
        found = [Route(f"/{h.__name__}", _endpoint(h), methods=["POST"]) for h in posts]
        return [*found, Route("/state", _endpoint(self.state), methods=["GET"])]

    async def seed(self, request: Request) -> dict[str, Any]:
        """Add users, channels and groups; all of it or nothing."""
        return plant(self._world.workspace, Seed.model_validate_json(await request.body()))

    async def command(self, request: Request) -> dict[str, Any]:
        """Type a slash command as somebody."""
        order = CommandOrder.model_validate_json(await request.body())
        space = self._world.workspace
        if order.token not in space.tokens:
            raise SlackError("invalid_auth")
        user = space.users[space.tokens[order.token].user_id]
        return await commands.run(
            self._world,
            user=user,
            channel=space.joined_channel(order.channel, user.id),
            command=order.command,
            text=order.text,
            base_url=str(request.base_url).rstrip("/"),
        )

    async def faults(self, request: Request) -> dict[str, Any]:
        """Order bad luck."""
        order = FaultOrder.model_validate_json(await request.body())
        courier, faults = self._world.courier, self._world.faults
        if order.clear:
            faults.clear()
        if order.drop_ack is not None:
            faults.drop_ack = order.drop_ack
        if order.duplicate is not None:
            faults.duplicate = order.duplicate
        faults.calls += [_limited(item) for item in _listed(order.rate_limit)]
        faults.calls += [_failing(item) for item in _listed(order.fail)]
        courier.timing.ack_s = order.ack_s or courier.timing.ack_s
        if order.retry_s is not None:
            courier.timing.retry_s = tuple(order.retry_s)
        if order.refresh_socket:
            courier.sockets.refresh()
        if order.drop_socket:
            courier.sockets.drop()
        return {"drop_ack": faults.drop_ack, "duplicate": faults.duplicate}

    async def request_url(self, request: Request) -> dict[str, Any]:
        """Deliver to a URL, once it has proved to be the app's; until then nothing changes."""
        order = RequestUrlOrder.model_validate_json(await request.body())
        courier = self._world.courier
        found = RequestUrl(str(order.url), SIGNING_SECRET) if order.url else None
        if found is not None:
            await found.check(courier.timing.ack_s)
        courier.request_url = found
        return {}

    async def state(self, request: Request) -> dict[str, Any]:
        """What was said and delivered; `?channel=`, `?since=` (a ts) and `?parts=` narrow it."""
        query = request.query_params
        parts = [part for part in query.get("parts", "").split(",") if part]
        return report(
            self._world, channel=query.get("channel"), since=query.get("since", ""), parts=parts
        )


def _endpoint(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            return JSONResponse({"ok": True, **await handler(request)})
        except SlackError as error:
            return JSONResponse(error.as_json())
        except (ValidationError, BadSeed) as error:
            return JSONResponse({"ok": False, "error": "bad_request", "detail": _why(error)}, 400)

    return answer


def _why(error: ValidationError | BadSeed) -> str:
    if isinstance(error, BadSeed):
        return str(error)
    return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())


def _listed(order: Any) -> list[Any]:
    return order if isinstance(order, list) else [] if order is None else [order]


def _limited(order: RateLimit) -> CallFault:
    return CallFault(order.method, order.n, order.token, retry_after_s=order.retry_after)


def _failing(order: Fail) -> CallFault:
    return CallFault(
        order.method,
        order.n,
        order.token,
        status=order.status,
        error=order.error,
        applied=order.applied,
    )
