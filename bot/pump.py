"""Working off a queue: claim rows while there are any, several at once, under renewed leases."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from bot.store.queue import LostClaim

log = logging.getLogger(__name__)
DATABASE_DOWN_S = 1.0
Row = TypeVar("Row")


class Pump(Generic[Row]):
    """Claims rows and works on up to `at_once` of them; looks again when woken, or after `poll_s`.

    `claim` is a blocking store call that returns a row or None. `work` must leave no error behind:
    whatever it raises ends the pump.
    """

    def __init__(
        self,
        claim: Callable[[], Row | None],
        work: Callable[[Row], Awaitable[None]],
        wake: asyncio.Event,
        *,
        at_once: int,
        poll_s: float = 0.5,
    ) -> None:
        self._claim = claim
        self._work = work
        self._wake = wake
        self._room = asyncio.Semaphore(at_once)
        self._poll_s = poll_s
        self._stopping = False

    def stop(self) -> None:
        """Claim nothing more; `run` ends when what is under way is done."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Work until stopped. Cancelled, it cancels what is under way."""
        async with asyncio.TaskGroup() as tasks:
            while not self._stopping:
                # Cleared before looking: what arrives while we look wakes us again.
                self._wake.clear()
                while not self._stopping and (row := await self._next()) is not None:
                    tasks.create_task(self._one(row))
                await self._rest()

    async def _next(self) -> Row | None:
        await self._room.acquire()
        row = None
        try:
            row = await asyncio.to_thread(self._claim)
        except SQLAlchemyError as error:
            log.error("cannot reach the store: %s", getattr(error, "orig", error))
            await asyncio.sleep(DATABASE_DOWN_S)
        finally:
            if row is None:
                self._room.release()
        return row

    async def _one(self, row: Row) -> None:
        try:
            await self._work(row)
        finally:
            self._room.release()
            self._wake.set()  # the next row of its lane may be free now

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(self._poll_s):
                await self._wake.wait()
        except TimeoutError:
            pass


async def hold(work: Awaitable[None], renew: Callable[[], None], every_s: float) -> None:
    """Await `work`, calling the blocking `renew` every `every_s` seconds meanwhile.

    Raises:
        LostClaim: the lease ran out; `work` was cancelled.
    """
    task = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait({task}, timeout=every_s))[0]:
            try:
                await asyncio.to_thread(renew)
            except SQLAlchemyError as error:
                # The lease still runs for a while: try again at the next turn.
                log.warning("cannot renew a lease: %s", getattr(error, "orig", error))
        await task
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})


__all__ = ["LostClaim", "Pump", "hold"]
