"""One bot process, wired from its settings: Slack in, answers out."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_slack_response import AsyncSlackResponse
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from bot import health, inbox, outbox, shadowing
from bot.api.app import Api
from bot.api.calls import forget_old
from bot.dispatcher import Dispatcher
from bot.embedder import open_embedder
from bot.memory import Memory
from bot.pump import Pump
from bot.routing import WAITING_AT_MOST, Router
from bot.settings import BotSettings
from bot.slack import broken, installing
from bot.slack.app import build_app, web_client
from bot.slack.desk import Shared
from bot.slack.desks import Desks
from bot.slack.installations import Installations
from bot.slack.line import HttpLine, Line, SocketLine
from bot.slack.residence import move_in
from bot.slack.workspace import Identity, error_of
from bot.slack.workspaces import OneWorkspace, Workspaces
from bot.store.database import open_engine, transaction
from bot.store.queue import Teams
from bot.store.schema import OutboxMessage
from bot.waiting import Waiting
from bot.watching import Watch
from serving import http, tracing
from serving.client import VllmClient
from serving.settings import BadSettings
from serving.tracing import Tracing

log = logging.getLogger(__name__)
DELIVERED = ("event", "command", "action", "view", "shortcut")  # kinds that need no model
POSTS_AT_ONCE = 8
EVENTS_AT_ONCE = 64
QUICK = 32  # questions whose answer is quoted: they pass those that wait for a server
CLIENT_S = 120.0  # nothing that is asked of a server is silent for longer
GRACE_S = 5.0  # what is under way may take this long when the process is told to stop
CLEAN_EVERY_S = 3600.0
Works = Dispatcher | Pump[OutboxMessage] | Waiting  # until it is stopped


@dataclass
class Wakes:
    """What wakes the pumps, so that nothing waits for the next look at the queue."""

    events: asyncio.Event = field(default_factory=asyncio.Event)
    questions: asyncio.Event = field(default_factory=asyncio.Event)
    outbox: asyncio.Event = field(default_factory=asyncio.Event)

    def inbox(self) -> None:
        """Something was stored for the dispatchers, or is free for them now."""
        self.events.set()
        self.questions.set()

    def all(self) -> None:
        """Something was stored for any of them."""
        self.inbox()
        self.outbox.set()


async def run(settings: BotSettings) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        BadSettings: one line: a token that Slack does not take, Slack not there, a port in use.
        BadDatabaseUrl, BadEmbedder: likewise.
    """
    # Store calls wait in threads; Python's default of a few would make them wait for each other.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(32, "store"))
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(http.listen(settings.host, settings.port))
        engine = open_engine(settings.database_url)
        stack.callback(engine.dispose)
        watch = Watch(engine, traces=_traces(stack, settings))
        memory = Memory(engine, await asyncio.to_thread(open_embedder, settings.embedder))
        clients = [await stack.enter_async_context(client) for client in _clients(settings)]
        wakes, owner = Wakes(), _owner()
        socket_url = await _connect(settings)
        workspaces: Workspaces
        oauth = None
        if settings.many_workspaces:
            workspaces = Installations(settings, engine, owner=owner)
            stack.push_async_callback(workspaces.close)
            oauth = installing.flow(settings, engine, workspaces)
        else:
            workspaces = await _introduce(settings, engine)
        app = build_app(settings, engine, wakes.events, workspaces, oauth)
        router = Router(
            engine, clients, at_once=settings.at_once, silence_s=settings.silence_s,
            generated=watch.figures.generated,
        )  # fmt: skip
        watch.figures.follow(router.rooms)
        waiting = Waiting(
            engine, router, teams=workspaces.served(), called=wakes.questions.set,
            rest_minutes=settings.longest_rest,
        )  # fmt: skip
        shared = Shared(
            settings, engine, memory, router, waiting, owner=owner,
            stored=wakes.all, said=wakes.outbox.set, forget=workspaces.forget, watch=watch,
        )  # fmt: skip
        _warn(settings)
        line = _line(settings, app, socket_url)
        stack.push_async_callback(line.close)
        desks = Desks(shared, workspaces)
        api = Api(engine, desks.calls)
        stack.push_async_callback(api.close)
        routes = [*line.routes, *(installing.routes(oauth) if oauth else ()), *api.routes()]
        page = health.build(engine, line.is_open, routes, watch.figures)
        await stack.enter_async_context(http.served(page, listener))
        await _work(
            line,
            pumps=_pumps(shared, desks, workspaces.served(), wakes),
            cleaning=_clean(engine, settings.inbox_days),
        )


