"""The control API: what the Web API cannot do. JSON in and out, for tests and demos only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, Literal, Self

from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, ValidationError, model_validator
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deploy.sandbox import commands, interactions
from deploy.sandbox.errors import Impossible, SlackError
from deploy.sandbox.faults import CallFault, Storm
from deploy.sandbox.personas import BOT_TOKEN, SIGNING_SECRET
from deploy.sandbox.report import report
from deploy.sandbox.request_url import RequestUrl
from deploy.sandbox.seed import BadSeed, Seed, plant
from deploy.sandbox.worlds import Worlds

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


class StormOrder(_Strict):
    """From now on a share of the events comes two or three times and out of order."""

    duplicate: float = Field(ge=0, le=1)
    reorder_s: float = Field(ge=0)
    seed: int = 0


class FaultOrder(_Strict):
    """The body of `POST /_control/faults`; what it does not name stays as it is."""

    clear: bool = False
    drop_ack: int | None = Field(None, ge=0)
    duplicate: int | None = Field(None, ge=0)
    expire_stream: int | None = Field(None, ge=0)  # found dead by the next appends or stops
    rate_limit: RateLimit | list[RateLimit] | None = None
    fail: Fail | list[Fail] | None = None
    storm: StormOrder | None = None
    refresh_socket: bool = False
    refresh_reason: Literal["refresh_requested", "warning"] = "refresh_requested"
    deafen_socket: bool = False  # connections stay open, and nothing goes either way
    spoil_ticket: int = Field(0, ge=0)  # the next tickets are too old when they are used
    drop_socket: bool = False
    ack_s: float | None = Field(None, gt=0)
    retry_s: list[float] | None = None
    trigger_s: float | None = Field(None, ge=0)  # how long a trigger id lives from now on


class CommandOrder(_Strict):
    """The body of `POST /_control/command`."""

    token: str
    channel: str
    command: str = Field(pattern=r"^/\S+$")
    text: str = ""


class RequestUrlOrder(_Strict):
    """The body of `POST /_control/request_url`; without a URL deliveries go over sockets again."""

    url: AnyHttpUrl | None


class ActionOrder(_Strict):
    """The body of `POST /_control/action`: an element of a message, or of a view."""

    token: str
    channel: str = ""
    ts: str = ""
    view_id: str = ""
    action_id: str
    block_id: str | None = None  # where several elements have the action id
    value: Any = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if bool(self.view_id) == bool(self.channel and self.ts):
            raise ValueError("name channel and ts, or view_id")
        return self


class ShortcutOrder(_Strict):
    """The body of `POST /_control/shortcut`."""

    token: str
    channel: str
    ts: str
    callback_id: str = Field(min_length=1)


class SubmitOrder(_Strict):
    """The body of `POST /_control/submit`; `values` by the block or action id of each input."""

    token: str
    view_id: str
    values: dict[str, Any] = Field(default_factory=dict)


class CloseOrder(_Strict):
    """The body of `POST /_control/close`."""

    token: str
    view_id: str


class HomeOrder(_Strict):
    """The body of `POST /_control/home`."""

    token: str
    tab: Literal["home", "messages"] = "home"


class UninstallOrder(_Strict):
    """The body of `POST /_control/uninstall`; without a team it is the home."""

    team: str = ""


class AllowOrder(_Strict):
    """The body of `POST /_control/allow`: who is at the app's consent page, which is at `url`."""

    token: str
    url: str
    deny: bool = False


class RotationOrder(_Strict):
    """The body of `POST /_control/rotation`."""

    lives_s: int | None = Field(None, ge=1)


