"""The inbox: everything Slack delivers, stored before it is acknowledged, handled once."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, or_, text, update
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from bot.store import queue
from bot.store.once import insert_once
from bot.store.queue import LostClaim, Teams
from bot.store.schema import InboxEvent, Status, now

__all__ = [
    "LostClaim", "are_asking", "call", "claim", "fail", "finish", "forget_old", "has", "in_line",
    "receive", "renew", "retry",
]  # fmt: skip
IN_LINE = "in line"  # with this word events are handed back that wait to be called


def receive(
    session: Session, *, team_id: str, event_id: str, kind: str, lane: str, payload: dict[str, Any]
) -> bool:
    """Store what was delivered; False when this `event_id` of the team was delivered before."""
    event = InboxEvent(team_id=team_id, event_id=event_id, kind=kind, lane=lane, payload=payload)
    return insert_once(session, event)


def claim(
    session: Session,
    owner: str,
    lease_s: float = 60,
    *,
    teams: Teams | None = None,
    kinds: Collection[str] | None = None,
) -> InboxEvent | None:
    """Take the oldest event whose lane is free, or None. Claim once in a transaction.

    Args:
        teams: take the rows of these workspaces only.
        kinds: take these only; in its lane each still waits for all before it.
    """
    conditions = []
    if teams is not None:
        conditions.append(queue.of_teams(InboxEvent, teams))
    if kinds is not None:
        conditions.append(col(InboxEvent.kind).in_(kinds))
    return queue.claim(session, InboxEvent, owner, *conditions, lease_s=lease_s)


def renew(session: Session, event: InboxEvent, owner: str, lease_s: float = 60) -> None:
    """Hold the claim for another `lease_s` seconds. Raises LostClaim."""
    queue.renew(session, event, owner, lease_s=lease_s)


def finish(session: Session, event: InboxEvent, owner: str) -> None:
    """The event was handled. Raises LostClaim, and then what was done must not be committed."""
    queue.finish(session, event, owner)


def retry(session: Session, event: InboxEvent, owner: str, *, error: str, delay_s: float) -> None:
    """Hand the event back, to be handled again after `delay_s` seconds. Raises LostClaim."""
    queue.retry(session, event, owner, error=error, delay_s=delay_s)


def fail(session: Session, event: InboxEvent, owner: str, *, error: str) -> None:
    """Give the event up; the later ones of its lane go on. Raises LostClaim."""
    queue.fail(session, event, owner, error=error)


def in_line(session: Session, *, teams: Teams, before: int | None = None) -> int:
    """How many events stand in line and were not called, of those before the row `before`."""
    rows = select(func.count()).select_from(InboxEvent)
    rows = rows.where(*_in_line(teams), col(InboxEvent.not_before) > now())
    if before is not None:
        rows = rows.where(col(InboxEvent.id) < before)
    return session.exec(rows).one()


def has(session: Session, kind: str) -> bool:
    """Whether an event of the kind is still to be handled."""
    return session.exec(_open(kind).limit(1)).first() is not None


def are_asking(session: Session) -> bool:
    """Whether a question, of whatever workspace, is being answered, can be, or stands in line; one
    that waits to be tried again is none, nor is what comes behind it in its lane."""
    put_off = and_(
        col(InboxEvent.not_before) > now(), ~col(InboxEvent.error).startswith(f"{IN_LINE}: ")
    )
    behind = queue.blocked(InboxEvent, now())
    rests = and_(col(InboxEvent.status) == Status.WAITING, or_(put_off, behind))
    return session.exec(_open("question").where(~rests).limit(1)).first() is not None


def _open(kind: str) -> SelectOfScalar[InboxEvent]:
    # Spelled out, as the partial index is: only then do the planners use it.
    waiting = text("inbox.status IN ('waiting', 'claimed')")
    return select(InboxEvent).where(waiting, col(InboxEvent.kind) == kind)


def call(session: Session, most: int, *, teams: Teams) -> int:
    """Let the oldest events in line be claimed, so that at most `most` of them wait for that; how
    many were called."""
    moment = now()
    rows = select(InboxEvent.id, InboxEvent.not_before).where(*_in_line(teams))
    found = session.exec(rows.order_by(col(InboxEvent.id))).all()
    ready = sum(at <= moment for _, at in found)
    chosen = [one for one, at in found if at > moment][: max(most - ready, 0)]
    here = (col(InboxEvent.id).in_(chosen), col(InboxEvent.status) == Status.WAITING)
    session.execute(update(InboxEvent).where(*here).values(not_before=moment))
    return len(chosen)


def _in_line(teams: Teams) -> tuple[ColumnElement[bool], ...]:
    return (
        queue.of_teams(InboxEvent, teams),
        col(InboxEvent.status) == Status.WAITING,
        col(InboxEvent.error).startswith(f"{IN_LINE}: "),
    )


def forget_old(session: Session, days: float) -> int:
    """Delete what was handled or given up more than `days` days ago; the number of rows."""
    old = col(InboxEvent.finished_at) < now() - timedelta(days=days)
    return len(session.scalars(delete(InboxEvent).where(old).returning(col(InboxEvent.id))).all())
