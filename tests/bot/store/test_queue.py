"""The queue behind inbox and outbox: lanes, leases, fences, on both databases."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import Engine, event, text
from sqlmodel import Session

from bot import inbox
from bot.store.database import reading, transaction
from bot.store.queue import LostClaim
from bot.store.schema import InboxEvent, Status, now
from tests.stores import TEAM


def put(session: Session, *lanes: str, team_id: str = TEAM) -> None:
    """Receive one event in each of the lanes, in this order."""
    for lane in lanes:
        event_id = f"E{time.monotonic_ns()}"
        assert inbox.receive(
            session, team_id=team_id, event_id=event_id, kind="event", lane=lane, payload={}
        )


def claim(engine: Engine, owner: str = "me", lease_s: float = 60) -> InboxEvent | None:
    """Claim in a transaction of its own."""
    with transaction(engine) as session:
        return inbox.claim(session, owner, lease_s)


def must_claim(engine: Engine, owner: str = "me", lease_s: float = 60) -> InboxEvent:
    """Claim a row that has to be there."""
    event = claim(engine, owner, lease_s)
    assert event is not None
    return event


def test_rows_come_oldest_first(store: Engine) -> None:
    """Rows of different lanes are handed out in the order they came."""
    with transaction(store) as session:
        put(session, "a", "b", "c")
    assert [must_claim(store).lane for _ in "abc"] == ["a", "b", "c"]
    assert claim(store) is None


def test_a_claim_says_who_holds_it_and_how_often_it_was_tried(store: Engine) -> None:
    """The claimed row carries owner, lease and attempts, for the logs and as the fence."""
    with transaction(store) as session:
        put(session, "a")
    event = must_claim(store, "bot-1")
    assert (event.status, event.lease_owner, event.attempts) == (Status.CLAIMED, "bot-1", 1)
    assert event.lease_until is not None


def test_a_lane_is_handled_one_at_a_time_in_order(store: Engine) -> None:
    """The second row of a lane waits until the first is done; other lanes pass it."""
    with transaction(store) as session:
        put(session, "a", "a", "b")
    first, other = must_claim(store), must_claim(store)
    assert (first.lane, other.lane) == ("a", "b")
    assert claim(store) is None
    with transaction(store) as session:
        inbox.finish(session, first, "me")
    assert must_claim(store).lane == "a"


def test_lanes_of_the_same_name_in_two_teams_do_not_wait_for_each_other(store: Engine) -> None:
    """Teams are walled off from each other, in the queue too."""
    with transaction(store) as session:
        put(session, "a")
        put(session, "a", team_id="T2")
    assert {must_claim(store).team_id, must_claim(store).team_id} == {TEAM, "T2"}


def test_a_process_of_one_team_takes_that_teams_rows_only(store: Engine) -> None:
    """A bot with one workspace's token leaves the other workspaces' rows alone."""
    with transaction(store) as session:
        put(session, "a", team_id="T2")
    with transaction(store) as session:
        assert inbox.claim(session, "me", teams=TEAM) is None
        assert inbox.claim(session, "me", teams="T2") is not None


def test_a_row_to_be_retried_holds_its_lane_until_its_time(store: Engine) -> None:
    """Nothing of the lane overtakes a row that waits for its next attempt."""
    with transaction(store) as session:
        put(session, "a", "a")
    first = must_claim(store)
    with transaction(store) as session:
        inbox.retry(session, first, "me", error="no replica", delay_s=60)
    assert claim(store) is None
    with transaction(store) as session:
        session.get_one(InboxEvent, first.id).not_before = now()
    again = must_claim(store)
    assert (again.id, again.attempts, again.error) == (first.id, 2, "no replica")


def test_a_failed_row_frees_its_lane_and_keeps_the_reason(store: Engine) -> None:
    """Giving one row up lets the next one go on."""
    with transaction(store) as session:
        put(session, "a", "a")
    first = must_claim(store)
    with transaction(store) as session:
        inbox.fail(session, first, "me", error="bad payload")
    assert must_claim(store).id != first.id
    with reading(store) as session:
        failed = session.get_one(InboxEvent, first.id)
    assert (failed.status, failed.error) == (Status.FAILED, "bad payload")
    assert failed.finished_at is not None


@pytest.mark.parametrize("deed", ["renew", "finish", "retry", "fail"])
def test_an_expired_claim_is_taken_over_and_its_holder_told(store: Engine, deed: str) -> None:
    """After a takeover the late holder can change nothing, whatever it tries."""
    with transaction(store) as session:
        put(session, "a")
    late = must_claim(store, "dead", lease_s=-1)
    heir = must_claim(store, "heir")
    assert (heir.id, heir.attempts) == (late.id, 2)
    with pytest.raises(LostClaim), transaction(store) as session:
        _do(session, deed, late, "dead")
    with transaction(store) as session:
        inbox.finish(session, heir, "heir")


def test_two_claims_of_one_process_are_told_apart(store: Engine) -> None:
    """A task that lost its claim to another task of the same owner cannot finish for it."""
    with transaction(store) as session:
        put(session, "a")
    late = must_claim(store, "me", lease_s=-1)
    must_claim(store, "me")
    with pytest.raises(LostClaim), transaction(store) as session:
        inbox.finish(session, late, "me")


def test_only_the_owner_may_end_a_claim(store: Engine) -> None:
    """Another process cannot finish a row that it sees."""
    with transaction(store) as session:
        put(session, "a")
    event = must_claim(store, "mine")
    with pytest.raises(LostClaim), transaction(store) as session:
        inbox.finish(session, event, "other")


def test_a_claim_in_the_making_holds_nobody_up(pg_engine: Engine) -> None:
    """Where claims run side by side, the second one takes the next lane instead of waiting."""
    with transaction(pg_engine) as session:
        put(session, "a", "b")
    with transaction(pg_engine) as first, transaction(pg_engine) as second:
        second.execute(text("SET LOCAL lock_timeout = '5s'"))
        lanes = [event and event.lane for event in (inbox.claim(s, "me") for s in (first, second))]
    assert lanes == ["a", "b"]


def test_what_was_done_under_a_lost_claim_is_undone(store: Engine) -> None:
    """The handler's own writes share the transaction with `finish`, so they vanish with it."""
    with transaction(store) as session:
        put(session, "a")
    late = must_claim(store, "dead", lease_s=-1)
    must_claim(store, "heir")
    with pytest.raises(LostClaim):
        _handle(store, late, "dead")
    assert claim(store) is None