class Control:
    """`/_control/…`."""

    def __init__(self, worlds: Worlds) -> None:
        self._worlds = worlds

    def routes(self) -> list[Route]:
        """The routes of the control API."""
        posts: dict[str, Handler] = {
            "seed": self.seed,
            "command": self.command,
            "action": self.action,
            "shortcut": self.shortcut,
            "submit": self.submit,
            "close": self.close,
            "home": self.home,
            "uninstall": self.uninstall,
            "allow": self.allow,
            "rotation": self.rotation,
            "faults": self.faults,
            "request_url": self.request_url,
        }
        found = [Route(f"/{n}", _endpoint(h), methods=["POST"]) for n, h in posts.items()]
        gets: dict[str, Handler] = {"state": self.state, "faults": self.faults_left}
        return [*found, *(Route(f"/{n}", _endpoint(h), methods=["GET"]) for n, h in gets.items())]

    async def seed(self, request: Request) -> dict[str, Any]:
        """Add users, channels and groups; all of it or nothing."""
        seed = Seed.model_validate_json(await request.body())
        world = self._worlds.of_team(seed.team)
        planted = plant(world.workspace, seed)
        world.changed("people")
        for channel in seed.channels:
            world.changed("channel", channel.id)
        return planted

    async def command(self, request: Request) -> dict[str, Any]:
        """Type a slash command as somebody."""
        order = CommandOrder.model_validate_json(await request.body())
        world, user = self._worlds.person(order.token)
        if not self._worlds.manifest.knows(order.command):
            raise SlackError("invalid_command")
        return await commands.run(
            world,
            user=user,
            channel=world.workspace.joined_channel(order.channel, user.id),
            command=order.command,
            text=order.text,
            base_url=_base_url(request),
        )

    async def action(self, request: Request) -> dict[str, Any]:
        """Press a button or choose from a menu as somebody; tells which modal they see then."""
        order = ActionOrder.model_validate_json(await request.body())
        world, user = self._worlds.person(order.token)
        act = interactions.Act(order.action_id, order.block_id, order.value)
        if order.view_id:
            view = world.views.seen_by(user.id, order.view_id)
            return await interactions.act_on_view(world, user, view, act)
        channel, message = interactions.message_seen(world, user, order.channel, order.ts)
        base_url = _base_url(request)
        return await interactions.act_on_message(world, user, channel, message, act, base_url)

    async def shortcut(self, request: Request) -> dict[str, Any]:
        """Use a message shortcut as somebody."""
        order = ShortcutOrder.model_validate_json(await request.body())
        world, user = self._worlds.person(order.token)
        channel, message = interactions.message_seen(world, user, order.channel, order.ts)
        return await interactions.shortcut(
            world, user, channel, message, order.callback_id, _base_url(request)
        )

    async def submit(self, request: Request) -> dict[str, Any]:
        """Fill in and submit the modal in front of somebody; tells what they see then."""
        order = SubmitOrder.model_validate_json(await request.body())
        world, user = self._worlds.person(order.token)
        view = world.views.seen_by(user.id, order.view_id)
        return await interactions.submit(world, user, view, order.values)

    async def close(self, request: Request) -> dict[str, Any]:
        """Close the modal in front of somebody, unsubmitted; tells what they see then."""
        order = CloseOrder.model_validate_json(await request.body())
        world, user = self._worlds.person(order.token)
        return interactions.close(world, user, world.views.seen_by(user.id, order.view_id))

    async def home(self, request: Request) -> dict[str, Any]:
        """Open the app's home as somebody; tells the Home tab that they see."""
        order = HomeOrder.model_validate_json(await request.body())
        return await interactions.open_home(*self._worlds.person(order.token), order.tab)

    async def uninstall(self, request: Request) -> dict[str, Any]:
        """Take the app out of a workspace: its bot tokens end, and it hears nothing more."""
        order = UninstallOrder.model_validate_json(await request.body() or b"{}")
        self._worlds.of_team(order.team).uninstall()
        return {}

    async def allow(self, request: Request) -> dict[str, Any]:
        """Press Allow on the app's consent page, or Cancel, as somebody."""
        order = AllowOrder.model_validate_json(await request.body())
        world, user = self._worlds.person(order.token)
        query = self._worlds.consents.allow(world, user, order.url, deny=order.deny)
        return {"query": query}

    async def rotation(self, request: Request) -> dict[str, Any]:
        """Let the app's next tokens live so long; forever without a time."""
        order = RotationOrder.model_validate_json(await request.body())
        self._worlds.consents.lives_s = order.lives_s
        return {}

    async def faults(self, request: Request) -> dict[str, Any]:
        """Order bad luck; tells how often each kind is still to strike."""
        order = FaultOrder.model_validate_json(await request.body())
        home = self._worlds.home
        courier, faults = home.courier, home.faults
        if order.clear:
            faults.clear()
        if order.drop_ack is not None:
            faults.drop_ack = order.drop_ack
        if order.duplicate is not None:
            faults.duplicate = order.duplicate
        if order.expire_stream is not None:
            faults.expire_stream = order.expire_stream
        faults.calls += [_limited(item) for item in _listed(order.rate_limit)]
        faults.calls += [_failing(item) for item in _listed(order.fail)]
        if (storm := order.storm) is not None:
            faults.storm = Storm(storm.duplicate, storm.reorder_s, Random(storm.seed))  # noqa: S311
        courier.timing.ack_s = order.ack_s or courier.timing.ack_s
        if order.trigger_s is not None:
            for world in self._worlds:
                world.triggers.lives_s = order.trigger_s
        if order.retry_s is not None:
            courier.timing.retry_s = tuple(order.retry_s)
        if order.refresh_socket:
            courier.sockets.refresh(order.refresh_reason)
        if order.deafen_socket:
            courier.sockets.deafen()
        courier.sockets.spoil += order.spoil_ticket
        faults.changed()
        if order.drop_socket:
            courier.sockets.drop()
        return dict(faults.as_json())

    async def faults_left(self, _request: Request) -> dict[str, Any]:
        """How often each kind of bad luck is still to strike."""
        return dict(self._worlds.home.faults.as_json())

    async def request_url(self, request: Request) -> dict[str, Any]:
        """Deliver to a URL, once it has proved to be the app's; until then nothing changes."""
        order = RequestUrlOrder.model_validate_json(await request.body())
        courier = self._worlds.home.courier
        found = RequestUrl(str(order.url), SIGNING_SECRET) if order.url else None
        if found is not None:
            await found.check(courier.timing.ack_s)
        courier.request_url = found
        return {}

    async def state(self, request: Request) -> dict[str, Any]:
        """What was said and delivered (`?team=`); `?channel=`, `?since=`, `?parts=` narrow it."""
        query = request.query_params
        world = self._worlds.of_team(query.get("team", ""))
        parts = [part for part in query.get("parts", "").split(",") if part]
        return report(
            world, channel=query.get("channel"), since=query.get("since", ""), parts=parts
        )


def _base_url(request: Request) -> str:
    return str(request.base_url).rstrip("/")


def _endpoint(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            return JSONResponse({"ok": True, **await handler(request)})
        except SlackError as error:
            return JSONResponse(error.as_json())
        except (ValidationError, BadSeed, Impossible) as error:
            return JSONResponse({"ok": False, "error": "bad_request", "detail": _why(error)}, 400)

    return answer


def _why(error: ValidationError | BadSeed | Impossible) -> str:
    if not isinstance(error, ValidationError):
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
