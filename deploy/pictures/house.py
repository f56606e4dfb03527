"""Where the scenes are played: a local Slack, the real bot, and a model that says its lines."""

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
from sqlmodel import Session

from bot.store.database import open_engine, reading, transaction
from deploy.local import LocalSet, Ports, SetFailed
from deploy.personas import BOT, CHANNEL, REAL_NAMES
from deploy.stand_in import StandIn
from serving.client import ChatMessage

ADMIN_CHANNEL = "C0ADMIN"
WITHIN_S = 60.0
SETTINGS = {
    "MYNAH_REVIEW_CHANNEL": ADMIN_CHANNEL, "MYNAH_ONCALL": "S0STAFF", "MYNAH_MAX_TOKENS": "256",
}  # fmt: skip
Message = dict[str, Any]
Found = TypeVar("Found")


class NotShown(SetFailed):
    """A scene came to nothing; the message says what was awaited."""


@dataclass
class House:
    """The parts, and what people do with them."""

    url: str
    server_url: str
    engine: Engine
    model: StandIn
    lines: dict[str, str] = field(default_factory=dict)  # what the model answers, by question

    def client(self, who: str) -> AsyncWebClient:
        """Somebody's Slack client."""
        return AsyncWebClient(token=f"xoxp-{who}", base_url=f"{self.url}/api/", timeout=30)

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
        await self.shown("answer", ts)
        return ts

    async def react(self, who: str, name: str, ts: str) -> None:
        """Put a reaction on a message of the help channel."""
        await self.client(who).reactions_add(channel=CHANNEL, timestamp=ts, name=name)

    async def control(self, what: str, who: str, **body: Any) -> dict[str, Any]:
        """Do as somebody what only a client can do."""
        body["token"] = f"xoxp-{who}"
        return await self._post(what, body)

    async def press(self, who: str, message: Message, action_id: str) -> None:
        """Press a button of a message."""
        await self.control(
            "action", who, channel=message["channel"], ts=message["ts"], action_id=action_id
        )

    async def shown(
        self, what: str, thread_ts: str, fits: Callable[[Message], bool] = bool
    ) -> Message:
        """Wait for a message of the bot in a thread of the help channel.

        Raises:
            NotShown: it did not come in time.
        """
        return await self.posted(
            what, lambda one: one.get("thread_ts") == thread_ts and fits(one), CHANNEL
        )

    async def posted(self, what: str, fits: Callable[[Message], bool], channel: str) -> Message:
        """Wait for a message of the bot in a channel.

        Raises:
            NotShown: it did not come in time.
        """

        async def found() -> Message | None:
            messages = (await self._state("messages")).get(channel, [])
            whole = [one for one in messages if one["user"] == BOT and not one.get("streaming")]
            return next(({**one, "channel": channel} for one in whole if fits(one)), None)

        return await self.until(what, found)

    async def until(self, what: str, find: Callable[[], Awaitable[Found | None]]) -> Found:
        """Wait until something is there.

        Raises:
            NotShown: it did not come in time.
        """
        end = time.monotonic() + WITHIN_S
        while (found := await find()) is None:
            if time.monotonic() > end:
                raise NotShown(f"not there: {what}, within {WITHIN_S:.0f} s")
            await asyncio.sleep(0.1)
        return found

    def write(self, change: Callable[[Session], None]) -> None:
        """Change the store, as the worker would."""
        with transaction(self.engine) as session:
            change(session)

    def read(self, look: Callable[[Session], Found]) -> Found:
        """Look into the store."""
        with reading(self.engine) as session:
            return look(session)

    async def window(self, who: str, kind: str = "modals") -> dict[str, Any]:
        """Wait for what stands in front of somebody: of "modals", or of "homes"."""

        async def found() -> dict[str, Any] | None:
            view: dict[str, Any] | None = (await self._state("views"))[kind].get(f"U0{who.upper()}")
            return view

        return await self.until(f"{who}'s {kind}", found)

    async def _state(self, part: str) -> dict[str, Any]:
        async with httpx.AsyncClient(timeout=30) as http:
            answer = await http.get(f"{self.url}/_control/state", params={"parts": part})
        return dict(answer.json()[part])

    async def _post(self, what: str, body: dict[str, Any]) -> dict[str, Any]:
        async with httpx.AsyncClient(timeout=30) as http:
            answer = await http.post(f"{self.url}/_control/{what}", json=body)
        if answer.is_error:
            raise NotShown(f"{what}: {answer.json().get('detail') or answer.text}")
        return dict(answer.json())

    async def name_people(self) -> None:
        """Give the personas the names of people."""
        users = [
            {
                "id": f"U0{name.upper()}",
                "name": name,
                "real_name": real,
                "is_admin": name == "admin",
                "is_restricted": name == "guest",
            }
            for name, real in REAL_NAMES.items()
        ]
        await self._post("seed", {"users": users})


@asynccontextmanager
async def house(home: Path) -> AsyncIterator[House]:
    """Everything up, and nothing said yet."""
    with LocalSet(home, home, Ports.free()) as local:
        lines: dict[str, str] = {}
        key = local.env["MYNAH_VLLM_API_KEY"]
        model = StandIn(lambda messages: _line(lines, messages), api_key=key)
        async with model.served(local.ports.server):
            await local.start_sandbox()
            engine = open_engine(local.database_url)
            opened = House(local.sandbox_url, local.server_url, engine, model, lines)
            try:
                await opened.name_people()
                await local.start_bot(**SETTINGS)
                yield opened
            finally:
                engine.dispose()


def _line(lines: dict[str, str], messages: Sequence[ChatMessage]) -> str:
    asked = messages[-1]["content"]
    return next((line for question, line in lines.items() if line and question in asked), "…")
