"""Corrections: what staff wrote stands in the place of an answer until it is taken back.

Which answer of a question stands follows from the ratings alone, so it comes out the same however
often, and after whichever change, it is worked out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, col, select

from bot import examples, showing
from bot.store import answers
from bot.store.schema import (
    Answer,
    AnswerExample,
    AnswerMode,
    Feedback,
    Question,
    now,
)


@dataclass(frozen=True)
class Corrected:
    """A corrected answer as it is shown."""

    feedback_id: int
    before: str  # the words that it corrects
    text: str
    by: str
    reason: str | None


Render = Callable[[Corrected], Sequence[dict[str, Any]]]  # the payloads of its messages


def put(session: Session, given: Feedback) -> None:
    """Store what a correction says as an answer, once; `settle` lets it stand."""
    wrong = session.get_one(Answer, given.answer_id)
    if _made_by(session, given) is not None:
        return
    answer = Answer(
        team_id=wrong.team_id, question_id=wrong.question_id, text=given.correction or "",
        mode=AnswerMode.CORRECTED, release_id=wrong.release_id, correction_id=given.id,
        channel=wrong.channel, ts=wrong.ts, replaced_at=now(),
    )  # fmt: skip
    session.add(answer)
    session.flush()
    # Its words came from the correction: who approves them approves what that came from.
    example = examples.of_feedback(session, given.id or 0)
    if example is not None and answer.id is not None and example.id is not None:
        used = AnswerExample(
            answer_id=answer.id, example_id=example.id, team_id=answer.team_id, similarity=1.0
        )
        session.add(used)


def settle(session: Session, question_id: int, render: Render) -> None:
    """Let the newest correction stand that was not taken back, or else what was answered first.

    Changes nothing while an edited question waits for its new answer, nor what is deleted.
    """
    question = session.get_one(Question, question_id, with_for_update=True)
    current = answers.current(session, question_id)
    if question.deleted_at is not None or current is None or current.deleted_at is not None:
        return
    wanted = _wanted(session, current)
    if wanted.id == current.id:
        return
    current.replaced_at = now()
    session.add(current)
    session.flush()  # a question has one answer at every moment
    wanted.replaced_at, wanted.ts = None, current.ts
    session.add(wanted)
    session.flush()
    _show(session, question, wanted, render)


def root(session: Session, answer: Answer) -> Answer:
    """The answer of the bot's own that corrections have replaced; the answer itself without any."""
    while answer.correction_id is not None:
        given = session.get_one(Feedback, answer.correction_id)
        answer = session.get_one(Answer, given.answer_id)
    return answer


def _wanted(session: Session, current: Answer) -> Answer:
    first = root(session, current)
    standing = (
        select(Answer)
        .join(Feedback, col(Feedback.id) == col(Answer.correction_id))
        .where(Answer.question_id == current.question_id, col(Feedback.revoked_at).is_(None))
        .order_by(col(Feedback.id).desc())
    )
    of_these_words = (one for one in session.exec(standing) if root(session, one).id == first.id)
    return next(of_these_words, first)


def _made_by(session: Session, given: Feedback) -> Answer | None:
    return session.exec(select(Answer).where(Answer.correction_id == given.id)).first()


def _show(session: Session, question: Question, answer: Answer, render: Render) -> None:
    """Have the question's message say it; one that was not asked in Slack has none."""
    said = answers.shown(session, question)
    if said is None:
        return
    if not answers.stands(session, said):
        answer.ts = None  # it is said anew, and learns where
        session.add(answer)
    showing.show_again(session, question, answer, _payloads(session, answer, render))


def _payloads(session: Session, answer: Answer, render: Render) -> Sequence[dict[str, Any]]:
    """A correction is rendered; an answer that comes back says what it said before."""
    if answer.correction_id is None:
        return showing.payloads_of(session, answer)
    given = session.get_one(Feedback, answer.correction_id)
    before = session.get_one(Answer, given.answer_id).text
    return render(Corrected(given.id or 0, before, answer.text, given.user, given.reason))
