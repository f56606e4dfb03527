"""What each vLLM server has ready: written by the worker, read by whoever sends it questions."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta

from sqlmodel import Session, select

from bot.store.schema import Replica, now
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
    adapters = {name: asdict(ready) for name, ready in state.adapters.items()}
    session.merge(
        Replica(
            url=state.url, healthy=state.healthy, adapters=adapters, error=state.error,
            seen_at=now(),
        )
    )  # fmt: skip


def _state(row: Replica) -> ReplicaState:
    adapters = {name: Ready(**ready) for name, ready in row.adapters.items()}
    return ReplicaState(row.url, row.healthy, adapters, row.error)
