"""The dispatcher: each inbox row is handled, in the order of its lane, and never dropped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlmodel import col, select

from bot import inbox
from bot.dispatcher import GIVE_UP_AFTER, Dispatcher, Elsewhere, Handler, Later
from bot.store.database import reading, transaction
from bot.store.schema import InboxEvent, Status, now

TEAM = "T0MYNAH"


def deliver(engine: Engine, *rows: tuple[str, str], kind: str = "event") -> None:
    """Put rows of (lane, event id) into the inbox."""
    with transaction(engine) as session:
        for lane, event_id in rows:
            inbox.receive(
                session, team_id=TEAM, event_id=event_id, kind=kind, lane=lane, payload={}
            )


def stored(engine: Engine) -> list[InboxEvent]:
    """Every row, oldest first."""
    with reading(engine) as session:
        return list(session.exec(select(InboxEvent).order_by(col(InboxEvent.id))))


@asynccontextmanager
async def running(
    engine: Engine, handlers: Mapping[str, Handler], lease_s: float = 5, owner: str = "one",
    when: Callable[[], bool] = lambda: True,
) -> AsyncIterator[Dispatcher]:  # fmt: skip
    """A dispatcher at work; what is under way at the end is cancelled."""
    dispatcher = Dispatcher(
        engine, handlers, asyncio.Event(), owner=owner, teams=TEAM, lease_s=lease_s, when=when
    )
    task = asyncio.create_task(dispatcher.run())
    try:
        yield dispatcher
    finally:
        task.cancel()
        await asyncio.wait({task})


async def until(true: Callable[[], bool], within_s: float = 10) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.01)


def all_done(engine: Engine) -> bool:
    """Whether nothing is left to do."""
    return {row.status for row in stored(engine)} == {Status.DONE}


async def test_rows_of_a_lane_come_one_by_one_in_order(store: Engine) -> None:
    """Two lanes run side by side; within a lane the next row waits for the one before."""
    began: list[str] = []
    free = asyncio.Event()

    async def handle(event: InboxEvent) -> None:
        began.append(event.event_id)
        await free.wait()

    deliver(store, ("a", "a1"), ("a", "a2"), ("b", "b1"))
    async with running(store, {"event": handle}):
        await until(lambda: len(began) == 2)
        await asyncio.sleep(0.2)
        assert sorted(began) == ["a1", "b1"]
        free.set()
        await until(lambda: all_done(store))
    assert began.index("a2") == 2


async def test_nothing_is_claimed_while_something_else_comes_first(engine: Engine) -> None:
    """As often as it looks: what is to come later is left as it is, and comes then."""
    looked: list[bool] = []
    free = False

    def when() -> bool:
        looked.append(free)
        return free

    async def handle(event: InboxEvent) -> None:
        pass

    deliver(engine, ("a", "a1"))
    async with running(engine, {"event": handle}, when=when):
        await until(lambda: len(looked) > 1)
        assert [row.attempts for row in stored(engine)] == [0]
        free = True
        await until(lambda: all_done(engine))


async def test_later_waits_without_end(engine: Engine) -> None:
    """What cannot be done yet is tried far more often than errors are, and then done."""
    tries = 0

    async def handle(event: InboxEvent) -> None:
        nonlocal tries
        tries += 1
        if tries <= 2 * GIVE_UP_AFTER:
            raise Later("not yet", delay_s=0)

    deliver(engine, ("a", "a1"))
    async with running(engine, {"event": handle}):
        await until(lambda: all_done(engine))
    assert tries == 2 * GIVE_UP_AFTER + 1


async def test_error_is_tried_again_and_then_given_up(engine: Engine) -> None:
    """A handler that always fails is given up after some tries; its lane goes on."""

    async def handle(event: InboxEvent) -> None:
        if event.event_id == "a1":
            raise ValueError("broken")

    deliver(engine, ("a", "a1"), ("a", "a2"))
    async with running(engine, {"event": handle}):
        for count in range(1, GIVE_UP_AFTER + 1):
            line = f"error {count}: ValueError: broken"
            await until(lambda line=line: stored(engine)[0].error == line)  # type: ignore[misc]
            hurry(engine)
        await until(lambda: stored(engine)[1].status is Status.DONE)
    assert stored(engine)[0].status is Status.FAILED


def hurry(engine: Engine) -> None:
    """Let no row wait for its next try."""
    with transaction(engine) as session:
        session.execute(update(InboxEvent).values(not_before=now()))


async def test_waiting_does_not_count_as_an_error(engine: Engine) -> None:
    """After a wait an error is the first again: a question that waited long is not given up."""
    steps = iter([Later("away", delay_s=0)] * GIVE_UP_AFTER + [ValueError("once")])

    async def handle(event: InboxEvent) -> None:
        if (trouble := next(steps, None)) is not None:
            raise trouble

    deliver(engine, ("a", "a1"))
    async with running(engine, {"event": handle}):
        await until(lambda: all_done(engine))
    assert stored(engine)[0].attempts == GIVE_UP_AFTER + 2


async def test_elsewhere_takes_its_turn_in_the_other_lane(store: Engine) -> None:
    """A row that belongs into another lane is handled there, after what is under way."""
    done: list[str] = []
    free = asyncio.Event()

    async def handle(event: InboxEvent) -> None:
        if event.lane == "x":
            raise Elsewhere("a")
        if event.event_id == "a1":
            await free.wait()
        done.append(event.event_id)

    deliver(store, ("a", "a1"), ("x", "moved"), ("a", "a2"))
    async with running(store, {"event": handle}):
        await until(lambda: stored(store)[1].lane == "a")
        await asyncio.sleep(0.2)
        assert done == []
        free.set()
        await until(lambda: all_done(store))
    assert done == ["a1", "moved", "a2"]


async def test_long_work_keeps_its_claim(engine: Engine) -> None:
    """Work that takes longer than the lease is not taken over: the lease is renewed."""
    runs: list[str] = []

    async def handle(event: InboxEvent) -> None:
        runs.append(event.event_id)
        await asyncio.sleep(1.5)

    deliver(engine, ("a", "a1"))
    async with (
        running(engine, {"event": handle}, lease_s=0.5),
        running(engine, {"event": handle}, lease_s=0.5, owner="two"),
    ):
        await until(lambda: all_done(engine))
    assert runs == ["a1"]


async def test_lost_claim_stops_the_work(engine: Engine) -> None:
    """Who lost the claim is stopped, and marks nothing."""
    stopped = asyncio.Event()

    async def handle(event: InboxEvent) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()

    deliver(engine, ("a", "a1"))
    async with running(engine, {"event": handle}, lease_s=0.6):
        await until(lambda: stored(engine)[0].status is Status.CLAIMED)
        with transaction(engine) as session:
            session.execute(update(InboxEvent).values(lease_owner="another"))
        async with asyncio.timeout(5):
            await stopped.wait()
        await asyncio.sleep(0.1)
        assert stored(engine)[0].lease_owner == "another"


async def test_stopping_hands_back(engine: Engine) -> None:
    """Cancelled work is free at once for whoever comes next."""

    began = asyncio.Event()

    async def handle(event: InboxEvent) -> None:
        began.set()
        await asyncio.sleep(60)

    deliver(engine, ("a", "a1"))
    async with running(engine, {"event": handle}, lease_s=60):
        await began.wait()
        assert stored(engine)[0].status is Status.CLAIMED
    assert stored(engine)[0].status is Status.WAITING


async def test_stop_finishes_what_is_under_way(engine: Engine) -> None:
    """`stop` claims nothing more, and `run` ends when the work is done."""
    free = asyncio.Event()

    async def handle(event: InboxEvent) -> None:
        await free.wait()

    deliver(engine, ("a", "a1"), ("a", "a2"))
    dispatcher = Dispatcher(engine, {"event": handle}, asyncio.Event(), owner="o", teams=TEAM)
    task = asyncio.create_task(dispatcher.run())
    await until(lambda: stored(engine)[0].status is Status.CLAIMED)
    dispatcher.stop()
    free.set()
    async with asyncio.timeout(5):
        await task
    assert [row.status for row in stored(engine)] == [Status.DONE, Status.WAITING]


async def test_what_hangs_holds_up_its_own_kind_alone(engine: Engine) -> None:
    """Commands are handled while every place for questions is taken."""

    async def hang(event: InboxEvent) -> None:
        await asyncio.sleep(60)

    async def handle(event: InboxEvent) -> None:
        pass

    deliver(engine, *((f"q{n}", f"q{n}") for n in range(65)), kind="question")
    deliver(engine, ("c", "c1"), kind="command")
    async with (
        running(engine, {"question": hang}, owner="questions"),
        running(engine, {"command": handle}, owner="commands"),
    ):
        await until(lambda: stored(engine)[-1].status is Status.DONE)
        assert all(row.status is not Status.DONE for row in stored(engine)[:-1])


async def test_store_that_is_away_is_waited_for(engine: Engine) -> None:
    """Without its table the dispatcher goes on looking, and works when it is back."""
    handled = asyncio.Event()

    async def handle(event: InboxEvent) -> None:
        handled.set()

    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE inbox RENAME TO hidden")
    async with running(engine, {"event": handle}):
        await asyncio.sleep(0.3)
        with engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE hidden RENAME TO inbox")
        deliver(engine, ("a", "a1"))
        async with asyncio.timeout(5):
            await handled.wait()


async def test_full_pool_is_waited_for(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a free connection to claim, renew or mark with, the pump goes on."""
    dispatcher = Dispatcher(
        engine, {"event": _slow}, asyncio.Event(), owner="one", teams=TEAM, lease_s=1.5
    )
    full: dict[str, int] = {}
    for call in ("claim", "renew", "finish"):
        monkeypatch.setattr(inbox, call, _full_once(getattr(inbox, call), call, full))
    deliver(engine, ("a", "a1"))
    task = asyncio.create_task(dispatcher.run())
    await until(lambda: all_done(engine))
    dispatcher.stop()
    await task
    assert set(full) == {"claim", "renew", "finish"}


async def _slow(_event: InboxEvent) -> None:
    await asyncio.sleep(0.7)


def _full_once(
    call: Callable[..., object], name: str, full: dict[str, int]
) -> Callable[..., object]:
    def instead(*given: object, **named: object) -> object:
        full[name] = full.get(name, 0) + 1
        if full[name] == 1:
            raise PoolTimeout("QueuePool limit reached")
        return call(*given, **named)

    return instead