def test_an_expired_claim_that_nobody_took_is_still_good(store: Engine) -> None:
    """A slow handler may finish as long as no other has begun."""
    with transaction(store) as session:
        put(session, "a")
    slow = must_claim(store, lease_s=-1)
    with transaction(store) as session:
        inbox.finish(session, slow, "me")
    assert claim(store) is None


def test_a_renewed_claim_is_not_taken_over(store: Engine) -> None:
    """Renewing counts from now."""
    with transaction(store) as session:
        put(session, "a")
    event = must_claim(store, lease_s=-1)
    with transaction(store) as session:
        inbox.renew(session, event, "me", 60)
    assert claim(store, "other") is None


def test_a_done_row_cannot_be_finished_again(store: Engine) -> None:
    """A second `finish` of one claim is a lost claim, not a silent success."""
    with transaction(store) as session:
        put(session, "a")
    event = must_claim(store)
    with transaction(store) as session:
        inbox.finish(session, event, "me")
    with pytest.raises(LostClaim), transaction(store) as session:
        inbox.finish(session, event, "me")


def test_a_later_row_in_hand_blocks_an_earlier_one_that_came_late(pg_engine: Engine) -> None:
    """Where ids can become visible out of order, a lane still has one row in hand at most."""
    with Session(pg_engine, expire_on_commit=False) as slow:
        put(slow, "a")
        with transaction(pg_engine) as session:
            put(session, "a")
        second = must_claim(pg_engine)
        slow.commit()
    assert claim(pg_engine) is None
    with transaction(pg_engine) as session:
        inbox.finish(session, second, "me")
    assert (must_claim(pg_engine).id or 0) < (second.id or 0)


def test_claiming_does_not_slow_down_with_the_done_rows(store: Engine) -> None:
    """The search for a row uses the indexes of open rows, so kept rows cost nothing."""
    with transaction(store) as session:
        session.add_all(_done_rows(3000))
        session.flush()
        put(session, "a", "b")
    with transaction(store) as session:
        if store.dialect.name == "postgresql":
            session.execute(text("ANALYZE inbox"))
        plan = _plan_of_claim(store, session)
    assert "inbox_open" in plan, plan
    assert "inbox_lane" in plan, plan


def _handle(engine: Engine, row: InboxEvent, owner: str) -> None:
    with transaction(engine) as session:
        put(session, "written-late")
        inbox.finish(session, row, owner)


def _done_rows(n: int) -> list[InboxEvent]:
    return [
        InboxEvent(team_id=TEAM, event_id=str(i), kind="event", lane="a", status=Status.DONE)
        for i in range(n)
    ]


def _plan_of_claim(engine: Engine, session: Session) -> str:
    statements: list[tuple[str, object]] = []

    def note(_c: object, _cursor: object, sql: str, values: object, *_: object) -> None:
        statements.append((sql, values))

    event.listen(engine, "before_cursor_execute", note)
    inbox.claim(session, "me")
    event.remove(engine, "before_cursor_execute", note)
    sql, values = next(pair for pair in statements if pair[0].startswith("SELECT inbox"))
    explain = "EXPLAIN QUERY PLAN " if engine.dialect.name == "sqlite" else "EXPLAIN "
    rows = session.connection().exec_driver_sql(explain + sql, values)  # type: ignore[arg-type]
    return "\n".join(str(row) for row in rows)


def _do(session: Session, deed: str, event: InboxEvent, owner: str) -> None:
    if deed == "renew":
        inbox.renew(session, event, owner)
    elif deed == "finish":
        inbox.finish(session, event, owner)
    elif deed == "retry":
        inbox.retry(session, event, owner, error="x", delay_s=0)
    else:
        inbox.fail(session, event, owner, error="x")
