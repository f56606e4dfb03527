"""Which vLLM answers: of the replicas that have a model ready, as the worker last saw them, the one
with the least to do.

A server is asked a few questions at a time; the others wait here, as its own queue tells nobody how
long it is. One that fails again and again is left alone for a while (`bot.breaker`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

import httpx
from sqlalchemy import Engine

from bot.breaker import Breaker
from bot.store import fleet
from bot.store.database import reading, transaction
from bot.timing import Generated, Stopwatch
from serving import tracing
from serving.client import (
    BASE,
    ChatMessage,
    Completion,
    Delta,
    ModelMissing,
    Refused,
    ServingError,
    Unavailable,
    VllmClient,
)
from serving.probes import HELLO
from serving.replicas import ReplicaState, choose

log = logging.getLogger(__name__)
T = TypeVar("T")

SCORED_AT_ONCE = 2  # of all workspaces: what is asked so may not hold up what is being said
ANSWERED_AT_ONCE = 4  # by one server
WAITING_AT_MOST = 32  # in this process; who comes then is told to come back
SILENCE_S = 60.0  # a server that says nothing for so long is taken for hung
PACE_S = 0.5  # and one that takes longer for each token, on average, for no help
PROBE_S = 10.0
SMOOTHING = 0.2  # the weight of one answer in the mean time that answers take
Grew = Callable[[Completion], Awaitable[None]]  # the answer so far


class NoServer(Exception):
    """No vLLM server answers."""


class Failed(NoServer):
    """No vLLM server answers: who was asked broke off, refused, or took too long."""


class NoModel(Exception):
    """Servers answer, but none of them has this adapter."""


class Busy(Exception):
    """Every vLLM server has enough to do."""


class _Server:
    """One replica and what is under way on it."""

    def __init__(self, client: VllmClient, at_once: int) -> None:
        self.client = client
        self.url = client.url
        self.breaker = Breaker(at_once)
        self.under_way = 0

    @property
    def is_free(self) -> bool:
        return self.under_way < self.breaker.room


@dataclass(frozen=True, eq=False)
class _Waiter:
    model: str
    tried: AbstractSet[str]
    turn: asyncio.Future[_Server | None]


class Enough(Exception):
    """Nobody reads on: what was generated so far is the answer."""


class Router:
    """Sends a chat to a replica that can answer it, and to another one where that fails.

    Replica rows are read at most once a `fresh_s` and only say whom to ask first: a row may be old
    (the worker is away), so every server is asked before giving up.

    Args:
        at_once: so many answers one server writes at a time.
        silence_s: how long a server may say nothing. In all an answer may take so long and
            `PACE_S` for each of its tokens; then another server is asked, unless the question has
            been at it for twice as long already.
    """

    def __init__(
        self,
        engine: Engine,
        clients: Sequence[VllmClient],
        *,
        fresh_s: float = 1.0,
        at_once: int = ANSWERED_AT_ONCE,
        silence_s: float = SILENCE_S,
        generated: Callable[[Generated], None] = lambda _: None,
    ) -> None:
        self._engine = engine
        self._servers = [_Server(client, at_once) for client in clients]
        self._fresh_s = fresh_s
        self._silence_s = silence_s
        self._generated = generated
        self._states: list[ReplicaState] = []
        self._read_at = self._told_at = float("-inf")
        self._scoring = asyncio.Semaphore(SCORED_AT_ONCE)
        self._waiters: list[_Waiter] = []
        self.changed = asyncio.Event()  # set when a server has room again, or rests
        self.answer_s = 5.0  # what an answer takes, on average

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
            NoServer, NoModel, Busy: nobody can answer now.
            serving.client.Refused: the request itself is wrong, e.g. too long.
        """

        async def ask(client: VllmClient) -> Completion:
            timed = Stopwatch(model, grew)
            # Streamed: a cancelled question stops the engine, and a hung one is noticed.
            stream = client.stream(messages, model=model, max_tokens=max_tokens)
            with tracing.span("generate", adapter=model, server=client.url):
                whole = await _gather(_in_time(stream, client.url, self._silence_s), timed.grew)
            generated = timed.stop(whole)
            self._generated(generated)
            self.answer_s += SMOOTHING * (generated.whole_s - self.answer_s)
            return whole

        return await self._first(model, ask, waits=True)

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
                model,
                lambda client: client.scores(messages, completions, model=model),
                waits=False,
            )

    @property
    def is_away(self) -> bool:
        """Whether no server is to be asked."""
        return all(server.breaker.rests for server in self._servers)

    @property
    def room(self) -> int:
        """So many answers may be written at a time, by servers that have shown that they can."""
        return sum(one.breaker.room for one in self._servers if one.breaker.is_proved)

    def rooms(self) -> dict[str, int]:
        """So many questions each server may be asked at a time, by its URL; 0: left alone."""
        return {one.url: one.breaker.room for one in self._servers}

    @property
    def pace_s(self) -> float:
        """The seconds from one answer to the next, while servers answer all they can."""
        usual = sum(server.breaker.limit for server in self._servers)
        return self.answer_s / (self.room or usual)

    @property
    def next_probe_s(self) -> float:
        """When `probe` has something to do again; infinite where all is well."""
        rests = [one.breaker.rest_s for one in self._unproved()]
        return min(rests, default=float("inf"))

    async def probe(self) -> None:
        """Ask the servers whose rest is over for a token, so that no question has to find out."""
        due = [one for one in self._unproved() if not one.breaker.rests]
        await asyncio.gather(*(self._probe(one) for one in due))

    def _unproved(self) -> list[_Server]:
        """Those that failed, and that nobody is asking just now."""
        return [one for one in self._servers if not (one.breaker.is_proved or one.under_way)]

    async def _probe(self, server: _Server) -> None:
        server.under_way += 1
        try:
            async with asyncio.timeout(min(PROBE_S, self._silence_s)):
                await server.client.complete(HELLO, model=BASE, max_tokens=1)
        except (ServingError, TimeoutError, KeyError, ValueError) as error:
            server.breaker.failed()
            log.info("%s is still away: %r", server.url, error)
        else:
            server.breaker.succeeded()
            log.info("%s answers again", server.url)
        finally:
            self._left(server)

    async def _first(
        self, model: str, ask: Callable[[VllmClient], Awaitable[T]], *, waits: bool
    ) -> T:
        await self._read_again()
        tried: set[str] = set()
        missing = failed = False
        asked_s = 0.0
        while (server := await self._turn(model, tried, waits=waits)) is not None:
            tried.add(server.url)
            began = time.monotonic()
            try:
                reply = await ask(server.client)
            except ModelMissing:
                missing = True
                await self._look_again()
            except Unavailable as error:
                gone = isinstance(error.__cause__, httpx.ConnectError | httpx.ConnectTimeout)
                failed = failed or not gone
                log.warning("%s", error)
                server.breaker.failed(gone=gone)
                await self._look_again()
            except Refused:
                server.breaker.succeeded()
                raise
            else:
                server.breaker.succeeded()
                return reply
            finally:
                asked_s += time.monotonic() - began
                if waits:
                    self._left(server)
            if asked_s >= 2 * self._silence_s:
                break
        kind = NoModel if missing else Failed if failed else NoServer
        raise kind(kind.__doc__)

    async def _look_again(self) -> None:
        """Have the worker look at the servers now rather than at its next turn."""
        if time.monotonic() - self._told_at > self._fresh_s:
            self._told_at = time.monotonic()
            await asyncio.to_thread(self._write_wish)

    def _write_wish(self) -> None:
        with transaction(self._engine) as session:
            fleet.look_again(session)

    async def _turn(self, model: str, tried: AbstractSet[str], *, waits: bool) -> _Server | None:
        """A server that was not tried yet; None where there is none.

        Args:
            waits: for a place on it, which is to be given back. What takes none holds up nobody.

        Raises:
            Busy: too many wait for one.
        """
        usable = self._usable(model, tried)
        if not waits or not usable:
            return next(iter(usable), None)
        if (found := _best(usable)) is not None:
            found.under_way += 1
            return found
        if len(self._waiters) >= WAITING_AT_MOST:
            raise Busy(Busy.__doc__)
        return await self._wait(_Waiter(model, tried, asyncio.get_running_loop().create_future()))

    async def _wait(self, waiter: _Waiter) -> _Server | None:
        self._waiters.append(waiter)
        try:
            return await waiter.turn
        except asyncio.CancelledError:
            if waiter.turn.done() and not waiter.turn.cancelled():
                if (given := waiter.turn.result()) is not None:
                    self._left(given)
            elif waiter in self._waiters:
                self._waiters.remove(waiter)
            raise

    def _left(self, server: _Server) -> None:
        """A place is free, or the server rests: whoever has waited longest for that goes on."""
        server.under_way -= 1
        for waiter in [*self._waiters]:
            if waiter.turn.cancelled():  # it is about to leave
                continue
            usable = self._usable(waiter.model, waiter.tried)
            found = _best(usable)
            if found is None and usable:
                continue
            if found is not None:
                found.under_way += 1
            self._waiters.remove(waiter)
            waiter.turn.set_result(found)
        self.changed.set()

    def _usable(self, model: str, tried: AbstractSet[str]) -> list[_Server]:
        """Servers that are not left alone: those that have the model, else those that may."""
        able = [one for one in self._servers if one.url not in tried and not one.breaker.rests]
        ready = choose(self._states, model)
        return [one for one in able if one.url in ready] or able

    async def _read_again(self) -> None:
        if time.monotonic() - self._read_at > self._fresh_s:
            self._states = await asyncio.to_thread(self._read)
            self._read_at = time.monotonic()

    def _read(self) -> list[ReplicaState]:
        with reading(self._engine) as session:
            return fleet.states(session)


