"""Load on the local Slack: people who ask, and what came of it by Slack's own clock."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from random import Random
from types import TracebackType
from typing import Any, Self

import httpx

from deploy.bench.figures import Load
from deploy.local import SetFailed
from deploy.personas import BOT, CHANNEL

EVENTS_A_QUESTION = 3  # message, app_mention, and the bot's own answer
LOOK_S = 0.1
WITHIN_S = 120.0


class NotAnswered(SetFailed):
    """A question of the bench was not answered in time."""


class Crowd:
    """People who ask in one channel, each in a thread of their own. A context manager."""

    def __init__(self, url: str) -> None:
        # Given up before the server does: it closes a connection that idles for 5 s.
        kept = httpx.Limits(keepalive_expiry=2)
        self._http = httpx.AsyncClient(base_url=url, timeout=60, trust_env=False, limits=kept)
        self._numbers = itertools.count(1)
        self._answers: dict[str, float] = {}  # a question's ts → when its answer stood there
        self._since = ""
        self._news = asyncio.Condition()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def at_once(self, questions: int) -> Load:
        """All of them at the same moment."""
        return await self._measured(lambda: _all(self._ask() for _ in range(questions)))

    async def steadily(self, events_per_s: float, seconds: float, dice: Random) -> Load:
        """At random moments, so many events a second on average, whatever becomes of them."""

        async def ask() -> list[str]:
            async with asyncio.TaskGroup() as asking:
                tasks = []
                until = time.monotonic() + seconds
                while time.monotonic() < until:
                    tasks.append(asking.create_task(self._ask()))
                    await asyncio.sleep(dice.expovariate(events_per_s / EVENTS_A_QUESTION))
            return [task.result() for task in tasks]

        return await self._measured(ask)

    async def insistently(self, people: int, seconds: float) -> Load:
        """So many people who ask anew as soon as they are answered."""
        until = time.monotonic() + seconds

        async def person() -> list[str]:
            asked = []
            while time.monotonic() < until:
                asked.append(await self._ask())
                await self._answered(asked[-1:])
            return asked

        async def ask() -> list[str]:
            return list(itertools.chain(*await _all(person() for _ in range(people))))

        return await self._measured(ask)

    async def _measured(self, ask: Callable[[], Any]) -> Load:
        before = (await self._state(parts="counts"))["now"]
        watching = asyncio.create_task(self._watch())
        try:
            asked: list[str] = await ask()
            await self._answered(asked)
            await self._delivered()
        finally:
            watching.cancel()
        deliveries = (await self._state(parts="deliveries", since=before))["deliveries"]
        return Load(
            acked_s=[one["acked_s"] for one in deliveries],
            answered_s=[self._answers[ts] - float(ts) for ts in asked],
        )

    async def _ask(self) -> str:
        text = f"<@{BOT}> Which port does machine {next(self._numbers)} use?"
        reply = await self._http.post(
            "/api/chat.postMessage",
            json={"channel": CHANNEL, "text": text},
            headers={"Authorization": "Bearer xoxp-asker"},
        )
        return str(reply.json()["ts"])

    async def _answered(self, asked: list[str]) -> None:
        try:
            async with asyncio.timeout(WITHIN_S), self._news:
                await self._news.wait_for(lambda: all(ts in self._answers for ts in asked))
        except TimeoutError as error:
            raise NotAnswered(NotAnswered.__doc__) from error

    async def _delivered(self) -> None:
        while (await self._state(parts="counts"))["counts"]["carrying"]:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_S)

    async def _watch(self) -> None:
        while True:
            found = await self._state(parts="messages", channel=CHANNEL, since=self._since)
            self._since = found["now"]
            async with self._news:
                for message in found["messages"][CHANNEL]:
                    if message["user"] == BOT and "thread_ts" in message:
                        self._answers.setdefault(message["thread_ts"], float(message["ts"]))
                self._news.notify_all()
            await asyncio.sleep(LOOK_S)

    async def _state(self, **query: str) -> dict[str, Any]:
        reply = await self._http.get("/_control/state", params=query)
        reply.raise_for_status()
        return dict(reply.json())


async def _all(asking: Any) -> list[Any]:
    return list(await asyncio.gather(*asking))
