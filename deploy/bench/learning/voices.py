"""Models in torch behind the calls that the bot makes of its router."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from deploy.bench.learning.speaker import Speaker
from deploy.bench.learning.speaking import Said
from serving.client import ChatMessage, Completion

PAUSE_S = 0.3  # without another request: the batch is whole


@dataclass
class _Asked:
    model: str
    max_tokens: int
    messages: list[ChatMessage]
    answer: asyncio.Future[Said]


class Voices:
    """What is asked at about the same time is answered in one batch: see `bot.routing.Router`."""

    def __init__(self, speakers: Mapping[str, Speaker]) -> None:
        self._speakers = speakers
        self._waiting: list[_Asked] = []
        self._talking = asyncio.Lock()

    async def complete(
        self,
        messages: Sequence[ChatMessage],
        *,
        model: str,
        max_tokens: int,
        grew: Callable[[Completion], Awaitable[None]] | None = None,
    ) -> Completion:
        """See `Router.complete`; nothing is shown while it grows."""
        future: asyncio.Future[Said] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Asked(model, max_tokens, [*messages], future))
        async with self._talking:
            if not future.done():
                await self._quiet()
                await self._answer()
        said = await future
        return Completion(said.text, (), "stop" if said.ended else "length")

    async def scores(
        self, messages: Sequence[ChatMessage], completions: Sequence[str], *, model: str
    ) -> list[list[float]]:
        """See `Router.scores`."""
        async with self._talking:
            return await asyncio.to_thread(
                self._speakers[model].scores, [*messages], [*completions]
            )

    async def _quiet(self) -> None:
        count = 0
        while len(self._waiting) != count:
            count = len(self._waiting)
            await asyncio.sleep(PAUSE_S)

    async def _answer(self) -> None:
        waiting, self._waiting = self._waiting, []
        groups: dict[tuple[str, int], list[_Asked]] = {}
        for one in waiting:
            groups.setdefault((one.model, one.max_tokens), []).append(one)
        for (model, most), asked in groups.items():
            chats = [one.messages for one in asked]
            said: list[Said] = await asyncio.to_thread(self._speakers[model].answers, chats, most)
            for one, answer in zip(asked, said, strict=True):
                one.answer.set_result(answer)
