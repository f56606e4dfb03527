"""The outbox: everything Mynah says in Slack is a row first, and is posted exactly once."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ScalarResult, update
from sqlmodel import Session, col, select

from bot.store import queue
from bot.store.once import insert_once
from bot.store.queue import LostClaim, Teams
from bot.store.schema import Answer, OutboxKind, OutboxMessage, Status, now

__all__ = [
    "LostClaim", "attach", "change", "claim", "drop_stream", "end_stream", "fail", "keep",
    "open_stream", "overtaken", "renew", "retry", "said", "say", "sent", "stream_refused",
    "stream_started", "take_back", "taken_back",
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


def keep(session: Session, *, team_id: str, key: str, payload: dict[str, Any]) -> None:
    """Note what was said where no message carries it (the Home tab): nothing is sent for it."""
    message = OutboxMessage(
        team_id=team_id, key=key, channel="", lane="", payload=payload, status=Status.DONE,
        finished_at=now(),
    )  # fmt: skip
    insert_once(session, message)


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
    anew: bool = False,
) -> None:
    """Queue new words for a message that was said. Of those that still wait, only the last are
    sent. A key counts once, as in `say`.

    Args:
        anew: say them in a new message, which later changes follow, where the first one never came
            or somebody deleted it.
    """
    kind = OutboxKind.RENEW if anew else OutboxKind.UPDATE
    _follow(session, first, kind, key, payload=payload, answer_id=answer_id)


def attach(session: Session, first: OutboxMessage, *, key: str, payload: dict[str, Any]) -> None:
    """Queue the picture of an evaluation for the thread of a message that was said. A key counts
    once, as in `say`.

    Args:
        payload: `evaluation_id`, and the upload's `filename`, `title` and `alt_txt`; perhaps
            `page`, which names the evaluation's page in the same way, to go along.
    """
    _follow(session, first, OutboxKind.PICTURE, key, payload=payload)


def take_back(session: Session, first: OutboxMessage, *, key: str) -> None:
    """Queue the deletion of a message that was said. A key counts once, as in `say`."""
    _follow(session, first, OutboxKind.DELETE, key)


def taken_back(session: Session, first: OutboxMessage) -> bool:
    """Whether the deletion of a message that was said is queued, or done."""
    deletions = select(OutboxMessage.id).where(
        OutboxMessage.follows_id == first.id, OutboxMessage.kind == OutboxKind.DELETE
    )
    return session.exec(deletions).first() is not None


def open_stream(
    session: Session, *, team_id: str, key: str, channel: str, thread_ts: str, holder: str
) -> OutboxMessage | None:
    """The row of an answer that is being written. `holder` may begin its stream if the row is
    theirs: an earlier holder's stays as it is, because what that one began may be in Slack.

    Nobody posts it, and nothing later is said in its lane, until it is ended or dropped. None where
    the key was said, or where something before it is still to be said: what is in the thread
    without a mark would be taken for that.
    """
    lane = f"{channel}:{thread_ts}"
    known = said(session, team_id, key)
    if known is None and queue.is_busy(session, OutboxMessage, team_id, lane):
        return None
    row = OutboxMessage(
        team_id=team_id, key=key, kind=OutboxKind.STREAM, channel=channel, thread_ts=thread_ts,
        lane=lane, status=Status.CLAIMED, lease_owner=holder,
        attempts=1,  # it may have begun in Slack: whoever ends it looks for it there
    )  # fmt: skip
    insert_once(session, row)
    same = select(OutboxMessage).where(OutboxMessage.team_id == team_id, OutboxMessage.key == key)
    row = session.exec(same.with_for_update()).one()
    if row.kind is not OutboxKind.STREAM:
        return None
    if not row.attempts:  # Slack refused the earlier one
        row.lease_owner, row.attempts = holder, 1
        session.add(row)
    return row


def stream_started(session: Session, row: OutboxMessage, holder: str, ts: str) -> None:
    """Slack shows the stream as message `ts`. Raises LostClaim."""
    _change_stream(session, row, holder, ts=ts)


def stream_refused(session: Session, row: OutboxMessage, holder: str) -> None:
    """Slack wants no stream there: nothing was begun. Raises LostClaim."""
    _change_stream(session, row, holder, attempts=0)


def end_stream(
    session: Session, row: OutboxMessage, *, payload: dict[str, Any], answer_id: int | None
) -> None:
    """The answer is whole, or given up: what was streamed becomes its post, and the poster makes it
    so."""
    # The poster has to know that it may be there without a mark.
    row.payload = {**payload, "stream": True}
    row.kind, row.answer_id = OutboxKind.POST, answer_id
    _free(session, row)


def drop_stream(session: Session, row: OutboxMessage) -> None:
    """There will be no answer: what was streamed is deleted."""
    row.kind, row.follows_id, row.payload = OutboxKind.DELETE, row.id, {"stream": True}
    _free(session, row)


def _free(session: Session, row: OutboxMessage) -> None:
    row.status, row.lease_owner = Status.WAITING, None
    session.add(row)


def _change_stream(session: Session, row: OutboxMessage, holder: str, **values: Any) -> None:
    held = (col(OutboxMessage.lease_owner) == holder, OutboxMessage.kind == OutboxKind.STREAM)
    changed = session.scalars(
        update(OutboxMessage)
        .where(col(OutboxMessage.id) == row.id, *held)  # type: ignore[arg-type]
        .values(**values)
        .returning(col(OutboxMessage.id)),
        execution_options={"synchronize_session": "fetch"},
    ).first()
    if changed is None:
        raise LostClaim(f"outbox {row.id}: {LostClaim.__doc__}")


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
        col(OutboxMessage.kind) != OutboxKind.PICTURE,
        OutboxMessage.status == Status.WAITING,
    )
    return session.exec(later).first() is not None


def _said(session: Session, team_id: str, key: str) -> ScalarResult[OutboxMessage]:
    same = select(OutboxMessage).where(OutboxMessage.team_id == team_id, OutboxMessage.key == key)
    return session.exec(same)


def claim(
    session: Session, owner: str, lease_s: float = 60, *, teams: Teams | None = None
) -> OutboxMessage | None:
    """Take the oldest message whose lane is free, or None. Claim once in a transaction.

    `attempts > 1` on the row means that an earlier holder may have posted it already.
    """
    # A stream is held by who writes the answer; it is said when it has become a post.
    conditions = [col(OutboxMessage.kind) != OutboxKind.STREAM]
    if teams is not None:
        conditions.append(queue.of_teams(OutboxMessage, teams))
    return queue.claim(session, OutboxMessage, owner, *conditions, lease_s=lease_s)


def renew(session: Session, message: OutboxMessage, owner: str, lease_s: float = 60) -> None:
    """Hold the claim for another `lease_s` seconds. Raises LostClaim."""
    queue.renew(session, message, owner, lease_s=lease_s)


def sent(session: Session, message: OutboxMessage, owner: str, ts: str | None) -> None:
    """Slack has it, as message `ts` (None for a reply to a command). Raises LostClaim.

    An answer learns the `ts` of its first message too, so that reactions on it find it, and so
    does what a renewal follows: it may have been said anew.
    """
    queue.finish(session, message, owner, **({"ts": ts} if ts else {}))
    if ts and message.kind is OutboxKind.RENEW:
        first = col(OutboxMessage.id) == message.follows_id
        session.execute(update(OutboxMessage).where(first).values(ts=ts))
    if ts and message.answer_id is not None:
        unknown = (col(Answer.id) == message.answer_id, col(Answer.ts).is_(None))
        session.execute(update(Answer).where(*unknown).values(ts=ts))


def retry(
    session: Session, message: OutboxMessage, owner: str, *, error: str, delay_s: float
) -> None:
    """Hand the message back, to be posted after `delay_s` seconds. Raises LostClaim."""
    queue.retry(session, message, owner, error=error, delay_s=delay_s)


def fail(session: Session, message: OutboxMessage, owner: str, *, error: str) -> None:
    """Give the message up; the later ones of its lane go on. Raises LostClaim."""
    queue.fail(session, message, owner, error=error)
