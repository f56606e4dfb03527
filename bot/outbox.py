"""The outbox: everything Mynah says in Slack is a row first, and is posted exactly once."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ScalarResult, update
from sqlmodel import Session, col, select

from bot.store import queue
from bot.store.once import insert_once
from bot.store.queue import LostClaim
from bot.store.schema import Answer, OutboxKind, OutboxMessage, Status

__all__ = [
    "LostClaim", "change", "claim", "fail", "overtaken", "renew", "retry", "said", "say", "sent",
    "take_back", "taken_back",
]  # fmt: skip


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
) -> OutboxMessage:
    """Queue a message for Slack, and return its row.

    Args:
        key: what the message is about. The same key said again changes nothing: the first row
            comes back.
        payload: the Slack method's arguments besides channel and thread.
    """
    message = OutboxMessage(
        team_id=team_id, key=key, channel=channel, payload=payload, thread_ts=thread_ts,
        kind=kind, answer_id=answer_id, lane=f"{channel}:{thread_ts or ''}",
    )  # fmt: skip
    insert_once(session, message)
    return _said(session, team_id, key).one()


def said(session: Session, team_id: str, key: str) -> OutboxMessage | None:
    """The row that was said under this key."""
    return _said(session, team_id, key).first()


def change(
    session: Session,
    first: OutboxMessage,
    *,
    key: str,
    payload: dict[str, Any],
    answer_id: int | None = None,
) -> None:
    """Queue new words for a message that was said. Of those that still wait, only the last are
    sent. A key counts once, as in `say`."""
    _follow(session, first, OutboxKind.UPDATE, key, payload=payload, answer_id=answer_id)


def take_back(session: Session, first: OutboxMessage, *, key: str) -> None:
    """Queue the deletion of a message that was said. A key counts once, as in `say`."""
    _follow(session, first, OutboxKind.DELETE, key)


def taken_back(session: Session, first: OutboxMessage) -> bool:
    """Whether the deletion of a message that was said is queued, or done."""
    deletions = select(OutboxMessage.id).where(
        OutboxMessage.follows_id == first.id, OutboxMessage.kind == OutboxKind.DELETE
    )
    return session.exec(deletions).first() is not None


def _follow(
    session: Session, first: OutboxMessage, kind: OutboxKind, key: str, **values: Any
) -> None:
    message = OutboxMessage(
        team_id=first.team_id, key=key, kind=kind, channel=first.channel,
        thread_ts=first.thread_ts, lane=first.lane, follows_id=first.id, **values,
    )  # fmt: skip
    insert_once(session, message)


def overtaken(session: Session, message: OutboxMessage) -> bool:
    """Whether a later change of the same message waits."""
    later = select(OutboxMessage.id).where(
        OutboxMessage.follows_id == message.follows_id,
        col(OutboxMessage.id) > message.id,
        OutboxMessage.status == Status.WAITING,
    )
    return session.exec(later).first() is not None


def _said(session: Session, team_id: str, key: str) -> ScalarResult[OutboxMessage]:
    same = select(OutboxMessage).where(OutboxMessage.team_id == team_id, OutboxMessage.key == key)
    return session.exec(same)


def claim(
    session: Session, owner: str, lease_s: float = 60, *, team_id: str | None = None
) -> OutboxMessage | None:
    """Take the oldest message whose lane is free, or None. Claim once in a transaction.

    `attempts > 1` on the row means that an earlier holder may have posted it already.
    """
    # A stream is held by who writes the answer; it is said when it has become a post.
    conditions = [col(OutboxMessage.kind) != OutboxKind.STREAM]
    if team_id is not None:
        conditions.append(col(OutboxMessage.team_id) == team_id)
    return queue.claim(session, OutboxMessage, owner, *conditions, lease_s=lease_s)


def renew(session: Session, message: OutboxMessage, owner: str, lease_s: float = 60) -> None:
    """Hold the claim for another `lease_s` seconds. Raises LostClaim."""
    queue.renew(session, message, owner, lease_s=lease_s)


def sent(session: Session, message: OutboxMessage, owner: str, ts: str | None) -> None:
    """Slack has it, as message `ts` (None for a reply to a command). Raises LostClaim.

    An answer learns its `ts` too, so that reactions on it find it.
    """
    queue.finish(session, message, owner, **({"ts": ts} if ts else {}))
    if ts and message.answer_id is not None:
        session.execute(update(Answer).where(col(Answer.id) == message.answer_id).values(ts=ts))


def retry(
    session: Session, message: OutboxMessage, owner: str, *, error: str, delay_s: float
) -> None:
    """Hand the message back, to be posted after `delay_s` seconds. Raises LostClaim."""
    queue.retry(session, message, owner, error=error, delay_s=delay_s)


def fail(session: Session, message: OutboxMessage, owner: str, *, error: str) -> None:
    """Give the message up; the later ones of its lane go on. Raises LostClaim."""
    queue.fail(session, message, owner, error=error)
