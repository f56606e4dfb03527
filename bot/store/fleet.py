"""What each vLLM server has ready: written by the worker, read by whoever sends it questions."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta

from sqlalchemy import func, update
from sqlmodel import Session, col, select

from bot.store.schema import InboxEvent, Replica, Status, now
from serving.replicas import Ready, ReplicaState

STALE = timedelta(seconds=60)  # the worker looks every few seconds


def is_stale(row: Replica) -> bool:
    """Whether nobody has looked for so long that the row says nothing about now."""
    return row.seen_at < now() - STALE


def states(session: Session) -> list[ReplicaState]:
    """Every server as it was last seen."""
    return [_state(row) for row in session.exec(select(Replica))]


def write(session: Session, state: ReplicaState) -> None:
    """Note how a server was seen just now."""
    row = session.get(Replica, state.url) or Replica(url=state.url)
    row.adapters = {name: asdict(ready) for name, ready in state.adapters.items()}
    row.healthy, row.error, row.seen_at = state.healthy, state.error, now()
    row.trouble_since = None if state.healthy else row.trouble_since or now()
    session.add(row)


def look_again(session: Session) -> None:
    """Ask the worker to look at the servers at once: one was not as its row says."""
    session.execute(update(Replica).values(look_at=now()))


def wish(session: Session) -> datetime | None:
    """When somebody last asked for a look."""
    return session.exec(select(func.max(col(Replica.look_at)))).one()


def oldest_claim(session: Session) -> datetime | None:
    """When the oldest of what is being handled now came in; None while nothing is.

    What is claimed may have chosen its release already, and name it any time later.
    """
    claimed = select(func.min(col(InboxEvent.received_at)))
    return session.exec(claimed.where(InboxEvent.status == Status.CLAIMED)).one()


def _state(row: Replica) -> ReplicaState:
    adapters = {name: Ready(**ready) for name, ready in row.adapters.items()}
    return ReplicaState(row.url, row.healthy, adapters, row.error)
