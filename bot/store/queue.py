"""The one queue behind inbox and outbox: claim a row under a lease, then finish, retry or fail it.

Rows of one lane are handled in the order of `id`, one at a time: a row waits for every earlier row
of its lane to be done or given up, also while that one waits to be retried. A claim that was not
renewed in time is taken over by the next claimer; whoever held it before gets `LostClaim`.
`attempts` grows with each claim and is the fence: a claim is (row, owner, attempts), so that two
tasks of one process cannot mistake each other's claims for their own.

Leases compare the clocks of the machines involved, which have to agree within a few seconds.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Exists, Select, and_, exists, func, or_, select, text, update
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from bot.store.schema import InboxEvent, OutboxMessage, Status, now

Row = TypeVar("Row", InboxEvent, OutboxMessage)
Teams = str | Select[Any]  # one workspace, or a query for the ids of several


class LostClaim(Exception):
    """The claim ran out and another process took the row over."""


def claim(
    session: Session, table: type[Row], owner: str, *conditions: ColumnElement[bool], lease_s: float
) -> Row | None:
    """Take the oldest row that may be handled now, or None. Claim once in a transaction.

    Args:
        conditions: what else must hold of the row (those before it in its lane it waits for
            whether they do or not).
    """
    while row := _candidate(session, table, conditions):
        if _take(session, table, row, owner, lease_s):
            return row
    return None


def of_teams(table: type[Row], teams: Teams) -> ColumnElement[bool]:
    """The condition that a row is of these workspaces."""
    column = col(table.team_id)
    return column == teams if isinstance(teams, str) else column.in_(teams)


def abandon(
    session: Session, table: type[Row], team_id: str, *, error: str, but: int | None = None
) -> None:
    """Give up all open rows of a workspace, also those that somebody holds, but for one."""
    values = {"status": Status.FAILED, "error": error, "finished_at": now()}
    session.execute(
        update(table)
        .where(_open(table), col(table.team_id) == team_id, col(table.id).is_distinct_from(but))
        .values(**values, lease_owner=None, lease_until=None)
    )


def is_busy(session: Session, table: type[Row], team_id: str, lane: str) -> bool:
    """Whether a row of the lane is still to be done."""
    rows = select(col(table.id)).where(
        _open(table), col(table.team_id) == team_id, col(table.lane) == lane
    )
    return session.scalars(rows.limit(1)).first() is not None


def renew(session: Session, row: Row, owner: str, *, lease_s: float) -> None:
    """Hold the claim for another `lease_s` seconds from now. Raises LostClaim."""
    _change(session, row, owner, lease_until=now() + timedelta(seconds=lease_s))


def finish(session: Session, row: Row, owner: str, **also: Any) -> None:
    """Mark the row done, and set the columns `also`. Raises LostClaim."""
    _end(session, row, owner, status=Status.DONE, error=None, finished_at=now(), **also)


def retry(session: Session, row: Row, owner: str, *, error: str, delay_s: float) -> None:
    """Hand the row back, to be claimed again after `delay_s` seconds. Raises LostClaim."""
    later = now() + timedelta(seconds=delay_s)
    _end(session, row, owner, status=Status.WAITING, error=error, not_before=later)


def fail(session: Session, row: Row, owner: str, *, error: str) -> None:
    """Give the row up; its lane goes on without it. Raises LostClaim."""
    _end(session, row, owner, status=Status.FAILED, error=error, finished_at=now())


def _candidate(
    session: Session, table: type[Row], conditions: Sequence[ColumnElement[bool]]
) -> Row | None:
    moment = now()
    free = _open(table), _ready(table, moment), ~blocked(table, moment)
    rows = select(table).where(*free, *conditions).order_by(col(table.id)).limit(1)
    return session.scalars(rows.with_for_update(skip_locked=True, of=table)).first()


def _take(session: Session, table: type[Row], row: Row, owner: str, lease_s: float) -> bool:
    _lock_lane(session, row)
    moment = now()
    claimed = session.scalars(
        update(table)
        .where(col(table.id) == row.id, ~blocked(table, moment))
        .values(
            status=Status.CLAIMED,
            lease_owner=owner,
            lease_until=moment + timedelta(seconds=lease_s),
            attempts=row.attempts + 1,
        )
        .returning(col(table.id)),
        execution_options={"synchronize_session": "fetch"},
    ).first()
    return claimed is not None


def _lock_lane(session: Session, row: InboxEvent | OutboxMessage) -> None:
    """Where claimers run side by side, two that see different rows of a lane come one by one."""
    if session.get_bind().dialect.name == "postgresql":
        key = func.hashtextextended(f"{row.team_id}:{row.lane}", 0)
        session.scalar(select(func.pg_advisory_xact_lock(key)))


def _open(table: Any) -> ColumnElement[bool]:
    # Spelled out, not bound: only then do the planners know that the partial indexes hold the rows.
    name = getattr(table, "__tablename__", None) or table.name
    return text(f"{name}.status IN ('waiting', 'claimed')")  # type: ignore[return-value]


def _ready(table: Any, moment: datetime) -> ColumnElement[bool]:
    return or_(
        and_(col(table.status) == Status.WAITING, col(table.not_before) <= moment),
        and_(col(table.status) == Status.CLAIMED, col(table.lease_until) < moment),
    )


def blocked(table: Any, moment: datetime) -> Exists:
    """Whether an earlier row of the lane is not done, or another one is being handled."""
    other = _other(table)
    held = and_(other.status == Status.CLAIMED, other.lease_until >= moment, other.id != table.id)
    return exists().where(
        text("other.status IN ('waiting', 'claimed')"),
        other.team_id == table.team_id,
        other.lane == table.lane,
        or_(other.id < table.id, held),
    )


@functools.cache
def _other(table: Any) -> Any:
    """The other rows of the table. Made once: half of the time of a claim went into making it."""
    return aliased(table, name="other")


def _end(session: Session, row: InboxEvent | OutboxMessage, owner: str, **values: Any) -> None:
    _change(session, row, owner, lease_owner=None, lease_until=None, **values)


def _change(session: Session, row: InboxEvent | OutboxMessage, owner: str, **values: Any) -> None:
    table: Any = type(row)
    changed = session.scalars(
        update(table)
        .where(
            table.id == row.id,
            table.status == Status.CLAIMED,
            table.lease_owner == owner,
            table.attempts == row.attempts,
        )
        .values(**values)
        .returning(table.id),
        execution_options={"synchronize_session": "fetch"},
    ).first()
    if changed is None:
        raise LostClaim(f"{table.__tablename__} {row.id}: {LostClaim.__doc__}")
