"""Lineage both ways: from an answer or an adapter back to the people and messages behind it, and
from a message on to all that was learned and answered from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, func
from sqlmodel import Session, col, or_, select
from sqlmodel.sql.expression import SelectOfScalar

from bot.store import origins, receipts
from bot.store.origins import Origin
from bot.store.schema import (
    Adapter,
    Answer,
    AnswerExample,
    AnswerMode,
    Dataset,
    DatasetExample,
    Example,
    ExampleSource,
    ExampleStatus,
    Feedback,
    OutboxMessage,
    Question,
    Release,
    Rollout,
    Run,
)

T = TypeVar("T")
FIRST = 5  # of many, so many are listed
BY_WEIGHTS = (AnswerMode.OPEN_BOOK, AnswerMode.CLOSED_BOOK, AnswerMode.KNOWN)

Counts = dict[str, int]


@dataclass(frozen=True)
class Some(Generic[T]):
    """How many there are, and the first few of them."""

    count: int
    first: tuple[T, ...]


@dataclass(frozen=True)
class Learned:
    """An example, the feedback that made it, and the messages or the file of its words."""

    example: Example
    feedback: Feedback | None
    sources: tuple[tuple[str, str], ...]  # channel and ts
    origin: Origin | None  # None: it was learned in Slack


@dataclass(frozen=True)
class Lived:
    """A release, when it answered all new threads, and the answers that it gave, by mode."""

    release: Release
    spans: tuple[tuple[datetime, datetime | None], ...]  # from and until; None: it still does
    answers: Counts


@dataclass(frozen=True)
class Ancestry:
    """What an adapter was made from."""

    adapter: Adapter
    run: Run | None
    dataset: Dataset | None
    trained: Some[Learned]
    by: Counts  # how many of the trained examples are whose word
    taken_back: int  # how many of them were revoked since
    releases: tuple[Lived, ...]


@dataclass(frozen=True)
class Taught:
    """A run that had an example in its dataset, and where its adapter answered."""

    run: Run
    dataset: Dataset
    split: str
    adapter: Adapter | None
    releases: tuple[Lived, ...]


@dataclass(frozen=True)
class Reach:
    """All that came of an example."""

    learned: Learned
    runs: Some[Taught]
    used: Counts  # answers that were quoted from it, had it in their prompt, or knew it, by mode
    written: Counts  # answers that were written by adapters that were trained on it, by mode


def answers_at(session: Session, team_id: str, channel: str, ts: str) -> Sequence[Answer]:
    """The answers that a message shows or showed, or that its question had; what stands first."""
    parts = select(OutboxMessage.answer_id).where(
        OutboxMessage.team_id == team_id, OutboxMessage.channel == channel, OutboxMessage.ts == ts
    )
    rows = (
        select(Answer)
        .join(Question, col(Question.id) == Answer.question_id)
        .where(Answer.team_id == team_id, Answer.channel == channel)
        .where(or_(Answer.ts == ts, Question.ts == ts, col(Answer.id).in_(parts)))
    )
    order = (col(Answer.replaced_at).is_not(None), col(Answer.id).desc())
    return session.exec(rows.order_by(*order)).all()


def ratings_at(session: Session, team_id: str, channel: str, ts: str) -> Sequence[Feedback]:
    """What was said of a message, or with it; also what was taken back since."""
    here = (Feedback.channel == channel, Feedback.target_ts == ts)
    rows = select(Feedback).where(Feedback.team_id == team_id, *here)
    return session.exec(rows.order_by(col(Feedback.id))).all()


def ratings_of(session: Session, answer: Answer) -> Sequence[Feedback]:
    """What was said of an answer; also what was taken back since."""
    rows = select(Feedback).where(
        Feedback.team_id == answer.team_id, Feedback.answer_id == answer.id
    )
    return session.exec(rows.order_by(col(Feedback.id))).all()


def learned_from(session: Session, team_id: str, channel: str, ts: str) -> list[Learned]:
    """The examples made of a message, or of a rating of it, whatever became of them."""
    made_of = select(ExampleSource.example_id).where(
        ExampleSource.team_id == team_id, ExampleSource.channel == channel, ExampleSource.ts == ts
    )
    rated = select(Feedback.id).where(
        Feedback.team_id == team_id, Feedback.channel == channel, Feedback.target_ts == ts
    )
    return _learned(session, team_id, col(Example.id).in_(made_of) | _by_feedback(rated))


def learned_of(session: Session, answer: Answer) -> list[Learned]:
    """The examples that the ratings of an answer made."""
    rated = select(Feedback.id).where(Feedback.answer_id == answer.id)
    return _learned(session, answer.team_id, _by_feedback(rated))


def learned(session: Session, example: Example) -> Learned:
    """An example with what it was made of."""
    given = session.get(Feedback, example.feedback_id) if example.feedback_id else None
    rows = select(ExampleSource.channel, ExampleSource.ts).where(
        ExampleSource.example_id == example.id
    )
    ordered = rows.order_by(col(ExampleSource.ts), col(ExampleSource.channel))
    sources = tuple((channel, ts) for channel, ts in session.exec(ordered))
    return Learned(example, given, sources, origins.of(session, example))


def ancestry(session: Session, adapter: Adapter) -> Ancestry:
    """What an adapter was made from, and where it answered."""
    run = receipts.run_of(session, adapter.name)
    dataset = session.get(Dataset, run.dataset_id) if run and run.dataset_id else None
    first = session.exec(
        trained_in(dataset.id if dataset else None).order_by(col(Example.id)).limit(FIRST)
    )
    groups = session.exec(
        select(Example.approved_by, Example.status, func.count())
        .join(DatasetExample, _in_dataset())
        .where(*_trained(dataset.id if dataset else None))
        .group_by(col(Example.approved_by), col(Example.status))
    ).all()
    by: Counts = {}
    for who, _, count in groups:
        by[who] = by.get(who, 0) + count
    return Ancestry(
        adapter, run, dataset,
        trained=Some(sum(by.values()), tuple(learned(session, one) for one in first)),
        by=dict(sorted(by.items(), key=lambda item: (-item[1], item[0]))),
        taken_back=sum(count for _, status, count in groups if status is ExampleStatus.REVOKED),
        releases=releases_of(session, adapter),
    )  # fmt: skip


def trained_in(dataset_id: int | None) -> SelectOfScalar[Example]:
    """The examples that a dataset gave to be trained on; none without a dataset."""
    return select(Example).join(DatasetExample, _in_dataset()).where(*_trained(dataset_id))


def reach(session: Session, one: Learned) -> Reach:
    """All that came of an example: runs, adapters, releases and answers."""
    example_id = one.example.id
    rows = (
        select(Run, DatasetExample.split)
        .join(DatasetExample, col(DatasetExample.dataset_id) == Run.dataset_id)
        .where(DatasetExample.example_id == example_id)
    )
    total = session.exec(select(func.count()).select_from(rows.subquery())).one()
    first = session.exec(rows.order_by(col(Run.id)).limit(FIRST)).all()
    used = (
        select(Answer.mode, func.count())
        .join(AnswerExample, col(AnswerExample.answer_id) == Answer.id)
        .where(AnswerExample.example_id == example_id)
    )
    taught = (
        select(Adapter.name)
        .join(Run, col(Run.adapter_id) == Adapter.id)
        .join(DatasetExample, col(DatasetExample.dataset_id) == Run.dataset_id)
        .where(DatasetExample.example_id == example_id, DatasetExample.split == "train")
    )
    written = select(Answer.mode, func.count()).where(
        Answer.team_id == one.example.team_id, col(Answer.adapter).in_(taught), by_weights()
    )
    return Reach(
        one,
        runs=Some(total, tuple(_taught(session, run, split) for run, split in first)),
        used=_by_mode(session, used),
        written=_by_mode(session, written),
    )


def answers_from(session: Session, example: Example) -> Some[tuple[Answer, Question]]:
    """The answers that were quoted from an example, had it in their prompt, or knew it."""
    rows = (
        select(Answer, Question)
        .join(Question, col(Question.id) == Answer.question_id)
        .join(AnswerExample, col(AnswerExample.answer_id) == Answer.id)
        .where(AnswerExample.example_id == example.id)
    )
    total = session.exec(select(func.count()).select_from(rows.subquery())).one()
    first = session.exec(rows.order_by(col(Answer.id).desc()).limit(FIRST)).all()
    return Some(total, tuple((answer, question) for answer, question in first))


def by_weights() -> ColumnElement[bool]:
    """For a query over Answer: a model wrote what was shown."""
    return col(Answer.mode).in_(BY_WEIGHTS)


def releases_of(session: Session, adapter: Adapter) -> tuple[Lived, ...]:
    """The adapter's releases."""
    rows = select(Release).where(Release.adapter_id == adapter.id).order_by(col(Release.number))
    return tuple(lived(session, release) for release in session.exec(rows))


