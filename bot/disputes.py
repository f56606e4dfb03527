"""Disputes: staff disagree on an answer; until they have settled it, nothing is learned from it.
With a quorum, neither is what too few of them have said.

Which answers are disputed follows from the ratings that stand, so it comes out the same however
often, and after whichever change, it is worked out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, select

from bot import corrections, examples, feedback
from bot.store import answers, holds
from bot.store.schema import RATINGS, Answer, Feedback, FeedbackKind, Question

FREED = "staff agree on the answer"


@dataclass(frozen=True)
class Dispute:
    """Who says of an answer that it is right, and who says that it is not."""

    question: Question
    answer: Answer
    right: tuple[Feedback, ...]
    wrong: tuple[Feedback, ...]

    @property
    def since(self) -> int:
        """The rating with which it began or went on: it tells two disputes of one answer apart."""
        return max(given.id or 0 for given in (*self.right, *self.wrong))


def of_answer(session: Session, answer: Answer) -> Dispute | None:
    """The dispute about an answer, if there is one.

    Whoever corrected an answer says that the corrected one is right; but a correction of that is
    no disagreement, only the newer word. An answer to words that were edited is nobody's business.
    """
    question = session.get_one(Question, answer.question_id)
    current = answers.current(session, question.id)
    if question.deleted_at is not None or current is None or current.deleted_at is not None:
        return None
    if corrections.root(session, current).id != corrections.root(session, answer).id:
        return None
    standing = _standing(session, [answer])
    right = [one for one in standing if _says_right(one, answer)]
    wrong = [one for one in standing if not _says_right(one, answer)]
    if not any(_opposed(one, other) for one in right for other in wrong):
        return None
    return Dispute(question, answer, tuple(right), tuple(wrong))


def review(session: Session, question_id: int, quorum: int = 1) -> list[Dispute]:
    """Hold and free the examples of a question's answers; return the disputes that are open.

    Args:
        quorum: how many of the staff have to say the same before it counts.
    """
    given = list(session.exec(select(Answer).where(Answer.question_id == question_id)))
    disputes = [found for answer in given if (found := of_answer(session, answer)) is not None]
    held = {one.id for found in disputes for one in (*found.right, *found.wrong)}
    for one in _standing(session, given):
        if one.id in held:
            examples.hold(session, one.id or 0, holds.DISPUTED)
        else:
            _count(session, one, _agreed(session, one), quorum)
    return disputes


def review_person(session: Session, given: Feedback, quorum: int) -> None:
    """Hold and free the examples of a person's message, after a rating of it was changed."""
    rows = select(Feedback).where(
        Feedback.team_id == given.team_id,
        Feedback.channel == given.channel,
        Feedback.target_ts == given.target_ts,
        col(Feedback.answer_id).is_(None),
        col(Feedback.kind).in_((FeedbackKind.APPROVE, FeedbackKind.CORRECT)),
        col(Feedback.revoked_at).is_(None),
    )
    standing = list(session.exec(rows.order_by(col(Feedback.id))))
    people = {
        one.user
        for one in standing
        if examples.counts(session, one.team_id, one.user, one.given_at)
    }
    for one in standing:
        _count(session, one, people, quorum)


def decide(session: Session, dispute: Dispute, *, right: bool, user: str) -> None:
    """Settle a dispute: the other side's ratings, and what they taught, are taken back."""
    verdict = FeedbackKind.APPROVE if right else FeedbackKind.REJECT
    for given in dispute.wrong if right else dispute.right:
        feedback.withdraw(session, given, user, f"{user} settled it: {verdict.value}")
    feedback.decide(session, dispute.answer, verdict, user)


def decision(session: Session, answer_id: int) -> Feedback | None:
    """The newest decision on an answer that stands."""
    made = select(Feedback).where(
        Feedback.answer_id == answer_id,
        col(Feedback.decides).is_(True),
        col(Feedback.revoked_at).is_(None),
    )
    return session.exec(made.order_by(col(Feedback.id).desc())).first()


def _count(session: Session, given: Feedback, people: set[str], quorum: int) -> None:
    if len(people) < quorum:
        examples.hold(session, given.id or 0, holds.WAITING)
    else:
        examples.free(session, given.id or 0, FREED)


def _agreed(session: Session, given: Feedback) -> set[str]:
    """Who says the same as a rating; whoever settled a dispute in favour of it is one of them."""
    people = examples.voices(session, given.id or 0)
    if given.kind is FeedbackKind.APPROVE and given.answer_id is not None:
        settled = decision(session, given.answer_id)
        if settled is not None and settled.kind is FeedbackKind.APPROVE:
            people.add(settled.user)
    return people


def _standing(session: Session, given: Sequence[Answer]) -> list[Feedback]:
    """The ratings by staff that count: of the answers, and the corrections that made them."""
    about = col(Feedback.answer_id).in_([one.id for one in given]) | col(Feedback.id).in_(
        [one.correction_id for one in given if one.correction_id is not None]
    )
    rows = select(Feedback).where(
        about, col(Feedback.kind).in_(RATINGS), col(Feedback.revoked_at).is_(None)
    )
    return list(session.exec(rows.order_by(col(Feedback.id))))


def _says_right(given: Feedback, answer: Answer) -> bool:
    return given.kind is FeedbackKind.APPROVE or given.id == answer.correction_id


def _opposed(right: Feedback, wrong: Feedback) -> bool:
    both = right.kind is FeedbackKind.CORRECT and wrong.kind is FeedbackKind.CORRECT
    return right.user != wrong.user and not both
