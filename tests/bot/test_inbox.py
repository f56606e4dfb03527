"""The inbox: what is delivered is stored once, and forgotten in time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from sqlalchemy import Engine
from sqlmodel import select

from bot import inbox
from bot.store.database import reading, transaction
from bot.store.schema import InboxEvent, now
from tests.stores import TEAM


def receive(engine: Engine, event_id: str, team_id: str = TEAM, lane: str = "C1:1.1") -> bool:
    """Receive an event in a transaction of its own."""
    with transaction(engine) as session:
        return inbox.receive(
            session,
            team_id=team_id,
            event_id=event_id,
            kind="event",
            lane=lane,
            payload={"text": "naïve — \N{BIRD}", "n": [1, None]},
        )


def test_a_delivery_is_stored_as_it_came(store: Engine) -> None:
    """The payload survives the way into the database and out again."""
    assert receive(store, "E1")
    with transaction(store) as session:
        event = inbox.claim(session, "me")
    assert event is not None
    assert event.payload == {"text": "naïve — \N{BIRD}", "n": [1, None]}
    assert (event.team_id, event.event_id, event.kind, event.lane) == (
        TEAM,
        "E1",
        "event",
        "C1:1.1",
    )


def test_a_second_delivery_is_told_apart(store: Engine) -> None:
    """The same event id again is no new row; in another team it is another event."""
    assert receive(store, "E1")
    assert not receive(store, "E1")
    assert receive(store, "E1", team_id="T2")


def test_a_second_delivery_after_the_first_was_handled_is_still_known(store: Engine) -> None:
    """Slack's late retry of what was answered long ago changes nothing."""
    receive(store, "E1")
    with transaction(store) as session:
        event = inbox.claim(session, "me")
        assert event is not None
        inbox.finish(session, event, "me")
    assert not receive(store, "E1")
    with transaction(store) as session:
        assert inbox.claim(session, "me") is None


def test_deliveries_of_one_event_at_the_same_moment_make_one_row(store: Engine) -> None:
    """Of many receivers exactly one is told that the event is new."""
    with ThreadPoolExecutor(8) as threads:
        new = list(threads.map(lambda _: receive(store, "E1"), range(24)))
    assert new.count(True) == 1


def test_old_rows_are_forgotten_and_open_ones_kept(store: Engine) -> None:
    """Handled and failed payloads go after the days that were set; waiting ones never."""
    for name in ("old", "failed", "fresh", "open"):
        receive(store, name, lane=name)
    with transaction(store) as session:
        for name in ("old", "failed", "fresh"):
            event = inbox.claim(session, "me")
            assert event is not None
            assert event.event_id == name
            if name == "failed":
                inbox.fail(session, event, "me", error="x")
            else:
                inbox.finish(session, event, "me")
            if name != "fresh":
                event.finished_at = now() - timedelta(days=8)
    with transaction(store) as session:
        assert inbox.forget_old(session, days=7) == 2
        assert inbox.forget_old(session, days=7) == 0
    with reading(store) as session:
        assert set(session.exec(select(InboxEvent.event_id))) == {"fresh", "open"}
