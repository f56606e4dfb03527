"""The receipt of an answer: release, adapter, run, dataset, and the examples that were used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from bot.store.schema import (
    Adapter,
    Answer,
    AnswerExample,
    Dataset,
    Example,
    ExampleSource,
    Feedback,
    Question,
    Release,
    Run,
)

MessageId = tuple[str, str]  # channel and ts


class Source(NamedTuple):
    """The message that was approved, and the channels that the words came from."""

    message: MessageId | None
    channels: frozenset[str]


@dataclass(frozen=True)
class Used:
    """An example that an answer was quoted or written from.

    Only who can read every one of `channels` may see it: its words came from there.
    """

    example: Example
    similarity: float
    recognised_logprob: float | None  # None: no weights recognised it
    message: MessageId | None  # the one that was approved
    channels: frozenset[str]


@dataclass(frozen=True)
class Receipt:
    """Where an answer came from. `run` and `dataset` made its adapter; the base has none."""

    answer: Answer
    release: int  # its number
    run: Run | None
    dataset: Dataset | None
    used: tuple[Used, ...]


def of_message(session: Session, team_id: str, channel: str, ts: str) -> Receipt | None:
    """The receipt of the answer that a message is, or of the answer to the question that it is."""
    rows = _answers(team_id, channel).where((Answer.ts == ts) | (Question.ts == ts))
    answer = session.exec(rows).first()
    return of_answer(session, answer) if answer else None


def newest_of(session: Session, team_id: str, channel: str, user: str) -> Receipt | None:
    """The receipt of the answer to the person's own newest question in the channel."""
    rows = _answers(team_id, channel).where(Question.user == user)
    answer = session.exec(rows.order_by(col(Question.id).desc())).first()
    return of_answer(session, answer) if answer else None


def _answers(team_id: str, channel: str) -> SelectOfScalar[Answer]:
    """The channel's answers as they stand, without deleted ones and those to deleted questions."""
    return (
        select(Answer)
        .join(Question, col(Question.id) == Answer.question_id)
        .where(
            Answer.team_id == team_id,
            Answer.channel == channel,
            col(Answer.replaced_at).is_(None),
            col(Answer.deleted_at).is_(None),
            col(Question.deleted_at).is_(None),
        )
    )


def of_answer(session: Session, answer: Answer) -> Receipt:
    """The receipt of an answer, whether it stands or not."""
    run = run_of(session, answer.adapter)
    rows = select(AnswerExample).where(AnswerExample.answer_id == answer.id)
    return Receipt(
        answer=answer,
        release=session.get_one(Release, answer.release_id).number,
        run=run,
        dataset=session.get(Dataset, run.dataset_id) if run and run.dataset_id else None,
        used=tuple(_used(session, row) for row in session.exec(rows)),
    )


def run_of(session: Session, adapter: str | None) -> Run | None:
    """The run that trained the adapter: a later one may only have measured it again."""
    rows = select(Run).join(Adapter, col(Adapter.id) == Run.adapter_id)
    return session.exec(rows.where(Adapter.name == adapter).order_by(col(Run.id))).first()


def source_of(session: Session, example: Example) -> Source:
    """Where an example's words came from."""
    channels = set(
        session.exec(select(ExampleSource.channel).where(ExampleSource.example_id == example.id))
    )
    if example.scope is not None:
        channels.add(example.scope)
    given = session.get(Feedback, example.feedback_id) if example.feedback_id else None
    if given is None:
        return Source(None, frozenset(channels))
    return Source((given.channel, given.target_ts), frozenset(channels | {given.channel}))


def _used(session: Session, row: AnswerExample) -> Used:
    example = session.get_one(Example, row.example_id)
    source = source_of(session, example)
    return Used(example, row.similarity, row.recognised_logprob, *source)
