"""The line of questions that wait for a model, on both databases."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, col, select

from bot import inbox
from bot.routing import Busy, Router
from bot.store.database import reading, transaction
from bot.store.schema import InboxEvent, Status, now
from bot.waiting import LONG_S, Delay, Waiting
from serving.client import VllmClient

TEAM, OTHER = "T0MYNAH", "T0OTHER"


def line_up(store: Engine, *names: str, team: str = TEAM, delay_s: float = 60) -> None:
    """Questions that were tried and handed back to stand in line."""
    with transaction(store) as session:
        for name in names:
            inbox.receive(
                session, team_id=team, event_id=name, kind="question", lane=name, payload={}
            )
    for _ in names:
        with transaction(store) as session:
            row = inbox.claim(session, "one", teams=team)
            assert row is not None
            inbox.retry(session, row, "one", error=f"{inbox.IN_LINE}: away", delay_s=delay_s)


def free(session: Session, teams: str = TEAM) -> list[str]:
    """Who may be claimed now, in the order in which they would be."""
    here = (InboxEvent.team_id == teams, InboxEvent.status == Status.WAITING)
    rows = select(InboxEvent.event_id).where(*here, col(InboxEvent.not_before) <= now())
    return list(session.exec(rows.order_by(col(InboxEvent.id))))


def called(store: Engine, most: int) -> Sequence[str]:
    """Call so many; who may be claimed then."""
    with transaction(store) as session:
        inbox.call(session, most, teams=TEAM)
    with reading(store) as session:
        return free(session)


def test_the_oldest_are_called(store: Engine) -> None:
    """As many as there is room for, in the order of asking; those who were called and are not
    claimed yet count."""
    line_up(store, "a", "b", "c", "d")
    assert called(store, 2) == ["a", "b"]
    assert called(store, 2) == ["a", "b"]
    assert called(store, 3) == ["a", "b", "c"]
    with transaction(store) as session:
        claimed = inbox.claim(session, "one", teams=TEAM)
    assert claimed is not None
    assert claimed.event_id == "a"
    assert called(store, 3) == ["b", "c", "d"]


def test_a_line_is_of_its_workspaces(store: Engine) -> None:
    """Whoever is called belongs to the workspaces of who calls, and so do those before."""
    line_up(store, "x", team=OTHER)
    line_up(store, "a")
    assert called(store, 9) == ["a"]
    with reading(store) as session:
        assert free(session, OTHER) == []
        assert inbox.in_line(session, teams=OTHER) == 1
        assert inbox.in_line(session, teams=TEAM) == 0  # it was called


def test_what_waits_for_something_else_is_not_in_line(store: Engine) -> None:
    """Slack is away, or a server failed at it: that has its own time, and holds up nobody."""
    line_up(store, "a")
    with transaction(store) as session:
        session.connection().exec_driver_sql("UPDATE inbox SET error = 'waiting: Slack'")
    line_up(store, "b")
    assert called(store, 9) == ["b"]


async def test_nobody_overtakes(store: Engine) -> None:
    """Who asked before is asked for first, unless they were called already."""
    line_up(store, "a", "b")
    async with VllmClient("http://127.0.0.1:1", api_key="k") as client:
        router = Router(store, [client])
        waiting = Waiting(store, router, teams=TEAM, called=lambda: None)
        with reading(store) as session:
            first, second = session.exec(select(InboxEvent).order_by(col(InboxEvent.id)))
        waiting.join(first)
        with pytest.raises(Busy):
            waiting.join(second)
        assert waiting.delay(second, is_away=True).before == 1
        called(store, 1)
        waiting.join(second)


def test_a_short_wait_is_not_told() -> None:
    """Nobody hears of minutes where there are none to speak of."""
    assert Delay(is_away=False, before=3, wait_s=LONG_S).minutes == 0
    assert Delay(is_away=False, before=30, wait_s=LONG_S + 1).minutes == 2
