"""Where the stories are played: a local Slack, the real bot, and a model that says its lines."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy import Engine
from sqlmodel import Session, select

from bot.store.database import open_engine, reading, transaction
from bot.store.schema import Example, ExampleStatus
from deploy.local import LocalSet, Ports
from deploy.personas import BOT, CHANNEL, REAL_NAMES
from deploy.stand_in import StandIn
from serving.client import ChatMessage

ROOT = Path(__file__).resolve().parents[2]
ADMIN_CHANNEL = "C0ADMIN"
WITHIN_S = 60.0  # only a test that fails, or a machine that is very busy, waits this long
SETTINGS = {
    "MYNAH_REVIEW_CHANNEL": ADMIN_CHANNEL, "MYNAH_ONCALL": "S0STAFF", "MYNAH_MAX_TOKENS": "256",
    "MYNAH_EMBEDDER": "none",
}  # fmt: skip
SLOW_S = 0.4  # a word: the bot shows what takes longer than 2 s while it is written
Message = dict[str, Any]
Found = TypeVar("Found")


@dataclass
class House:
    """The processes, and what people do and see without a browser."""

    local: LocalSet
    engine: Engine
    model: StandIn
    lines: dict[str, str] = field(default_factory=dict)  # what the model answers, by question

    @property
    def url(self) -> str:
        """Where the sandbox is."""
        return self.local.sandbox_url

    def client(self, who: str) -> AsyncWebClient:
        """Somebody's Slack client."""
        return AsyncWebClient(token=f"xoxp-{who}", base_url=f"{self.url}/api/", timeout=30)

    async def move_in(self) -> None:
        """Let the sandbox be one that has a past, and keeps what is said."""
        self.local.lived_in = True
        await asyncio.to_thread(self.local.stop, "sandbox")
        await self.local.start_sandbox()

    async def say(self, who: str, text: str, thread_ts: str | None = None) -> str:
        """Post in the help channel; returns the ts."""
        said = await self.client(who).chat_postMessage(
            channel=CHANNEL, text=text, thread_ts=thread_ts
        )
        return str(said["ts"])

    async def ask(self, who: str, question: str, answer: str = "", logprob: float = -0.1) -> str:
        """Ask Mynah; `answer` is what the model would say by itself. Waits for the answer.

        Returns:
            the ts of the question.
        """
        self.lines[question], self.model.logprob = answer, logprob
        ts = await self.say(who, f"<@{BOT}> {question}")
        await self.shown(ts)
        return ts

    def write_slowly(self, until: str) -> asyncio.Event:
        """Let the model take its time, and stop before it says a word until the event is set."""
        held = asyncio.Event()

        async def pace(said: str) -> None:
            await asyncio.sleep(SLOW_S)
            if until in said:
                await held.wait()

        self.model.pace = pace
        return held

    async def teach(self, question: str, right: str) -> None:
        """Somebody asks, and staff say what is right."""
        known = self.known()
        ts = await self.ask("asker2", question, "Please ask your manager.")
        reply = await self.say("staff", right, ts)
        await self.client("staff").reactions_add(channel=CHANNEL, timestamp=reply, name="memo")
        await self.until(f"example {known + 1}", lambda: self.known() > known)

    async def control(self, what: str, who: str, **body: Any) -> dict[str, Any]:
        """Do as somebody what only a client can do."""
        return await self.order(what, token=f"xoxp-{who}", **body)

    async def order(self, what: str, **body: Any) -> dict[str, Any]:
        """Do what nobody in Slack can do: seed, or order bad luck."""
        async with httpx.AsyncClient(timeout=30) as http:
            answer = await http.post(f"{self.url}/_control/{what}", json=body)
        assert answer.is_success, f"{what}: {answer.text}"
        return dict(answer.json())

    async def press(self, who: str, message: Message, action_id: str) -> None:
        """Press a button of a message."""
        await self.control(
            "action", who, channel=message["channel"], ts=message["ts"], action_id=action_id
        )

    async def shown(self, thread_ts: str, fits: Callable[[Message], bool] = bool) -> Message:
        """Wait for a message of the bot in a thread of the help channel."""
        return await self.posted(
            lambda one: one.get("thread_ts") == thread_ts and fits(one), CHANNEL
        )

    async def posted(self, fits: Callable[[Message], bool], channel: str) -> Message:
        """Wait for a message of the bot in a channel."""
        found: list[Message] = []

        async def there() -> bool:
            messages = (await self.state("messages")).get(channel, [])
            whole = [one for one in messages if one["user"] == BOT and not one.get("streaming")]
            found.extend({**one, "channel": channel} for one in whole if fits(one))
            return bool(found)

        await self.until(f"a message in {channel}", there)
        return found[0]

    async def until(self, what: str, true: Callable[[], bool | Awaitable[bool]]) -> None:
        """Wait until something is so."""
        end = time.monotonic() + WITHIN_S
        while True:
            found = true()
            if found if isinstance(found, bool) else await found:
                return
            assert time.monotonic() < end, f"not there: {what}, within {WITHIN_S:.0f} s"
            await asyncio.sleep(0.05)

    def write(self, change: Callable[[Session], None]) -> None:
        """Change the store, as the worker would."""
        with transaction(self.engine) as session:
            change(session)

    def read(self, look: Callable[[Session], Found]) -> Found:
        """Look into the store."""
        with reading(self.engine) as session:
            return look(session)

    def known(self) -> int:
        """How many examples are in memory."""
        live = select(Example).where(Example.status == ExampleStatus.LIVE)
        return self.read(lambda session: len(session.exec(live).all()))

    async def state(self, part: str) -> dict[str, Any]:
        """A part of what the sandbox tells."""
        async with httpx.AsyncClient(timeout=30) as http:
            answer = await http.get(f"{self.url}/_control/state", params={"parts": part})
        return dict(answer.json()[part])

    async def name_people(self) -> None:
        """Give the personas the names of people."""
        users = [
            {"id": f"U0{name.upper()}", "name": name, "real_name": real,
             "is_admin": name == "admin", "is_restricted": name == "guest"}
            for name, real in REAL_NAMES.items()
        ]  # fmt: skip
        await self.order("seed", users=users)


@asynccontextmanager
async def opened(home: Path) -> AsyncIterator[House]:
    """Everything up, and nothing said yet."""
    lines: dict[str, str] = {}
    with LocalSet(home, home, Ports.free(), say=lambda _text: None) as local:
        local.env["PYTHONPATH"] = str(ROOT)  # this tree's processes, wherever Mynah is installed
        key = local.env["MYNAH_VLLM_API_KEY"]
        model = StandIn(lambda messages: _line(lines, messages), api_key=key)
        async with model.served(local.ports.server):
            await local.start_sandbox()
            engine = open_engine(local.database_url)
            house = House(local, engine, model, lines)
            try:
                await house.name_people()
                await local.start_bot(**SETTINGS)
                yield house
            finally:
                for name in list(local.children):
                    local.kill(name)  # what they would say at their end is for nobody
                engine.dispose()


def _line(lines: dict[str, str], messages: Sequence[ChatMessage]) -> str:
    asked = messages[-1]["content"]
    return next((line for question, line in lines.items() if line and question in asked), "…")
