"""Coverage gaps: what people ask again and again, and nobody has taught Mynah yet."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func
from sqlmodel import Session, col, or_, select

from bot.clusters import clusters
from bot.embedder import Embedder
from bot.memory import thresholds
from bot.store.schema import (
    Answer,
    AnswerMode,
    Case,
    CaseStatus,
    ChannelKind,
    Example,
    ExampleSource,
    ExampleStatus,
    Question,
)

_NEWEST = 500  # so many questions are looked at: what was asked long ago is no gap of today


@dataclass(frozen=True)
class Gap:
    """Questions that people had to answer and that ask for much the same, newest first."""

    questions: tuple[Question, ...]

    @property
    def newest(self) -> Question:
        """The question that stands for all of them."""
        return self.questions[0]

    @property
    def count(self) -> int:
        """How often it was asked."""
        return len(self.questions)


def gaps(
    session: Session, team_id: str, readable: Collection[str], embedder: Embedder
) -> list[Gap]:
    """What Mynah could not answer, or people asked for help with; newest first.

    A gap is closed when one of its questions was taught. Embeds every question: call it in a
    thread, in a session that only reads, and not for every click.

    Args:
        readable: the channels whose questions may be shown, of those that `gap_channels` names.
        embedder: what memory compares questions with (`Memory.embedder`).
    """
    asked = select(Question).where(is_escalated(team_id), col(Question.channel).in_(readable))
    questions = session.exec(asked.order_by(col(Question.id).desc()).limit(_NEWEST)).all()
    if not questions:
        return []
    alike = thresholds(embedder).alike
    groups = clusters(embedder.embed([question.text for question in questions]), alike)
    found = [tuple(questions[row] for row in group) for group in groups]
    taught = _taught(session, team_id, questions)
    return [Gap(group) for group in found if not any(_message(one) in taught for one in group)]


def gap_channels(session: Session, team_id: str, user: str, most: int) -> Sequence[str]:
    """The `most` channels with most questions for `gaps`, without other people's direct messages:
    ask of each whether the person may read it."""
    rows = (
        select(Question.channel)
        .where(is_escalated(team_id))
        .where(or_(Question.channel_kind != ChannelKind.IM, Question.user == user))
        .group_by(col(Question.channel))
        .order_by(func.count().desc(), col(Question.channel))
    )
    return session.exec(rows.limit(most)).all()


def is_escalated(team_id: str) -> ColumnElement[bool]:
    """Whether a question has a case, or Mynah was not sure of its answer."""
    cases = select(Case.question_id).where(
        Case.team_id == team_id, Case.status != CaseStatus.WITHDRAWN
    )
    withheld = select(Answer.question_id).where(
        Answer.team_id == team_id,
        Answer.mode == AnswerMode.UNSURE,
        col(Answer.replaced_at).is_(None),
    )
    return (
        (col(Question.team_id) == team_id)
        & col(Question.deleted_at).is_(None)
        & or_(col(Question.id).in_(cases), col(Question.id).in_(withheld))
    )


def _taught(session: Session, team_id: str, questions: Sequence[Question]) -> set[tuple[str, str]]:
    """The messages among them that an example which counts was made from."""
    rows = (
        select(ExampleSource.channel, ExampleSource.ts)
        .join(Example, col(Example.id) == col(ExampleSource.example_id))
        .where(
            ExampleSource.team_id == team_id,
            Example.status == ExampleStatus.LIVE,
            col(ExampleSource.ts).in_([question.ts for question in questions]),
        )
    )
    return set(session.exec(rows))


def _message(question: Question) -> tuple[str, str]:
    return question.channel, question.ts
