"""The queue under many claimers at once, and under kill -9."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import pairwise

from sqlalchemy import Engine
from sqlmodel import select

from bot import inbox
from bot.store.database import reading, transaction
from bot.store.schema import InboxEvent, OutboxMessage, now
from tests.bot.store.claimer import Handled, drain
from tests.stores import TEAM, opened

LANES = 7


def fill(engine: Engine, first: int, n: int) -> None:
    """Receive `n` events, each in a transaction of its own, over a few lanes."""
    for i in range(first, first + n):
        with transaction(engine) as session:
            inbox.receive(
                session,
                team_id=TEAM,
                event_id=str(i),
                kind="event",
                lane=str(i % LANES),
                payload={},
            )


def check(handled: list[Handled], n: int, *, in_order: bool = True) -> None:
    """Each row was handled once; in a lane, in order and one at a time."""
    assert len(handled) == n
    assert len({row.id for row in handled}) == n
    for lane in {row.lane for row in handled}:
        rows = sorted((row for row in handled if row.lane == lane), key=lambda row: row.began)
        assert all(one.ended <= two.began for one, two in pairwise(rows))
        assert not in_order or all(one.id < two.id for one, two in pairwise(rows))


def test_many_threads_handle_each_row_once_and_lanes_in_order(store: Engine) -> None:
    """Six claimers in one process share the work without a double, a loss or an overtaking."""
    fill(store, 0, 120)
    with ThreadPoolExecutor(6) as threads:
        owners = [f"thread-{i}" for i in range(6)]
        handled = list(threads.map(partial(_drained, store), owners))
    check([row for rows in handled for row in rows], 120)


def test_rows_that_come_while_others_are_handled_are_handled_once(store: Engine) -> None:
    """Receivers and claimers at once: still each row once, one at a time in its lane."""
    fill(store, 0, 10)
    with ThreadPoolExecutor(6) as threads:
        receiving = [threads.submit(fill, store, first, 40) for first in (10, 50)]
        claiming = [threads.submit(_drained, store, f"t{i}") for i in range(4)]
        for future in receiving:
            future.result()
        handled = [row for future in claiming for row in future.result()]
    handled += list(drain(store, "last"))
    check(handled, 90, in_order=False)


def test_many_processes_handle_each_row_once_and_lanes_in_order(store_url: str) -> None:
    """Several bots on one database: no double, no loss, no overtaking."""
    with opened(store_url) as engine:
        fill(engine, 0, 60)
    bots = [_claimer(store_url, f"bot-{i}", "drain") for i in range(3)]
    outputs = [bot.communicate(timeout=60)[0] for bot in bots]
    assert [bot.returncode for bot in bots] == [0, 0, 0]
    check([Handled(*json.loads(line)) for out in outputs for line in out.splitlines()], 60)


def test_killing_a_process_in_a_transaction_loses_nothing(store_url: str, store: Engine) -> None:
    """After kill -9 the row is there for the next claimer at once, and no half of it is written."""
    fill(store, 0, 1)
    with _killed(store_url, "hold"):
        pass
    event = _claim_soon(store, 5)
    assert event is not None
    assert event.attempts == 1
    with reading(store) as session:
        assert session.exec(select(OutboxMessage)).all() == []
        assert len(session.exec(select(InboxEvent)).all()) == 1
    with transaction(store) as session:
        assert inbox.receive(
            session, team_id=TEAM, event_id="half", kind="event", lane="half", payload={}
        )


def test_what_a_killed_process_had_claimed_is_taken_over(store_url: str, store: Engine) -> None:
    """After kill -9 the claimed row comes back when the lease is over, and not before."""
    fill(store, 0, 1)
    with _killed(store_url, "take"):
        pass
    assert _claim_soon(store, 0) is None
    with transaction(store) as session:
        session.exec(select(InboxEvent)).one().lease_until = now()
    event = _claim_soon(store, 10)
    assert event is not None
    assert event.attempts == 2


def _drained(engine: Engine, owner: str) -> list[Handled]:
    return list(drain(engine, owner))


@contextmanager
def _killed(url: str, mode: str) -> Iterator[None]:
    """A claimer that has claimed a row; killed with SIGKILL at the end."""
    process = _claimer(url, "victim", mode)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "1"
    yield
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


def _claimer(url: str, owner: str, mode: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.bot.store.claimer", url, owner, mode]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _claim_soon(engine: Engine, seconds: float) -> InboxEvent | None:
    """The row that can be claimed within that time, if any."""
    deadline = time.monotonic() + seconds
    while True:
        with transaction(engine) as session:
            event = inbox.claim(session, "heir")
        if event is not None or time.monotonic() > deadline:
            return event
        time.sleep(0.05)
