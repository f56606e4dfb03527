"""What waits for review: answers that nobody of the staff rated, and what staff disagree on.

What a person may read of it is for the caller to say, channel by channel.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, and_, case, exists, func
from sqlmodel import Session, col, or_, select

from bot.store import holds
from bot.store.schema import (
    RATINGS,
    UNSETTLED,
    Answer,
    AnswerMode,
    Case,
    CaseStatus,
    ChannelKind,
    Example,
    ExampleStatus,
    Feedback,
    FeedbackKind,
    Question,
    now,
)

ASKED_FOR = timedelta(days=30)  # what nobody rated for so long is left alone
_UNKNOWN = -100.0  # for a confidence that is not known: less sure than any


@dataclass(frozen=True)
class Pending:
    """An answer that waits for somebody's word."""

    answer: Answer
    question: Question
    case: CaseStatus | None  # of the open case about its question
    held: str | None = None  # why what it teaches is held back, if it is
    thumbs: Sequence[Feedback] = ()  # whether it helped those who asked


def channels(session: Session, team_id: str, user: str, most: int) -> Sequence[str]:
    """The `most` channels with most to review, without other people's direct messages."""
    rows = (
        select(Answer.channel)
        .join(Question, col(Question.id) == Answer.question_id)
        .where(_waits(team_id))
        .where(or_(Question.channel_kind != ChannelKind.IM, Question.user == user))
        .group_by(col(Answer.channel))
        .order_by(func.count().desc(), col(Answer.channel))
    )
    return session.exec(rows.limit(most)).all()


def queue(
    session: Session, team_id: str, readable: Collection[str], *, skip: int, most: int
) -> list[Pending]:
    """What waits in these channels: disagreements, then what Mynah was not sure of, then the rest,
    the least sure first: what it wrote itself before what it quoted."""
    disputed = _is_held(col(Example.reason).is_distinct_from(holds.WAITING))
    waits = _is_held(col(Example.reason) == holds.WAITING)
    held = case((disputed, holds.DISPUTED), (waits, holds.WAITING))
    rows = (
        select(Answer, Question, Case.status, held)
        .join(Question, col(Question.id) == Answer.question_id)
        .outerjoin(Case, _is_open_case())
        .where(_waits(team_id), col(Answer.channel).in_(readable))
        .order_by(
            case((disputed, 0), (col(Answer.mode) == AnswerMode.UNSURE, 1), else_=2),
            func.coalesce(Answer.confidence, _UNKNOWN),
            col(Answer.id).desc(),
        )
    )
    found = session.exec(rows.offset(skip).limit(most)).all()
    thumbs = _thumbs(session, team_id, [answer.id for answer, *_ in found])
    return [
        Pending(
            answer, asked, CaseStatus(status) if status else None, why,
            [thumb for thumb in thumbs if thumb.answer_id == answer.id],
        )
        for answer, asked, status, why in found
    ]  # fmt: skip


def own(session: Session, team_id: str, user: str, most: int) -> Sequence[tuple[Question, Answer]]:
    """The person's newest questions with the answers that stand."""
    rows = (
        select(Question, Answer)
        .join(Answer, col(Answer.question_id) == Question.id)
        .where(Question.team_id == team_id, Question.user == user, _stands())
        .order_by(col(Question.id).desc())
    )
    return session.exec(rows.limit(most)).all()


def standing(session: Session, team_id: str, answer_id: int) -> Answer | None:
    """The answer, if it is still what Slack shows: its question may have been edited since."""
    rows = select(Answer).join(Question, col(Question.id) == Answer.question_id)
    here = (Answer.team_id == team_id, Answer.id == answer_id)
    return session.exec(rows.where(*here, _stands())).first()


def question_of(session: Session, team_id: str, answer: Answer) -> Question:
    """What it answers."""
    rows = select(Question).where(Question.team_id == team_id, Question.id == answer.question_id)
    return session.exec(rows).one()


def _thumbs(
    session: Session, team_id: str, answer_ids: Collection[int | None]
) -> Sequence[Feedback]:
    rows = select(Feedback).where(
        Feedback.team_id == team_id,
        col(Feedback.answer_id).in_(answer_ids),
        col(Feedback.kind).in_((FeedbackKind.HELPFUL, FeedbackKind.UNHELPFUL)),
        col(Feedback.revoked_at).is_(None),
    )
    return session.exec(rows.order_by(col(Feedback.id))).all()


def _waits(team_id: str) -> ColumnElement[bool]:
    """For a query over Answer and Question: somebody should look at the answer."""
    fresh = (
        col(Answer.answered_at) >= now() - ASKED_FOR,
        col(Answer.mode) != AnswerMode.CORRECTED,
        ~_is_rated(),
        ~_is_solved(),
    )
    return and_(col(Answer.team_id) == team_id, _stands(), or_(_is_held(), and_(*fresh)))


def _stands() -> ColumnElement[bool]:
    """It is the answer to a question that stands, and Slack shows it."""
    return and_(
        col(Answer.ts).is_not(None),
        col(Answer.replaced_at).is_(None),
        col(Answer.deleted_at).is_(None),
        col(Question.deleted_at).is_(None),
    )


def _is_rated() -> ColumnElement[bool]:
    return exists().where(
        col(Feedback.answer_id) == Answer.id,
        col(Feedback.kind).in_(RATINGS),
        col(Feedback.revoked_at).is_(None),
    )


def _is_held(*why: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(
        col(Feedback.answer_id) == Answer.id,
        col(Example.feedback_id) == Feedback.id,
        col(Example.status) == ExampleStatus.HELD,
        col(Example.answer) != "",  # a rejection has no answer that somebody could agree with
        col(Example.reason).is_distinct_from(holds.DISTRUSTED),  # nobody is asked about these
        *why,
    )


def _is_solved() -> ColumnElement[bool]:
    """Mynah said that it was not sure, and people answered in its place."""
    solved = exists().where(
        col(Case.question_id) == Question.id, col(Case.status) == CaseStatus.RESOLVED
    )
    solved = solved.correlate(Question)  # not the open case that the queue joins
    return and_(col(Answer.mode) == AnswerMode.UNSURE, solved)


def _is_open_case() -> ColumnElement[bool]:
    return and_(col(Case.question_id) == col(Question.id), col(Case.status).in_(UNSETTLED))
