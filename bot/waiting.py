"""Questions that wait for a model: they stand in line in the inbox, in the order of asking, and are
called as servers have room for them, never all at once.

Who stands in line is handed back with `dispatcher.InLine`, and comes again by itself after that
exception's delay, whatever became of the process that would have called it.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from bot import inbox
from bot.routing import Busy, Router
from bot.store import runs
from bot.store.database import reading, transaction
from bot.store.queue import Teams
from bot.store.schema import InboxEvent, now

log = logging.getLogger(__name__)
EVERY_S = 1.0  # how often it is looked who may be called, whatever else happens
LONG_S = 60.0  # who has to wait for longer than this is told so


@dataclass(frozen=True)
class Delay:
    """Why a question is not answered yet: how many are before it, what that may take in seconds
    where servers answer, and whether they do."""

    is_away: bool
    before: int
    wait_s: float
    learns_s: float = 0  # for so long at most a training keeps the servers away

    @property
    def minutes(self) -> int:
        """The wait in whole minutes; 0 where it is none to speak of."""
        return math.ceil(self.wait_s / 60) if self.wait_s > LONG_S else 0

    @property
    def learns_minutes(self) -> int:
        """For how many minutes at most a training keeps the servers away; 0: none does."""
        return math.ceil(self.learns_s / 60)


class Waiting:
    """Calls who stands in line, and finds out when servers are back. One in a process.

    Args:
        teams: whose questions this process answers.
        rest_minutes: for so long at most servers rest for a run; 0: they never do.
        called: told when questions may be claimed.
    """

    def __init__(
        self,
        engine: Engine,
        router: Router,
        *,
        teams: Teams,
        called: Callable[[], None],
        rest_minutes: float = 0,
    ) -> None:
        self._engine = engine
        self._router = router
        self._teams = teams
        self._called = called
        self._rest_minutes = rest_minutes
        self._in_hand = 0
        self._stopping = False

    @contextmanager
    def in_hand(self) -> Iterator[None]:
        """A question is being answered by this process."""
        self._in_hand += 1
        try:
            yield
        finally:
            self._in_hand -= 1
            self._router.changed.set()

    def join(self, event: InboxEvent) -> None:
        """Go on when nobody who asked before is in line.

        Raises:
            Busy: somebody is.
        """
        if not self._router.is_away and self._before(event):
            raise Busy("others asked before")

    def delay(self, event: InboxEvent | None, *, is_away: bool) -> Delay:
        """Where the question of an inbox row stands."""
        before = self._before(event) if event is not None else 0
        learns_s = self._learns_s() if is_away and self._rest_minutes else 0
        return Delay(is_away, before, before * self._router.pace_s, learns_s)

    def _learns_s(self) -> float:
        with reading(self._engine) as session:
            run = runs.running(session)
            until = runs.rest_until(run, self._rest_minutes) if run else now()
        return max((until - now()).total_seconds(), 0)

    def stop(self) -> None:
        """Call nobody more."""
        self._stopping = True
        self._router.changed.set()

    async def run(self) -> None:
        """Work until stopped."""
        async with asyncio.TaskGroup() as tasks:
            probes: list[asyncio.Task[None]] = []
            while not self._stopping:
                self._router.changed.clear()
                if self._router.next_probe_s <= 0:
                    probes = [one for one in probes if not one.done()]
                    probes.append(tasks.create_task(self._router.probe()))
                await self._call()
                await self._rest()
            for probe in probes:  # a hung server is not waited for
                probe.cancel()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(min(EVERY_S, self._router.next_probe_s)):
                await self._router.changed.wait()
        except TimeoutError:
            pass

    async def _call(self) -> None:
        room = self._router.room - self._in_hand
        try:
            if room > 0 and await asyncio.to_thread(self._call_now, room):
                self._called()
        except SQLAlchemyError as error:
            log.warning("nobody was called: %s", getattr(error, "orig", error))

    def _call_now(self, room: int) -> bool:
        with reading(self._engine) as session:  # most of the time nobody is
            if not inbox.in_line(session, teams=self._teams):
                return False
        with transaction(self._engine) as session:
            return inbox.call(session, room, teams=self._teams) > 0

    def _before(self, event: InboxEvent) -> int:
        with reading(self._engine) as session:
            return inbox.in_line(session, teams=self._teams, before=event.id)
