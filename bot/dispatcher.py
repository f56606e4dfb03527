"""The dispatcher: hands what lies in the inbox to its handler, lane by lane, each once.

A handler may be run again after a crash, so it writes its effects in transactions that find what
an earlier run left behind.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping

from sqlalchemy import Engine, update
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, col

from bot import inbox
from bot.pump import LostClaim, Pump, hold
from bot.store.database import transaction
from bot.store.queue import Teams
from bot.store.schema import InboxEvent
from bot.watching import DONE, Watch

log = logging.getLogger(__name__)
Handler = Callable[[InboxEvent], Awaitable[None]]
GiveUp = Callable[[Session, InboxEvent], None]
GIVE_UP_AFTER = 10  # errors in a row, about five minutes
LONGEST_WAIT_S = 60.0
UNCALLED_S = 60.0  # who stands in line and is not called comes again by itself


class Later(Exception):
    """It cannot be done yet (a server or Slack is away): try again, and never give up for that."""

    word = "waiting"

    def __init__(self, why: str, delay_s: float = 1.0) -> None:
        super().__init__(why)
        self.delay_s = delay_s


class InLine(Later):
    """It is to be done when it is called (`bot.waiting`), after those that came before."""

    word = inbox.IN_LINE

    def __init__(self, why: str, delay_s: float = UNCALLED_S) -> None:
        super().__init__(why, delay_s)


class Elsewhere(Exception):
    """The event belongs into another lane than it was stored in: it takes its turn there."""

    def __init__(self, lane: str) -> None:
        super().__init__(lane)
        self.lane = lane


class Dispatcher:
    """Claims inbox rows of the workspaces and kinds that it has handlers for, and runs these.

    Two of them beside each other keep what is quick from waiting behind what is slow. They share no
    lane, so that neither has to hear when the other is done with a row.

    Args:
        give_up: what else belongs into the transaction that gives a row up.
        when: nothing is claimed while this says no; it only reads.
    """

    def __init__(
        self,
        engine: Engine,
        handlers: Mapping[str, Handler],
        wake: asyncio.Event,
        *,
        owner: str,
        teams: Teams,
        lease_s: float = 15.0,
        at_once: int = 64,
        give_up: GiveUp | None = None,
        when: Callable[[], bool] = lambda: True,
        watch: Watch | None = None,
    ) -> None:
        self._engine = engine
        self._handlers = handlers
        self._owner = owner
        self._teams = teams
        self._lease_s = lease_s
        self._give_up = give_up
        self._when = when
        self._watch = watch or Watch()
        self._pump = Pump(self._claim, self._work, wake, at_once=at_once)

    async def run(self) -> None:
        """Work until `stop`; cancelled, it hands back what is under way."""
        await self._pump.run()

    def stop(self) -> None:
        """Claim nothing more; `run` ends when what is under way is done."""
        self._pump.stop()

    def _claim(self) -> InboxEvent | None:
        if not self._when():
            return None
        with transaction(self._engine) as session:
            return inbox.claim(
                session, self._owner, self._lease_s, teams=self._teams, kinds=self._handlers
            )

    async def _work(self, event: InboxEvent) -> None:
        async with self._watch.handling(event) as seen:
            try:
                seen.outcome = await self._handle(event)
            except LostClaim as lost:
                log.warning("%s", lost)
            except SQLAlchemyError as error:
                # Not marked: the lease runs out, and the row is handled again.
                log.error("cannot mark inbox row %s: %s", event.id, getattr(error, "orig", error))

    async def _handle(self, event: InboxEvent) -> str:
        """Handle and mark it; what came of it, as `bot.figures.Figures.handled` has it."""
        handler = self._handlers[event.kind]
        try:
            await hold(handler(event), lambda: self._renew(event), self._lease_s / 3)
        except LostClaim:
            raise
        except Later as later:
            await self._mark(event, _retry(f"{later.word}: {later}", later.delay_s))
            return "waiting"
        except Elsewhere as move:
            await self._mark(event, _move(move.lane))
            return "moved"
        except asyncio.CancelledError:
            # Stopping: whoever comes next should not have to wait for the lease to run out.
            self._mark_now(event, _retry("handed back", 0))
            raise
        except Exception as error:  # noqa: BLE001  the last stop: an event is never dropped for a bug
            return await self._stumble(event, error)
        await self._mark(event, inbox.finish)
        return DONE

    async def _stumble(self, event: InboxEvent, error: Exception) -> str:
        count = _errors_before(event) + 1
        line = f"error {count}: {type(error).__name__}: {error}"
        if count >= GIVE_UP_AFTER:
            log.error("giving up inbox row %s: %s", event.id, line, exc_info=error)
            await self._mark(event, _fail(line, self._give_up))
            return "given up"
        log.warning("inbox row %s will be tried again: %s", event.id, line, exc_info=error)
        await self._mark(event, _retry(line, min(2.0 ** (count - 1) / 2, LONGEST_WAIT_S)))
        return "error"

    def _renew(self, event: InboxEvent) -> None:
        with transaction(self._engine) as session:
            inbox.renew(session, event, self._owner, self._lease_s)

    async def _mark(self, event: InboxEvent, how: _Mark) -> None:
        await asyncio.to_thread(self._mark_now, event, how)

    def _mark_now(self, event: InboxEvent, how: _Mark) -> None:
        with transaction(self._engine) as session:
            how(session, event, self._owner)


_Mark = Callable[[Session, InboxEvent, str], None]


def _retry(why: str, delay_s: float) -> _Mark:
    return lambda session, event, owner: inbox.retry(
        session, event, owner, error=why, delay_s=delay_s
    )


def _fail(why: str, give_up: GiveUp | None) -> _Mark:
    def mark(session: Session, event: InboxEvent, owner: str) -> None:
        inbox.fail(session, event, owner, error=why)
        if give_up is not None:
            give_up(session, event)

    return mark


def _move(lane: str) -> _Mark:
    def mark(session: Session, event: InboxEvent, owner: str) -> None:
        inbox.retry(session, event, owner, error=f"moved to {lane}", delay_s=0)
        session.execute(update(InboxEvent).where(col(InboxEvent.id) == event.id).values(lane=lane))

    return mark


def _errors_before(event: InboxEvent) -> int:
    # `attempts` also counts waits and moves, which are no errors.
    match = re.match(r"error (\d+):", event.error or "")
    return int(match[1]) if match else 0
