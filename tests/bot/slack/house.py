"""A whole house for tests: a local Slack, a stand-in for vLLM, a store, and the real bot."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy import Engine
from sqlmodel import Session, SQLModel, select

from bot.run import run
from bot.settings import BotSettings
from bot.slack.metadata import outbox_id
from bot.store.database import reading, transaction
from bot.store.schema import InboxEvent, OutboxMessage, Status
from tests.fake_vllm import API_KEY, FakeVllm
from tests.sandbox_server import Sandbox

BOT = "U0MYNAH"
HELP = "C0HELP"
WITHIN_S = 90.0  # only a test that fails, or a machine that is very busy, waits this long
Row = TypeVar("Row", bound=SQLModel)
Message = dict[str, Any]
MAIN = """
import asyncio
from bot.run import run
from bot.settings import BotSettings
from serving import logs
from serving.settings import read
settings = read(BotSettings)
logs.set_up(settings.log, settings)
asyncio.run(run(settings))
"""


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


class House:
    """The parts, what people do in it, and what a test looks up."""

    def __init__(self, sandbox: Sandbox, vllm: FakeVllm, engine: Engine, directory: Path) -> None:
        self.sandbox = sandbox
        self.vllm = vllm
        self.engine = engine
        self.directory = directory
        self.port = free_port()
        self.extra: dict[str, str] = {}

    @property
    def environment(self) -> dict[str, str]:
        """The settings of a bot in this house."""
        return {
            "SLACK_BOT_TOKEN": "xoxb-mynah",
            "SLACK_APP_TOKEN": "xapp-mynah",
            "SLACK_API_URL": self.sandbox.api_url,
            "DATABASE_URL": self.engine.url.render_as_string(hide_password=False),
            "MYNAH_DATA_DIR": str(self.directory),
            "MYNAH_PORT": str(self.port),
            "MYNAH_VLLM_URLS": self.vllm.url,
            "MYNAH_VLLM_API_KEY": API_KEY,
            "MYNAH_STAFF": "S0STAFF",
            "MYNAH_ADMINS": "U0ADMIN",
            "MYNAH_ADMIN_CHANNEL": "C0ADMIN",
            "MYNAH_EMBEDDER": "none",
            "MYNAH_LEASE_S": "4",
            **self.extra,
        }

    # What people do.

    def client(self, name: str) -> AsyncWebClient:
        """The Slack client of a persona: "asker", "staff", …"""
        return self.sandbox.client(f"xoxp-{name}")

    async def say(
        self, who: str, text: str, *, channel: str = HELP, thread_ts: str | None = None
    ) -> str:
        """Post a message; returns its ts."""
        reply = await self.client(who).chat_postMessage(
            channel=channel, text=text, thread_ts=thread_ts
        )
        return str(reply["ts"])

    async def ask(self, text: str, who: str = "asker", **where: Any) -> str:
        """Mention the bot; returns the question's ts."""
        return await self.say(who, f"<@{BOT}> {text}", **where)

    async def react(self, who: str, name: str, ts: str, channel: str = HELP) -> None:
        """Put a reaction on a message."""
        await self.client(who).reactions_add(channel=channel, timestamp=ts, name=name)

    async def unreact(self, who: str, name: str, ts: str, channel: str = HELP) -> None:
        """Take a reaction away."""
        await self.client(who).reactions_remove(channel=channel, timestamp=ts, name=name)

    # What a test looks up.

    async def answers(self, thread_ts: str, channel: str = HELP) -> list[Message]:
        """The bot's messages in a thread, oldest first."""
        token = self.sandbox.client("xoxb-mynah")
        found = await token.conversations_replies(
            channel=channel, ts=thread_ts, include_all_metadata=True
        )
        return [one for one in found["messages"] if one.get("user") == BOT]

    async def answer(
        self, thread_ts: str, channel: str = HELP, *, count: int = 1, within_s: float = WITHIN_S
    ) -> Message:
        """Wait for the `count`-th answer in a thread."""
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            if len(found := await self.answers(thread_ts, channel)) >= count:
                return found[count - 1]
            await asyncio.sleep(0.03)
        raise AssertionError(f"no answer {count} in {channel}:{thread_ts}; {self.open_rows()}")

    async def asked(self, text: str, *, within_s: float = WITHIN_S, **where: Any) -> Message:
        """Ask in a new thread and wait for the answer."""
        ts = await self.ask(text, **where)
        return await self.answer(ts, where.get("channel", HELP), within_s=within_s)

    async def quiet(self, within_s: float = WITHIN_S) -> None:
        """Wait until Slack has delivered everything and every queue is empty."""
        until = time.monotonic() + within_s
        calm = 0
        while time.monotonic() < until:
            counts = (await self.sandbox.state(parts="counts"))["counts"]
            busy = counts["waiting"] or self.open_rows()
            calm = 0 if busy else calm + 1
            if calm >= 3:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"still busy: {counts}, {self.open_rows()}")

    def rows(self, table: type[Row]) -> list[Row]:
        """Every row of a table."""
        with reading(self.engine) as session:
            return list(session.exec(select(table)))

    def open_rows(self) -> list[tuple[str, str, str | None]]:
        """What the queues still hold."""
        rows = self._queued()
        left = (Status.WAITING, Status.CLAIMED)
        return [(row.lane, row.status, row.error) for row in rows if row.status in left]

    def failed(self) -> list[str | None]:
        """Why rows were given up."""
        return [row.error for row in self._queued() if row.status == Status.FAILED]

    def _queued(self) -> list[InboxEvent | OutboxMessage]:
        return [*self.rows(InboxEvent), *self.rows(OutboxMessage)]

    def write(self, change: Callable[[Session], object]) -> None:
        """Change the store, as the worker would."""
        with transaction(self.engine) as session:
            change(session)

    async def responses(self, channel: str = HELP) -> list[str]:
        """What only the typist of a command saw, oldest first."""
        return [
            one["text"] for one in await self.sandbox.messages(channel) if one.get("ephemeral_to")
        ]

    # The bot.

    def settings(self, **extra: str) -> BotSettings:
        """The bot's settings here, as it would read them."""
        return BotSettings(_env_file=None, **(self.environment | extra))  # type: ignore[arg-type]

    @asynccontextmanager
    async def bot(self, **extra: str) -> AsyncIterator[None]:
        """The real bot, in this process."""
        task = asyncio.create_task(run(self.settings(**extra)))
        try:
            await self._ready(lambda: task.result() if task.done() else None, self.port)
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def process(self, **extra: str) -> asyncio.subprocess.Process:
        """The real bot, as a process of its own; its output is in `bot.log`."""
        log = (self.directory / "bot.log").open("ab")
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", MAIN, stdout=log, stderr=log,
            env={**os.environ, **self.environment, **extra},
        )  # fmt: skip
        log.close()
        port = int(extra.get("MYNAH_PORT", self.port))
        await self._ready(lambda: _check_alive(child), port)
        return child

    async def _ready(self, check: Callable[[], None], port: int) -> None:
        until = time.monotonic() + WITHIN_S
        async with httpx.AsyncClient(trust_env=False) as http:
            while time.monotonic() < until:
                check()
                try:
                    if (await http.get(f"http://127.0.0.1:{port}/readyz")).is_success:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.05)
        raise AssertionError("the bot did not get ready")


def _check_alive(child: asyncio.subprocess.Process) -> None:
    assert child.returncode is None, "the bot ended"


async def until(true: Callable[[], bool], within_s: float = WITHIN_S, step_s: float = 0.02) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(step_s)


async def kill(child: asyncio.subprocess.Process, how: signal.Signals = signal.SIGKILL) -> None:
    """End a bot process and wait for it."""
    child.send_signal(how)
    await child.wait()


def receipts(messages: Sequence[Message]) -> list[int | None]:
    """The outbox ids that messages carry."""
    return [outbox_id(message) for message in messages]