def _owner() -> str:
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def _pumps(shared: Shared, desks: Desks, teams: Teams, wakes: Wakes) -> Sequence[Works]:
    """What works the queues off. A model that hangs holds up questions alone: feedback and
    commands have their own places."""
    settings, owner, lease_s = shared.settings, shared.owner, shared.settings.lease_s
    # Questions that are being answered, those that wait for a server, and others that need none.
    asked = settings.at_once * len(settings.vllm_urls) + WAITING_AT_MOST + QUICK
    dispatchers = [
        Dispatcher(
            shared.engine, dict.fromkeys(kinds, desks.handle), wake, owner=owner, teams=teams,
            lease_s=lease_s, at_once=at_once, give_up=give_up, watch=shared.watch,
        )
        for kinds, wake, at_once, give_up in (
            (DELIVERED, wakes.events, EVENTS_AT_ONCE, None),
            (("question",), wakes.questions, asked, broken.give_up),
        )
    ]  # fmt: skip

    def claim() -> OutboxMessage | None:
        with transaction(shared.engine) as session:
            return outbox.claim(session, owner, lease_s, teams=teams)

    posts = Pump(claim, desks.deliver, wakes.outbox, at_once=POSTS_AT_ONCE)
    shadows = Dispatcher(
        shared.engine, {shadowing.KIND: desks.handle}, asyncio.Event(), owner=owner, teams=teams,
        lease_s=lease_s, at_once=1, give_up=shadowing.give_up, watch=shared.watch,
        when=lambda: not shared.router.is_away and shadowing.may_work(shared.engine),
    )  # fmt: skip
    return [*dispatchers, posts, shadows, shared.waiting]


async def _work(
    line: Line,
    *,
    pumps: Sequence[Works],
    cleaning: Coroutine[Any, Any, None],
) -> None:
    """Connect and work until told to stop; then take nothing new, and finish what is under way."""
    async with _signals() as stop, asyncio.TaskGroup() as tasks:
        pumping = [tasks.create_task(pump.run()) for pump in pumps]
        cleaner = tasks.create_task(cleaning)
        await line.open()
        log.info("ready for Slack")
        await stop.wait()
        log.info("stopping")
        await line.close()
        for pump in pumps:
            pump.stop()
        await _finish(pumping)
        cleaner.cancel()


async def _finish(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Let the tasks end; what takes longer than GRACE_S is handed back."""
    _, late = await asyncio.wait(tasks, timeout=GRACE_S)
    for task in late:
        task.cancel()


@asynccontextmanager
async def _signals() -> AsyncIterator[asyncio.Event]:
    """An event that is set when the process is told to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    try:
        yield stop
    finally:
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(name)


def _line(settings: BotSettings, app: AsyncApp, socket_url: str) -> Line:
    """HTTP where the app's signing secret is set, else the socket at `socket_url`."""
    if secret := settings.slack_signing_secret.get_secret_value():
        return HttpLine(app, secret)
    return SocketLine(app, settings.slack_app_token.get_secret_value(), socket_url)


def _clients(settings: BotSettings) -> list[VllmClient]:
    key = settings.vllm_api_key.get_secret_value()
    patience_s = max(CLIENT_S, settings.silence_s)
    return [VllmClient(url, api_key=key, timeout_s=patience_s) for url in settings.vllm_urls]


def _traces(stack: AsyncExitStack, settings: BotSettings) -> Tracing | None:
    found = tracing.open_tracing(settings.otlp_endpoint, "mynah-bot")
    if found is not None:
        stack.push_async_callback(asyncio.to_thread, found.close)
    return found


async def _connect(settings: BotSettings) -> str:
    """The address of the socket, if there is one."""
    token = settings.slack_app_token.get_secret_value()
    if not token:
        return ""
    client = web_client(settings, patient=True)
    opened = await _try("SLACK_APP_TOKEN", client.apps_connections_open(app_token=token))
    return str(opened["url"])


async def _introduce(settings: BotSettings, engine: Engine) -> OneWorkspace:
    """The workspace of the bot token, which Mynah moves into."""
    client = web_client(settings, patient=True)
    who = await _try("SLACK_BOT_TOKEN", client.auth_test())
    identity = Identity(who["team_id"], who["user_id"], who["bot_id"], who.get("team", ""))
    await asyncio.to_thread(_move_in, engine, identity)
    hasty = web_client(settings, patient=False)
    return OneWorkspace(identity, patient=client, hasty=hasty)


async def _try(setting: str, call: Awaitable[AsyncSlackResponse]) -> AsyncSlackResponse:
    try:
        return await call
    except SlackApiError as error:
        raise BadSettings(f"{setting}: Slack says {error_of(error)}") from error
    except (aiohttp.ClientError, TimeoutError) as error:
        why = f"SLACK_API_URL: Slack cannot be reached: {type(error).__name__}"
        raise BadSettings(why) from error


def _move_in(engine: Engine, identity: Identity) -> None:
    with transaction(engine) as session:
        move_in(session, identity)


def _warn(settings: BotSettings) -> None:
    for name, value in (("MYNAH_STAFF", settings.staff), ("MYNAH_ADMINS", settings.admins)):
        if not value:
            log.warning("%s is not set: nobody is one", name)


async def _clean(engine: Engine, days: int) -> None:
    """Forget handled inbox rows after `days` days, now and every hour."""

    def forget() -> None:
        with transaction(engine) as session:
            inbox.forget_old(session, days)
            forget_old(session)

    while True:
        try:
            await asyncio.to_thread(forget)
        except SQLAlchemyError as error:
            log.warning("old inbox rows were not deleted: %s", type(error).__name__)
        await asyncio.sleep(CLEAN_EVERY_S)
