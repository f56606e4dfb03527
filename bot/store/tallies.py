"""How Mynah is doing: how much it answered, and how staff rated that."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta

from sqlalchemy import func
from sqlmodel import Session, col, select

from bot.store.schema import (
    RATINGS,
    UNSETTLED,
    Answer,
    AnswerMode,
    Case,
    Evaluation,
    Feedback,
    FeedbackKind,
    Release,
    now,
    verdict,
)

Ratings = Mapping[FeedbackKind, int]


def answered(session: Session, team_id: str, days: int) -> int:
    """How many questions were answered within the last so many days."""
    rows = select(func.count()).select_from(Answer)
    here = (
        Answer.team_id == team_id,
        col(Answer.replaced_at).is_(None),
        Answer.mode != AnswerMode.UNSURE,  # that Mynah is not sure is no answer
    )
    since = now() - timedelta(days=days)
    return session.exec(rows.where(*here, col(Answer.answered_at) >= since)).one()


def ratings(session: Session, team_id: str, numbers: Collection[int]) -> dict[int, Ratings]:
    """How often staff rated answers of these releases in each way, by the release's number.

    What staff wrote in the place of an answer is theirs: who approves it approves no release.
    """
    rows = (
        select(Release.number, Feedback.kind, func.count())
        .join(Answer, col(Answer.release_id) == Release.id)
        .join(Feedback, col(Feedback.answer_id) == Answer.id)
        .where(Release.team_id == team_id, col(Release.number).in_(numbers))
        .where(Answer.mode != AnswerMode.CORRECTED)
        .where(col(Feedback.kind).in_(RATINGS), col(Feedback.revoked_at).is_(None))
        .group_by(col(Release.number), col(Feedback.kind))
    )
    found: dict[int, dict[FeedbackKind, int]] = {number: {} for number in numbers}
    for number, kind, count in session.exec(rows):
        found[number][FeedbackKind(kind)] = count
    return dict(found)


def open_cases(session: Session, team_id: str) -> int:
    """How many cases wait for somebody, or are being worked on."""
    rows = select(func.count()).select_from(Case)
    return session.exec(rows.where(Case.team_id == team_id, col(Case.status).in_(UNSETTLED))).one()


def verdicts(session: Session) -> dict[str, int]:
    """How many evaluations came to which verdict."""
    columns = (col(Evaluation.passed), col(Evaluation.enough))
    found = dict.fromkeys(("pass", "fail", "unclear"), 0)
    for passed, enough, count in session.exec(select(*columns, func.count()).group_by(*columns)):
        found[verdict(passed, enough)] += count
    return found
