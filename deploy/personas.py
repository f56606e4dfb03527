"""What people do in Slack, through its ordinary Web API: ask, read the answer, approve, correct."""

from __future__ import annotations

import asyncio
import html
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from slack_sdk.web.async_client import AsyncWebClient

BOT = "U0MYNAH"
CHANNEL = "C0HELP"
ANSWER_WITHIN_S = 180.0
REAL_NAMES = {
    "asker": "Jo Lindgren", "asker2": "Mia Tanaka", "staff": "Priya Nair", "staff2": "Tom Weber",
    "admin": "Sam Okafor", "guest": "Lee Novak",
}  # fmt: skip


@dataclass(frozen=True)
class Posted:
    """One answer of the bot, as Slack shows it."""

    question_ts: str
    ts: str
    text: str
    release: str  # e.g. "v1"
    mode: str  # quoted, open_book or closed_book


class Workspace:
    """The sandbox's workspace, seen by its people."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.clients = {
            name: AsyncWebClient(token=f"xoxp-{name}", base_url=f"{url}/api/", timeout=30)
            for name in ("asker", "asker2", "staff", "admin")
        }
        self.asked: list[str] = []

    async def ask(self, text: str, who: str = "asker") -> str:
        """Mention the bot in the help channel; returns the question's ts."""
        ts = await self.post(who, f"<@{BOT}> {text}")
        self.asked.append(ts)
        return ts

    async def post(self, who: str, text: str, thread_ts: str | None = None) -> str:
        """Post a message; returns its ts."""
        answer = await self.clients[who].chat_postMessage(
            channel=CHANNEL, text=text, thread_ts=thread_ts
        )
        return str(answer["ts"])

    async def answer(self, question_ts: str, within_s: float = ANSWER_WITHIN_S) -> Posted | None:
        """Wait for the bot's answer in the question's thread; None when none came in time."""
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            replies = await self.clients["asker"].conversations_replies(
                channel=CHANNEL, ts=question_ts, include_all_metadata=True
            )
            for message in replies["messages"]:
                if message.get("user") == BOT and "release" in _receipt(message):
                    return _posted(question_ts, message)
            await asyncio.sleep(0.1)
        return None

    async def ask_and_wait(self, text: str, who: str = "asker") -> Posted | None:
        """Ask in a new thread and wait for the answer."""
        return await self.answer(await self.ask(text, who))

    async def ask_all(self, texts: Sequence[str], at_once: int = 4) -> list[Posted | None]:
        """Ask each in a thread of its own, a few at once; answers in the order of `texts`."""
        turn = asyncio.Semaphore(at_once)

        async def one(text: str) -> Posted | None:
            async with turn:
                return await self.ask_and_wait(text)

        return list(await asyncio.gather(*(one(text) for text in texts)))

    async def approve(self, answer: Posted, who: str = "staff") -> None:
        """Put ✅ on the bot's answer."""
        await self.clients[who].reactions_add(
            channel=CHANNEL, timestamp=answer.ts, name="white_check_mark"
        )

    async def correct(self, answer: Posted, right: str, who: str = "staff") -> None:
        """Reply with the right answer in the thread and put 📝 on that reply."""
        ts = await self.post(who, right, thread_ts=answer.question_ts)
        await self.clients[who].reactions_add(channel=CHANNEL, timestamp=ts, name="memo")

    async def command(self, text: str, who: str = "admin") -> None:
        """Type `/mynah TEXT` in the help channel."""
        await self._control(
            "command",
            {"token": f"xoxp-{who}", "channel": CHANNEL, "command": "/mynah", "text": text},
        )

    async def state(self) -> dict[str, Any]:
        """All that the sandbox knows: messages by channel, and what it delivered."""
        async with httpx.AsyncClient(timeout=60) as http:
            answer = await http.get(f"{self.url}/_control/state")
        answer.raise_for_status()
        return dict(answer.json())

    async def _control(self, action: str, body: dict[str, Any]) -> None:
        async with httpx.AsyncClient(timeout=30) as http:
            (await http.post(f"{self.url}/_control/{action}", json=body)).raise_for_status()


def _receipt(message: dict[str, Any]) -> dict[str, Any]:
    """Empty for what is no answer: a notice has none."""
    return dict(message.get("metadata", {}).get("event_payload", {}))


def _posted(question_ts: str, message: dict[str, Any]) -> Posted:
    receipt = _receipt(message)
    return Posted(
        question_ts=question_ts,
        ts=message["ts"],
        text=html.unescape(message["text"]),
        release=receipt["release"],
        mode=receipt["mode"],
    )
