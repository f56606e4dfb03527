"""Carries events to the app until it acknowledges them, each attempt in a new envelope."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from deploy.sandbox.faults import Faults
from deploy.sandbox.ledger import Ledger
from deploy.sandbox.request_url import Reply, RequestUrl
from deploy.sandbox.sockets import Connection, Sockets

LOST = "ack lost"


@dataclass
class Timing:
    """How patient the sandbox is. Slack: 3 s, then again at once, after 1 minute, after 5."""

    ack_s: float = 3.0
    retry_s: tuple[float, ...] = (0.0, 2.0, 10.0)  # the waits before each further attempt


class Status(StrEnum):
    """How far a delivery is."""

    WAITING = "waiting"  # never sent yet: no socket is connected, and there is no request URL
    SENT = "sent"
    ACKED = "acked"
    GAVE_UP = "gave_up"


class _End(StrEnum):
    ACKED = "acked"
    TIMEOUT = "timeout"
    SOCKET_CLOSED = "socket_closed"


@dataclass
class Delivery:
    """One payload on its way to the app."""

    id: str  # the event id, or a command's trigger id
    kind: str  # events_api, slash_commands or interactive
    payload: dict[str, Any]
    at: str  # Slack's ts of when it happened
    envelopes: list[str] = field(default_factory=list)
    status: Status = Status.WAITING
    acked_s: float | None = None  # from when it happened to the acknowledgement
    answer: Any = None  # the payload of the acknowledgement
    failure: str = ""  # why the last attempt failed, as the next one tells the app
    waiter: asyncio.Future[_End] | None = None

    def as_json(self) -> dict[str, Any]:
        """The delivery as `GET /_control/state` shows it."""
        event = self.payload.get("event", {})
        item = event.get("item", {})
        names = {"type": event.get("type", self.kind), "subtype": event.get("subtype")}
        return {
            "id": self.id,
            "kind": self.kind,
            **names,
            "channel": event.get("channel")
            or item.get("channel")
            or self.payload.get("channel_id"),
            "ts": event.get("ts") or item.get("ts"),
            "at": self.at,
            "envelopes": list(self.envelopes),
            "attempts": len(self.envelopes),
            "status": str(self.status),
            "acked": self.status is Status.ACKED,
            "acked_s": self.acked_s,
        }

    @property
    def team(self) -> str:
        """The workspace in which it happened."""
        return str(self.payload.get("team_id", ""))

    def acked(self, answer: Any) -> None:
        """The app has it."""
        self.status, self.answer = Status.ACKED, answer
        self.acked_s = time.time() - float(self.at)


class Courier:
    """Every delivery, and the tasks that carry them: to the request URL if set, else to sockets."""

    def __init__(self, app_id: str, faults: Faults, timing: Timing, ledger: Ledger) -> None:
        self.sockets = Sockets(app_id, self.acknowledge, ledger)
        self.timing = timing
        self.deliveries: list[Delivery] = []
        self.underway: dict[str, Delivery] = {}  # events that are neither acknowledged nor given up
        self.changed: Callable[[Delivery], None] = lambda _delivery: None
        self.request_url: RequestUrl | None = None  # what waits for a socket stays with sockets
        self._faults = faults
        self._ledger = ledger
        self._open: dict[str, Delivery] = {}  # envelope id → its delivery, while not done
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, delivery: Delivery) -> asyncio.Task[None]:
        """Carry an event in the background until it is acknowledged or given up."""
        self.deliveries.append(delivery)
        self.underway[delivery.id] = delivery
        self.changed(delivery)
        return self._start(self._carry(delivery))

    def send_aside(self, delivery: Delivery) -> asyncio.Task[None]:
        """Carry in the background, once, what nobody waits for."""
        return self._start(self._once(delivery))

    async def send_once(self, delivery: Delivery) -> Delivery:
        """Carry a command or an action: one attempt, for a person waits. Read its status after."""
        self.deliveries.append(delivery)
        if self.request_url or self.sockets.live():
            await self._attempt(delivery)
        if delivery.status is not Status.ACKED:
            self._give_up(delivery)
        self._close(delivery)
        return delivery

    def acknowledge(self, envelope_id: str, payload: Any) -> None:
        """The app acknowledged an envelope; a late one counts as well, and ends the retries."""
        delivery = self._open.get(envelope_id)
        waits = delivery is not None and delivery.status is not Status.ACKED
        lost = waits and self._faults.drops_ack()
        self._ledger.acked(envelope_id, payload, LOST if lost else "")
        if delivery is not None and waits and not lost:
            delivery.acked(payload)
            self._done(delivery)
            _end(delivery, _End.ACKED)

    def counts(self) -> dict[str, int]:
        """How many events there were, and what became of them."""
        by_status = Counter(delivery.status for delivery in self.deliveries)
        return {
            "events": len(self.deliveries),
            "delivered": sum(1 for delivery in self.deliveries if delivery.envelopes),
            "deliveries": sum(len(delivery.envelopes) for delivery in self.deliveries),
            "acked": by_status[Status.ACKED],
            "waiting": by_status[Status.WAITING] + by_status[Status.SENT],
            "gave_up": by_status[Status.GAVE_UP],
            "carrying": len(self._tasks),  # also what was acknowledged and comes again
        }

    async def close(self) -> None:
        """Stop carrying."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _once(self, delivery: Delivery) -> None:
        await self.send_once(delivery)

    async def _carry(self, delivery: Delivery) -> None:
        first_s, *again = self._faults.moments()
        async with asyncio.TaskGroup() as repeats:
            for wait_s in again:
                repeats.create_task(self._repeat(delivery, wait_s))
            await asyncio.sleep(first_s)
            await self._insist(delivery)
        self._close(delivery)

    async def _repeat(self, delivery: Delivery, wait_s: float) -> None:
        """Send a delivery once more, acknowledged or not."""
        await asyncio.sleep(wait_s)
        if self.request_url is None:
            self._hand_over(delivery, await self.sockets.next(), "timeout")
            return
        retry = (max(1, len(delivery.envelopes)), "http_timeout")  # it may overtake the first
        await self._post_once(delivery, self.request_url, retry)

    async def _insist(self, delivery: Delivery) -> None:
        """Attempt it again and again, until it is acknowledged or the schedule is at its end."""
        for wait_s in (0.0, *self.timing.retry_s):
            if wait_s:
                await asyncio.sleep(wait_s)
            await self._attempt(delivery)
            if delivery.status is Status.ACKED:
                return
        self._give_up(delivery)

    def _give_up(self, delivery: Delivery) -> None:
        delivery.status = Status.GAVE_UP
        self._done(delivery)
        self._ledger.gave_up(delivery)

    async def _attempt(self, delivery: Delivery) -> None:
        """One attempt of the schedule; a socket that closes under it does not use it up."""
        if self.request_url is not None:
            await self._post(delivery, self.request_url)
            return
        while delivery.status is not Status.ACKED:
            end = await self._send(delivery, await self.sockets.next())
            if end is not _End.ACKED:
                delivery.failure = "timeout"
            if end is _End.TIMEOUT or delivery.kind != "events_api":
                return

    async def _post(self, delivery: Delivery, request_url: RequestUrl) -> None:
        retry = (len(delivery.envelopes), delivery.failure) if delivery.failure else (0, "")
        copies = range(self._copies(delivery))
        delivery.status = Status.SENT
        posts = (self._post_once(delivery, request_url, retry) for _ in copies)
        for reply in await asyncio.gather(*posts):
            delivery.failure = reply.failure
            if not delivery.failure:
                delivery.acked(reply.answer)
                self._done(delivery)

    async def _post_once(
        self, delivery: Delivery, request_url: RequestUrl, retry: tuple[int, str]
    ) -> Reply:
        """Post it to the app; an answer that a fault loses is one that never came."""
        number, reason = retry
        delivery.envelopes.append(envelope_id := str(uuid.uuid4()))
        self._ledger.handed(delivery, envelope_id, number=number, reason=reason)
        reply = await request_url.post(
            delivery.kind, delivery.payload, within_s=self.timing.ack_s, retry=retry
        )
        waits = delivery.status is not Status.ACKED
        lost = not reply.failure and waits and self._faults.drops_ack()
        if reply.failure in ("", "http_error"):  # the app said something
            self._ledger.acked(envelope_id, reply.answer, LOST if lost else reply.failure)
        return Reply("http_timeout") if lost else reply

    async def _send(self, delivery: Delivery, connection: Connection) -> _End:
        delivery.waiter = waiter = asyncio.get_running_loop().create_future()
        for _ in range(self._copies(delivery)):
            envelope_id = self._hand_over(delivery, connection, delivery.failure)
        connection.on_close[envelope_id] = lambda: _end(delivery, _End.SOCKET_CLOSED)
        try:
            return await asyncio.wait_for(waiter, self.timing.ack_s)
        except TimeoutError:
            return _End.TIMEOUT
        finally:
            del connection.on_close[envelope_id]

    def _copies(self, delivery: Delivery) -> int:
        """How often an attempt is sent: events alone are doubled, and never when sent again."""
        first = not delivery.failure and delivery.kind == "events_api"
        return 2 if first and self._faults.duplicates() else 1

    def _hand_over(self, delivery: Delivery, connection: Connection, reason: str) -> str:
        envelope_id = str(uuid.uuid4())
        number = max(1, len(delivery.envelopes)) if reason else 0
        attempt = {"retry_attempt": number, "retry_reason": reason}
        event = delivery.kind == "events_api"
        delivery.envelopes.append(envelope_id)
        if delivery.status is Status.WAITING:
            delivery.status = Status.SENT
        self._open[envelope_id] = delivery
        self._ledger.handed(delivery, envelope_id, number=number, reason=reason)
        connection.send(
            {
                "envelope_id": envelope_id,
                "type": delivery.kind,
                "accepts_response_payload": not event,
                "payload": delivery.payload,
                **(attempt if event else {}),
            }
        )
        return envelope_id

    def _done(self, delivery: Delivery) -> None:
        if self.underway.pop(delivery.id, None) is not None:
            self.changed(delivery)

    def _close(self, delivery: Delivery) -> None:
        for envelope_id in delivery.envelopes:
            self._open.pop(envelope_id, None)


def _end(delivery: Delivery, end: _End) -> None:
    if delivery.waiter is not None and not delivery.waiter.done():
        delivery.waiter.set_result(end)
