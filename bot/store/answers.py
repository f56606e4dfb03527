"""Answers as they stand: a question has one current answer, and one message that shows it."""

from __future__ import annotations

from sqlmodel import Session, col, select

from bot import outbox
from bot.store.schema import Answer, OutboxMessage, Question, Status


def message_key(question_id: int | None) -> str:
    """The outbox key of the first message that answers a question."""
    return f"answer:{question_id}"


def current(session: Session, question_id: int | None) -> Answer | None:
    """The answer that stands; None while there is none, or a new one is being made."""
    rows = select(Answer).where(
        Answer.question_id == question_id, col(Answer.replaced_at).is_(None)
    )
    return session.exec(rows).first()


def shown(session: Session, question: Question) -> OutboxMessage | None:
    """The outbox row of the message that answers the question, whatever became of it.

    When the first one could not be sent, or was taken back, it is the newest that was said in its
    place.
    """
    first = outbox.said(session, question.team_id, message_key(question.id))
    if first is None or stands(session, first):
        return first
    again = select(OutboxMessage).where(
        OutboxMessage.team_id == question.team_id,
        col(OutboxMessage.key).startswith(f"{message_key(question.id)}:"),
        col(OutboxMessage.follows_id).is_(None),
    )
    return session.exec(again.order_by(col(OutboxMessage.id).desc())).first() or first


def stands(session: Session, said: OutboxMessage) -> bool:
    """Whether a message can still be changed: Slack took it, and it was not taken back."""
    return said.status is not Status.FAILED and not outbox.taken_back(session, said)