def lived(session: Session, release: Release) -> Lived:
    """When a release was live, and what it answered."""
    rows = select(Answer.mode, func.count()).where(Answer.release_id == release.id)
    return Lived(release, tuple(_spans(session, release)), _by_mode(session, rows))


def _in_dataset() -> ColumnElement[bool]:
    return col(DatasetExample.example_id) == col(Example.id)


def _trained(dataset_id: int | None) -> tuple[ColumnElement[bool], ...]:
    return col(DatasetExample.dataset_id) == dataset_id, col(DatasetExample.split) == "train"


def _spans(session: Session, release: Release) -> list[tuple[datetime, datetime | None]]:
    rows = select(Rollout).where(Rollout.team_id == release.team_id, Rollout.share == 1)
    changes = list(session.exec(rows.order_by(col(Rollout.id))))
    ends = [*(row.at for row in changes[1:]), None]
    return [
        (row.at, until)
        for row, until in zip(changes, ends, strict=False)  # no rows: one end too many
        if row.release_id == release.id
    ]


def _taught(session: Session, run: Run, split: str) -> Taught:
    adapter = session.get(Adapter, run.adapter_id) if run.adapter_id else None
    return Taught(
        run, session.get_one(Dataset, run.dataset_id), split, adapter,
        releases_of(session, adapter) if adapter else (),
    )  # fmt: skip


def _learned(session: Session, team_id: str, which: ColumnElement[bool]) -> list[Learned]:
    rows = select(Example).where(Example.team_id == team_id, which).order_by(col(Example.id))
    return [learned(session, example) for example in session.exec(rows)]


def _by_feedback(given: Any) -> ColumnElement[bool]:
    return col(Example.feedback_id).in_(given)


def _by_mode(session: Session, rows: Any) -> Counts:
    grouped = session.exec(rows.group_by(col(Answer.mode)))
    return {str(mode): count for mode, count in sorted(grouped)}
