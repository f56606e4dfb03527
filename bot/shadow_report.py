"""What a shadow has said so far, beside what people were shown.

What matters is what staff approved: where there is an approved answer, whether the shadow says it,
and whether what was shown did, by the same rule (`bot.grounding.says`). Where staff approved what
was shown, a shadow can at best do as well; only where they corrected it can it do better.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlmodel import Session, col, select

from bot import releases
from bot.grounding import says
from bot.prompt import MAX_QUESTION_CHARS
from bot.store import rollouts
from bot.store.callers import is_caller
from bot.store.schema import (
    Answer,
    AnswerMode,
    ChannelKind,
    Example,
    ExampleStatus,
    Feedback,
    FeedbackKind,
    Question,
    Release,
    ShadowAnswer,
)

NEWEST = 200  # rows that are looked at: while they are, SQLite stores nothing else
PAIRS = 5


@dataclass(frozen=True)
class Pair:
    """Two answers to one question that differ."""

    question: str
    shown: str
    shadow: str


@dataclass(frozen=True)
class Report:
    """How one shadow did, of its newest NEWEST questions."""

    number: int
    adapter: str | None  # None: the base model
    since: datetime
    by: str
    over: bool  # it is no shadow any more
    answered: int = 0
    same: int = 0  # word for word
    unsure: int = 0
    unsure_shown: int = 0
    approved: int = 0  # questions that have an approved answer by now
    corrected: int = 0  # of these, those for which staff wrote it
    right: int = 0  # of the approved ones, those that say what was approved
    right_shown: int = 0
    waiting: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)  # by the reason
    pairs: Sequence[Pair] = ()


@dataclass(frozen=True)
class _Row:
    shadow: ShadowAnswer
    shown: Answer
    question: Question

    @property
    def is_same(self) -> bool:
        return not self.is_unsure and _is_same(self.shadow.text, self.shown.text)

    @property
    def is_unsure(self) -> bool:
        return AnswerMode.UNSURE in (self.shadow.mode, self.shown.mode)


def read(session: Session, team_id: str) -> Report | None:
    """How the shadow does; where there is none, how the last one did. None where none ever was.

    The session may be one that only reads.
    """
    last = rollouts.last_shadow_row(session, team_id)
    if last is None:
        return None
    release = session.get_one(Release, last.release_id)
    adapter, current = releases.adapter_of(session, release), releases.shadow(session, team_id)
    every = _rows(session, release)
    made = [row for row in every if row.shadow.mode is not None]
    approved = _approved(session, made)
    marks = [_marks(row, *approved[row.shown.id]) for row in made if row.shown.id in approved]
    return Report(
        release.number, adapter.name if adapter else None, last.at, last.by,
        over=current != release, answered=len(made), same=sum(row.is_same for row in made),
        unsure=sum(row.shadow.mode is AnswerMode.UNSURE for row in made),
        unsure_shown=sum(row.shown.mode is AnswerMode.UNSURE for row in made),
        approved=len(marks), corrected=sum(one is FeedbackKind.CORRECT for one, _, _ in marks),
        right=sum(shadow for _, shadow, _ in marks), right_shown=sum(shown for *_, shown in marks),
        waiting=sum(row.shadow.mode is None and row.shadow.dropped is None for row in every),
        dropped=Counter(row.shadow.dropped for row in every if row.shadow.dropped is not None),
        pairs=_pairs(session, team_id, made),
    )  # fmt: skip


def lines(found: Report) -> list[str]:
    """A report's counts in words, as plain text."""
    name = f"v{found.number}"
    if not found.answered:
        told = [f"{name} has answered nothing yet."]
    else:
        told = [
            f"{name} answered {_count(found.answered, 'question')} that memory did not quote: "
            f"{found.same} with the same words as were shown.",
            f"Not sure: {name} {_times(found.unsure)}, the other {_times(found.unsure_shown)}.",
            _told_approved(found),
        ]
    if found.waiting:
        told.append(f"{found.waiting} more wait until no question does.")
    if found.dropped:
        why = ", ".join(f"{reason} ({count})" for reason, count in sorted(found.dropped.items()))
        told.append(f"Left out: {sum(found.dropped.values())}, because {why}.")
    return told


def _told_approved(found: Report) -> str:
    if not found.approved:
        return "Nobody has approved or corrected one of these answers yet."
    return (
        f"{_count(found.approved, 'of them has', 'of them have')} an approved answer "
        f"({found.corrected} by a correction): v{found.number} says it in {found.right}, "
        f"what was shown in {found.right_shown}."
    )


def _count(number: int, one: str, more: str | None = None) -> str:
    return f"{number} {one if number == 1 else more or f'{one}s'}"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _rows(session: Session, release: Release) -> list[_Row]:
    rows = (
        select(ShadowAnswer, Answer, Question)
        .join(Answer, col(Answer.id) == ShadowAnswer.answer_id)
        .join(Question, col(Question.id) == ShadowAnswer.question_id)
        .where(ShadowAnswer.release_id == release.id)
        .order_by(col(ShadowAnswer.id).desc())
        .limit(NEWEST)
    )
    return [_Row(*row) for row in session.exec(rows)]


def _approved(
    session: Session, made: Sequence[_Row]
) -> dict[int | None, tuple[FeedbackKind, Example]]:
    """By shown answer: the example that staff made of it, or of what they put in its place."""
    rows = (
        select(ShadowAnswer.answer_id, Feedback, Example)
        .join(Answer, col(Answer.question_id) == ShadowAnswer.question_id)
        .join(Feedback, col(Feedback.answer_id) == Answer.id)
        .join(Example, col(Example.feedback_id) == Feedback.id)
        .where(
            col(ShadowAnswer.answer_id).in_([row.shown.id for row in made]),
            col(Answer.id) >= ShadowAnswer.answer_id,
            col(Feedback.kind).in_((FeedbackKind.APPROVE, FeedbackKind.CORRECT)),
            Example.status == ExampleStatus.LIVE,
            Example.answer != "",
        )
        .order_by(col(Feedback.id))
    )
    return {answer_id: (given.kind, example) for answer_id, given, example in session.exec(rows)}


def _marks(row: _Row, kind: FeedbackKind, approved: Example) -> tuple[FeedbackKind, bool, bool]:
    """Whether the shadow, and what was shown, say what was approved."""
    asked = row.question.text[:MAX_QUESTION_CHARS]  # `says` takes the square of its length

    def is_right(text: str, mode: AnswerMode | None) -> bool:
        if mode is AnswerMode.UNSURE:
            return False
        said = says(text, approved.answer, approved.question, asked)
        return said or _is_same(text, approved.answer)

    return (
        kind,
        is_right(row.shadow.text, row.shadow.mode),
        is_right(row.shown.text, row.shown.mode),
    )


def _pairs(session: Session, team_id: str, made: Sequence[_Row]) -> list[Pair]:
    """The newest that differ, of channels that everybody in the workspace may read."""
    walled = select(Question.channel).where(
        Question.team_id == team_id, Question.channel_kind != ChannelKind.PUBLIC
    )
    closed = set(session.exec(walled.distinct()))  # also what was public once
    told = [
        row
        for row in made
        if not (row.is_same or row.is_unsure or row.question.deleted_at or row.shown.deleted_at)
        and row.question.channel not in closed
        and not is_caller(row.question.channel)
    ]
    return [Pair(row.question.text, row.shown.text, row.shadow.text) for row in told[:PAIRS]]


def _is_same(one: str, other: str) -> bool:
    return one.split() == other.split()
