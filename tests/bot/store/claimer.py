"""``python -m tests.bot.store.claimer URL OWNER MODE``: a process that claims inbox rows.

drain: handle rows until none is left; a line of JSON for each: id, lane, and when it began and
ended (seconds of the machine's monotonic clock). hold: claim one row, say so, and never commit.
take: claim one row, commit, say so, and stay.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import Engine, func
from sqlmodel import col, select

from bot import inbox, outbox
from bot.store.database import open_engine, reading, transaction
from bot.store.schema import InboxEvent, Status


class Handled(NamedTuple):
    """One row that was handled, and when."""

    id: int
    lane: str
    began: float
    ended: float


def drain(engine: Engine, owner: str) -> Iterator[Handled]:
    """Claim and finish rows until every one is done."""
    while _left(engine):
        with transaction(engine) as session:
            event = inbox.claim(session, owner)
        if event is None:
            time.sleep(0.002)
            continue
        began = time.monotonic()
        time.sleep(0.001)
        ended = time.monotonic()
        with transaction(engine) as session:
            inbox.finish(session, event, owner)
        yield Handled(event.id or 0, event.lane, began, ended)


def _left(engine: Engine) -> int:
    with reading(engine) as session:
        return session.exec(select(func.count()).where(col(InboxEvent.status) != Status.DONE)).one()


def _hold(engine: Engine, owner: str) -> None:
    with transaction(engine) as session:
        event = inbox.claim(session, owner)
        outbox.say(session, team_id="T0MYNAH", key="half", channel="C", payload={})
        inbox.receive(
            session, team_id="T0MYNAH", event_id="half", kind="event", lane="half", payload={}
        )
        print(event and event.id, flush=True)
        time.sleep(60)


def _take(engine: Engine, owner: str) -> None:
    with transaction(engine) as session:
        event = inbox.claim(session, owner)
    print(event and event.id, flush=True)
    time.sleep(60)


def main(url: str, owner: str, mode: str) -> None:
    """Do what `mode` says on the database at `url`."""
    engine = open_engine(url)
    if mode == "drain":
        for handled in drain(engine, owner):
            print(json.dumps(handled), flush=True)
    else:
        {"hold": _hold, "take": _take}[mode](engine, owner)


if __name__ == "__main__":
    main(*sys.argv[1:])
