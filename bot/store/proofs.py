"""What an adapter has proved to know: the facts that its newest evaluation found right, however
they were asked for. A fact is an approved answer, with all the questions that it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import ColumnElement, distinct, func
from sqlmodel import Session, col, select

from bot.store.schema import (
    Adapter,
    Answer,
    AnswerExample,
    AnswerMode,
    DatasetExample,
    Evaluation,
    EvaluationQuestion,
    Example,
    ExampleStatus,
    Feedback,
    FeedbackKind,
    Release,
    Rollout,
    RolloutAction,
    Run,
)

# Trained facts, each asked in words that were never trained.
EVIDENCE = ("wording", "known")
TRAINED = ("train", "held_out_wording")  # facts whose other wordings were trained at least


@dataclass(frozen=True)
class Proof:
    """What one adapter has proved to know; nothing, of the base."""

    examples: frozenset[int] = frozenset()  # ids: what it was trained on, and other wordings of it
    answers: frozenset[str] = frozenset()  # those that it gave whenever it was asked for them
    mistaken: frozenset[str] = frozenset()  # those that staff found wrong where it recognised them

    def knows(self, example_id: int, answer: str) -> bool:
        """Whether the example's answer was learned as it reads now."""
        return example_id in self.examples and answer in self.answers


NOTHING = Proof()


class Taught(NamedTuple):
    """A live example's id and question."""

    example_id: int
    question: str


Facts = Mapping[str, Sequence[Taught]]  # by what they answer, oldest first


@dataclass(frozen=True)
class Change:
    """What an adapter knows of what is in memory, beside the one that it replaced."""

    facts: int  # in memory
    known: int
    before: str | None  # the adapter that it replaced; None: the base, or it never went live
    learned: int  # of the known ones, those that the one before did not know
    forgotten: tuple[Taught, ...]  # one of each fact that only the one before knows


def of_adapter(session: Session, name: str | None) -> Proof:
    """The proof by the adapter's newest evaluation, less what staff found wrong since."""
    found = _measured(session, name)
    if found is None:
        return NOTHING
    evaluation_id, dataset_id = found
    trained = select(DatasetExample.example_id).where(*_trained(dataset_id))
    answers = _answered(session, evaluation_id)
    answers -= _refuted(session, name, col(Answer.mode) == AnswerMode.KNOWN)
    mistaken = _refuted(session, name, col(AnswerExample.recognised_logprob).is_not(None))
    return Proof(frozenset(session.exec(trained)), frozenset(answers), frozenset(mistaken))


def lessons(session: Session, name: str) -> list[tuple[str, str]]:
    """The questions and answers that an adapter was trained on, whatever became of them since."""
    found = _measured(session, name)
    if found is None:
        return []
    rows = select(Example.question, Example.answer).join(
        DatasetExample, col(DatasetExample.example_id) == Example.id
    )
    return list(session.exec(rows.where(*_trained(found[1]))))


def facts(session: Session, team_id: str) -> Facts:
    """What is in memory."""
    rows = select(Example.id, Example.question, Example.answer).where(
        Example.team_id == team_id, Example.status == ExampleStatus.LIVE
    )
    found: dict[str, list[Taught]] = {}
    for key, question, answer in session.exec(rows.order_by(col(Example.id))):
        found.setdefault(answer, []).append(Taught(key or 0, question))
    return found


def known(found: Facts, proof: Proof) -> set[str]:
    """The answers to those of the facts that the proof covers."""
    return {
        answer
        for answer, taught in found.items()
        if any(proof.knows(one.example_id, answer) for one in taught)
    }


def count(session: Session, team_id: str, proof: Proof) -> tuple[int, int]:
    """How many facts are in memory, and how many of them the proof covers."""
    live = (Example.team_id == team_id, Example.status == ExampleStatus.LIVE)
    in_memory = session.exec(select(func.count(distinct(col(Example.answer)))).where(*live)).one()
    proved, covered = sorted(proof.answers), set()
    # In slices: databases limit how many values one statement may carry.
    for start in range(0, len(proved), 500):
        wanted = col(Example.answer).in_(proved[start : start + 500])
        rows = session.exec(select(Example.id, Example.answer).where(*live, wanted))
        covered |= {answer for key, answer in rows if proof.knows(key or 0, answer)}
    return in_memory, len(covered)


def change(session: Session, adapter: Adapter) -> Change:
    """What came and went with the adapter."""
    found, before = facts(session, adapter.team_id), _before(session, adapter)
    now, then = (known(found, of_adapter(session, name)) for name in (adapter.name, before))
    forgotten = tuple(taught[0] for answer, taught in found.items() if answer in then - now)
    return Change(len(found), len(now), before, len(now - then), forgotten)


def _measured(session: Session, name: str | None) -> tuple[int | None, int | None] | None:
    """The adapter's newest evaluation, and the dataset that it was trained on."""
    newest = (
        select(Evaluation.id, Run.dataset_id)
        .join(Run, col(Run.id) == Evaluation.run_id)
        .join(Adapter, col(Adapter.id) == Evaluation.adapter_id)
        .where(Adapter.name == name)
        .order_by(col(Evaluation.id).desc())
    )
    return session.exec(newest).first() if name else None


def _trained(dataset_id: int | None) -> tuple[ColumnElement[bool], ...]:
    return (
        col(DatasetExample.dataset_id) == dataset_id,
        col(DatasetExample.split).in_(TRAINED),
    )


def _answered(session: Session, evaluation_id: int | None) -> set[str]:
    """The answers to facts of which no question was answered wrong."""
    rows = select(
        EvaluationQuestion.cluster, EvaluationQuestion.wanted, EvaluationQuestion.said
    ).where(
        EvaluationQuestion.evaluation_id == evaluation_id,
        col(EvaluationQuestion.sort).in_(EVIDENCE),
        col(EvaluationQuestion.cluster).is_not(None),
    )
    asked = [(cluster, wanted, _right(said)) for cluster, wanted, said in session.exec(rows)]
    doubtful = {cluster for cluster, _, right in asked if not right}
    return {wanted for cluster, wanted, _ in asked if cluster not in doubtful}


def _right(said: Mapping[str, Mapping[str, object]]) -> bool:
    return said.get("candidate", {}).get("right") is True


def _refuted(session: Session, name: str | None, how: ColumnElement[bool]) -> set[str]:
    """What was given so on the adapter's word, where staff found it wrong."""
    rows = (
        select(Example.answer)
        .join(AnswerExample, col(AnswerExample.example_id) == Example.id)
        .join(Answer, col(Answer.id) == AnswerExample.answer_id)
        .join(Feedback, col(Feedback.answer_id) == Answer.id)
        .where(
            Answer.adapter == name,
            how,
            col(Feedback.kind).in_((FeedbackKind.REJECT, FeedbackKind.CORRECT)),
            col(Feedback.revoked_at).is_(None),
        )
    )
    return set(session.exec(rows))


def _before(session: Session, adapter: Adapter) -> str | None:
    """The adapter of the release that the adapter's own took the place of."""
    own = select(Release.id).where(Release.adapter_id == adapter.id)
    rows = (
        select(Adapter.name)
        .select_from(Rollout)
        .join(Release, col(Release.id) == Rollout.replaces_id)
        .outerjoin(Adapter, col(Adapter.id) == Release.adapter_id)
        .where(
            col(Rollout.release_id).in_(own),
            Rollout.action == RolloutAction.PROMOTE,
            Rollout.replaces_id != Rollout.release_id,
        )
        .order_by(col(Rollout.id).desc())
    )
    return session.exec(rows).first()
