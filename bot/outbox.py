"""The outbox: everything Mynah says in Slack is a row first, and is posted exactly once."""

from __future__ import annotations

from typing import Any

from sqlalchemy import update
from sqlmodel import Session, col, select

from bot.store import queue
from bot.store.once import insert_once
from bot.store.queue import LostClaim
from bot.store.schema import Answer, OutboxKind, OutboxMessage

__all__ = ["LostClaim", "claim", "fail", "renew", "retry", "say", "sent"]


def say(
    session: Session,
    *,
    team_id: str,
    key: str,
    channel: str,
    payload: dict[str, Any],
    thread_ts: str | None = None,
    kind: OutboxKind = OutboxKind.POST,
    answer_id: int | None = None,
    ts: str | None = None,
) -> OutboxMessage:
    """Queue a message for Slack, and return its row.

    Args:
        key: what the message is about. The same key said again changes nothing: the first row
            comes back.
        payload: the Slack method's arguments besides channel, thread and ts.
        ts: the message to update or delete.
    """
    message = OutboxMessage(
        team_id=team_id, key=key, channel=channel, payload=payload, thread_ts=thread_ts,
        kind=kind, answer_id=answer_id, ts=ts, lane=f"{channel}:{thread_ts or ''}",
    )  # fmt: skip
    insert_once(session, message)
    same = select(OutboxMessage).where(OutboxMessage.team_id == team_id, OutboxMessage.key == key)
    return session.exec(same).one()


def claim(
    session: Session, owner: str, lease_s: float = 60, *, team_id: str | None = None
) -> OutboxMessage | None:
    """Take the oldest message whose lane is free, or None. Claim once in a transaction.

    `attempts > 1` on the row means that an earlier holder may have posted it already.
    """
    ours = [] if team_id is None else [col(OutboxMessage.team_id) == team_id]
    return queue.claim(session, OutboxMessage, owner, *ours, lease_s=lease_s)


def renew(session: Session, message: OutboxMessage, owner: str, lease_s: float = 60) -> None:
    """Hold the claim for another `lease_s` seconds. Raises LostClaim."""
    queue.renew(session, message, owner, lease_s=lease_s)


def sent(session: Session, message: OutboxMessage, owner: str, ts: str | None) -> None:
    """Slack has it, as message `ts` (None for a reply to a command). Raises LostClaim.

    A posted answer learns its `ts` too, so that reactions on it find it.
    """
    queue.finish(session, message, owner, **({"ts": ts} if ts else {}))
    if ts and message.answer_id is not None and message.kind == OutboxKind.POST:
        session.execute(update(Answer).where(col(Answer.id) == message.answer_id).values(ts=ts))


def retry(
    session: Session, message: OutboxMessage, owner: str, *, error: str, delay_s: float
) -> None:
    """Hand the message back, to be posted after `delay_s` seconds. Raises LostClaim."""
    queue.retry(session, message, owner, error=error, delay_s=delay_s)


def fail(session: Session, message: OutboxMessage, owner: str, *, error: str) -> None:
    """Give the message up; the later ones of its lane go on. Raises LostClaim."""
    queue.fail(session, message, owner, error=error)
