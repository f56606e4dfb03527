"""How readily each release says an answer: asked of a server, and halved like `git bisect`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from serving.client import ChatMessage, ModelMissing, Refused, ServingError, VllmClient

T = TypeVar("T")


class NotAsked(Exception):
    """No server can be asked; the message says why."""


@dataclass(frozen=True)
class Voice:
    """A release as a server knows it."""

    number: int
    model: str
    path: Path | None  # None: the base model, which every server has
    sha256: str = ""  # of the adapter, as the store has it


@dataclass
class Asking:
    """Asks one server for the mean log-probability of an answer's tokens, by release.

    Args:
        may_load: whether an adapter that the server does not have may be loaded for it.
    """

    client: VllmClient
    messages: Sequence[ChatMessage]
    answer: str
    may_load: bool
    scores: dict[int, float] = field(default_factory=dict)  # of what was asked, by release number
    loaded: list[str] = field(default_factory=list)

    async def score(self, voice: Voice) -> float | None:
        """How readily the release says it; None where it cannot be asked."""
        if voice.number not in self.scores:
            tokens = await self._tokens(voice)
            if not tokens:
                return None
            self.scores[voice.number] = sum(tokens) / len(tokens)
        return self.scores[voice.number]

    async def _tokens(self, voice: Voice) -> list[float]:
        try:
            return await self._said(voice)
        except ModelMissing:
            if voice.path is None or not self.may_load:
                return []
        try:
            await self.client.load_adapter(voice.model, voice.path, voice.sha256)
            self.loaded.append(voice.model)
            return await self._said(voice)
        except (ModelMissing, Refused):
            return []  # its files are gone, or a worker has unloaded it already

    async def _said(self, voice: Voice) -> list[float]:
        return await self.client.score(self.messages, self.answer, model=voice.model)


@asynccontextmanager
async def server(urls: Sequence[str], api_key: str, control_key: str) -> AsyncIterator[VllmClient]:
    """The first server that is there. Raises NotAsked."""
    if not api_key:
        raise NotAsked("no server was asked, as MYNAH_VLLM_API_KEY is not set")
    for url in urls:
        async with VllmClient(url, api_key=api_key, control_key=control_key or None) as client:
            try:
                await client.models()
            except ServingError as error:
                why = str(error)
                continue
            yield client
            return
    raise NotAsked(f"no server could be asked ({why})")


async def first_to_say(
    line: Sequence[T], says: Callable[[T], Awaitable[bool | None]]
) -> tuple[T, T, list[T]]:
    """The first of a line that says it, the one before that does not, and those in between that
    could not be asked (None).

    Both were asked, so that they differ is sure; that nobody earlier says it is so where none
    forgets what it said, as with any bisection.

    Args:
        line: oldest first; the first of them does not say it, and the last one does.
    """
    low, high = 0, len(line) - 1
    mute: set[int] = set()
    while open_ := [at for at in range(low + 1, high) if at not in mute]:
        middle = min(open_, key=lambda at: (abs(2 * at - low - high), at))
        said = await says(line[middle])
        if said is None:
            mute.add(middle)
        elif said:
            high = middle
        else:
            low = middle
    return line[high], line[low], [line[at] for at in sorted(mute) if low < at < high]
