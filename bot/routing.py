"""Which vLLM answers: the replicas that have a model ready, as the worker last saw them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import TypeVar

from sqlalchemy import Engine

from bot.store import fleet
from bot.store.database import reading, transaction
from serving.client import ChatMessage, Completion, ModelMissing, Unavailable, VllmClient
from serving.replicas import ReplicaState, choose

T = TypeVar("T")

SCORED_AT_ONCE = 2  # of all workspaces: what is asked so may not hold up what is being said
Grew = Callable[[Completion], Awaitable[None]]  # the answer so far


class NoServer(Exception):
    """No vLLM server answers."""


class NoModel(Exception):
    """Servers answer, but none of them has this adapter."""


class Enough(Exception):
    """Nobody reads on: what was generated so far is the answer."""


class Router:
    """Sends a chat to the first replica that can answer it.

    Replica rows are read at most once a `fresh_s` and only say whom to ask first: a row may be old
    (the worker is away), so every server is asked before giving up.
    """

    def __init__(
        self, engine: Engine, clients: Sequence[VllmClient], *, fresh_s: float = 1.0
    ) -> None:
        self._engine = engine
        self._clients: Mapping[str, VllmClient] = {client.url: client for client in clients}
        self._fresh_s = fresh_s
        self._states: list[ReplicaState] = []
        self._read_at = self._told_at = float("-inf")
        self._scoring = asyncio.Semaphore(SCORED_AT_ONCE)

    async def complete(
        self,
        messages: Sequence[ChatMessage],
        *,
        model: str,
        max_tokens: int,
        grew: Grew | None = None,
    ) -> Completion:
        """Generate an answer.

        Args:
            grew: is told what the answer says so far; after a broken server it begins anew. It may
                raise Enough, which ends the answer there and stops the engine.

        Raises:
            NoServer, NoModel: nobody can answer now.
            serving.client.Refused: the request itself is wrong, e.g. too long.
        """
        return await self._first(
            model, lambda client: _gather(client, messages, model, max_tokens, grew)
        )

    async def scores(
        self, messages: Sequence[ChatMessage], completions: Sequence[str], *, model: str
    ) -> list[list[float]]:
        """How likely the model finds each completion: see `serving.client.VllmClient.scores`.

        Raises:
            NoServer, NoModel: nobody can tell now.
            serving.client.Refused: it cannot be told.
        """
        async with self._scoring:
            return await self._first(
                model, lambda client: client.scores(messages, completions, model=model)
            )

    async def _first(self, model: str, ask: Callable[[VllmClient], Awaitable[T]]) -> T:
        missing = False
        for url in await self._in_order(model):
            try:
                return await ask(self._clients[url])
            except ModelMissing:
                missing = True
                await self._look_again()
            except Unavailable:
                await self._look_again()
        raise NoModel(NoModel.__doc__) if missing else NoServer(NoServer.__doc__)

    async def _look_again(self) -> None:
        """Have the worker look at the servers now rather than at its next turn."""
        if time.monotonic() - self._told_at > self._fresh_s:
            self._told_at = time.monotonic()
            await asyncio.to_thread(self._write_wish)

    def _write_wish(self) -> None:
        with transaction(self._engine) as session:
            fleet.look_again(session)

    async def _in_order(self, model: str) -> list[str]:
        if time.monotonic() - self._read_at > self._fresh_s:
            self._states = await asyncio.to_thread(self._read)
            self._read_at = time.monotonic()
        first = [url for url in choose(self._states, model) if url in self._clients]
        return first + [url for url in self._clients if url not in first]

    def _read(self) -> list[ReplicaState]:
        with reading(self._engine) as session:
            return fleet.states(session)


async def _gather(
    client: VllmClient,
    messages: Sequence[ChatMessage],
    model: str,
    max_tokens: int,
    grew: Grew | None,
) -> Completion:
    text, reason = "", "stop"
    logprobs: list[float] = []
    # Streamed: the read time-out is about silence, and a cancelled question stops the engine.
    async with aclosing(client.stream(messages, model=model, max_tokens=max_tokens)) as stream:
        async for delta in stream:
            text += delta.text
            logprobs += delta.logprobs
            reason = delta.finish_reason or reason
            if grew is not None:
                try:
                    await grew(Completion(text, tuple(logprobs), ""))
                except Enough:
                    reason = "length"
                    break
    return Completion(text, tuple(logprobs), reason)
