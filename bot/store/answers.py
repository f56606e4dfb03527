"""Answers as they stand: a question has one current answer, and one message that shows it."""

from __future__ import annotations

from sqlalchemy import func
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from bot import outbox
from bot.store.schema import Answer, OutboxKind, OutboxMessage, Question, Status


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
    again = _posts(question, "again").order_by(col(OutboxMessage.id).desc())
    return session.exec(again).first() or first


def further_parts(session: Session, question: Question) -> list[OutboxMessage]:
    """The rows of the messages behind the first one, where the answer was too long for it."""
    taken_back = select(OutboxMessage.follows_id).where(OutboxMessage.kind == OutboxKind.DELETE)
    kept = col(OutboxMessage.id).not_in(
        taken_back.where(col(OutboxMessage.follows_id).is_not(None))
    )
    return list(session.exec(_posts(question, "part").where(kept)))


def notices(session: Session, question: Question) -> list[OutboxMessage]:
    """The rows of messages that say that the answer is still to come, and that still stand."""
    return [one for one in session.exec(_posts(question, "notice")) if stands(session, one)]


def notice_key(question_id: int | None, number: int) -> str:
    """The outbox key of the notice that an answer, the question's first, second …, is to come."""
    return f"{message_key(question_id)}:notice:{number}"


def count(session: Session, question_id: int | None) -> int:
    """How many answers the question has had, however they stand."""
    rows = select(func.count()).select_from(Answer).where(Answer.question_id == question_id)
    return session.exec(rows).one()


def part_key(question_id: int | None, answer_id: int | None, number: int) -> str:
    """The outbox key of a further part of an answer."""
    return f"{message_key(question_id)}:part:{answer_id}:{number}"


def again_key(question_id: int | None, answer_id: int | None) -> str:
    """The outbox key of an answer whose question's first message could not be sent."""
    return f"{message_key(question_id)}:again:{answer_id}"


def _posts(question: Question, sort: str) -> SelectOfScalar[OutboxMessage]:
    return select(OutboxMessage).where(
        OutboxMessage.team_id == question.team_id,
        col(OutboxMessage.key).startswith(f"{message_key(question.id)}:{sort}:"),
        col(OutboxMessage.follows_id).is_(None),
    )


def stands(session: Session, said: OutboxMessage) -> bool:
    """Whether a message can still be changed: Slack took it, and it was not taken back."""
    return said.status is not Status.FAILED and not outbox.taken_back(session, said)


def was_read(session: Session, answer: Answer, at: float) -> bool:
    """Whether the answer's message showed this answer at `at`, seconds by Slack's clock.

    Where its words replaced others, somebody may have meant those.
    """
    said = shown(session, session.get_one(Question, answer.question_id))
    first = _shown_since(session, said, answer) if said is not None else None
    if first is None or first.follows_id is None:
        return True
    return first.finished_at is not None and at >= first.finished_at.timestamp()


def _shown_since(session: Session, said: OutboxMessage, answer: Answer) -> OutboxMessage | None:
    """The row with which the message came to show the answer that it shows now."""
    about = (col(OutboxMessage.id) == said.id) | (col(OutboxMessage.follows_id) == said.id)
    rows = select(OutboxMessage).where(about, col(OutboxMessage.answer_id).is_not(None))
    first = None
    for row in session.exec(rows.order_by(col(OutboxMessage.id).desc())):
        if row.answer_id != answer.id:
            break
        first = row
    return first
