"""Threads that Mynah takes part in: somebody asked it something there."""

from __future__ import annotations

from sqlalchemy import text
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from bot.store.schema import InboxEvent, Question


def takes_part(session: Session, team_id: str, channel: str, thread_ts: str) -> bool:
    """Whether a question stands in the thread."""
    return session.exec(_questions(team_id, channel, thread_ts).limit(1)).first() is not None


def has_asked(session: Session, team_id: str, channel: str, thread_ts: str, user: str) -> bool:
    """Whether the person has a question in the thread."""
    rows = _questions(team_id, channel, thread_ts).where(Question.user == user)
    return session.exec(rows.limit(1)).first() is not None


def is_waited_for(session: Session, team_id: str, lane: str) -> bool:
    """Whether something of the thread's lane is still to be handled: it may be a question."""
    rows = select(InboxEvent.id).where(
        InboxEvent.team_id == team_id,
        InboxEvent.lane == lane,
        # Spelled out, as the partial index is: only then do the planners use it.
        text("inbox.status IN ('waiting', 'claimed')"),
    )
    return session.exec(rows.limit(1)).first() is not None


def _questions(team_id: str, channel: str, thread_ts: str) -> SelectOfScalar[Question]:
    return select(Question).where(
        Question.team_id == team_id,
        Question.channel == channel,
        Question.thread_ts == thread_ts,
        col(Question.deleted_at).is_(None),
    )