def _best(usable: Sequence[_Server]) -> _Server | None:
    """The one with the least to do that has room; one that is only tried again comes last."""
    free = [one for one in usable if one.is_free]
    return min(free, key=lambda one: (not one.breaker.is_proved, one.under_way), default=None)


async def _in_time(
    stream: AsyncGenerator[Delta, None], url: str, silence_s: float
) -> AsyncGenerator[Delta, None]:
    """The stream, as long as it comes quickly enough. What its reader takes is not counted."""
    waited, tokens = 0.0, 0
    async with aclosing(stream):
        while True:
            began = time.monotonic()
            left = min(silence_s, silence_s + PACE_S * tokens - waited)
            try:
                async with asyncio.timeout(max(left, 0.0)):
                    delta = await anext(stream, None)
            except TimeoutError as error:
                why = f"it has said {tokens} tokens in {waited + left:.0f} s"
                raise Unavailable(f"{url}: {why}") from error
            if delta is None:
                return
            waited += time.monotonic() - began
            tokens += max(len(delta.logprobs), 1)
            yield delta


async def _gather(stream: AsyncGenerator[Delta, None], grew: Grew | None) -> Completion:
    text, reason, prompt_tokens = "", "stop", None
    logprobs: list[float] = []
    async with aclosing(stream):
        async for delta in stream:
            text += delta.text
            logprobs += delta.logprobs
            reason = delta.finish_reason or reason
            if delta.prompt_tokens is not None:
                prompt_tokens = delta.prompt_tokens
                continue
            if grew is not None:
                try:
                    await grew(Completion(text, tuple(logprobs), ""))
                except Enough:
                    reason = "length"
                    break
    return Completion(text, tuple(logprobs), reason, prompt_tokens)
