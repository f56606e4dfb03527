"""Corrections: what staff wrote stands in the place of an answer until it is taken back.

Which answer of a question stands follows from the ratings alone, so it comes out the same however
often, and after whichever change, it is worked out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, col, select

from bot import examples, outbox
from bot.store import answers
from bot.store.schema import (
    Answer,
    AnswerExample,
    AnswerMode,
    Feedback,
    OutboxKind,
    OutboxMessage,
    Question,
    Status,
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


Render = Callable[[Corrected], dict[str, Any]]  # the outbox payload


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
    said = answers.shown(session, question)
    if said is None:  # it was not asked in Slack
        return
    payload = _payload(session, answer, render)
    key = f"{answers.message_key(question.id)}:{answer.id}:after:{_newest(session, said)}"
    if said.status is not Status.FAILED:
        outbox.change(session, said, key=key, payload=payload, answer_id=answer.id)
        return
    outbox.say(
        session, team_id=question.team_id, key=key, channel=question.channel,
        thread_ts=question.thread_ts, payload=payload, answer_id=answer.id,
    )  # fmt: skip


def _payload(session: Session, answer: Answer, render: Render) -> dict[str, Any]:
    """A correction is rendered; an answer that comes back says what it said before."""
    if answer.correction_id is not None:
        given = session.get_one(Feedback, answer.correction_id)
        before = session.get_one(Answer, given.answer_id).text
        return render(Corrected(given.id or 0, before, answer.text, given.user, given.reason))
    kinds = (OutboxKind.POST, OutboxKind.UPDATE, OutboxKind.STREAM)
    rows = select(OutboxMessage).where(
        OutboxMessage.answer_id == answer.id, col(OutboxMessage.kind).in_(kinds)
    )
    row = session.exec(rows.order_by(col(OutboxMessage.id).desc())).first()
    if row is None:
        raise ValueError(f"answer {answer.id} has never been said")
    return row.payload


def _newest(session: Session, said: OutboxMessage) -> int | None:
    """The last thing that was said or is to be said under the message: it makes a key new."""
    rows = select(OutboxMessage.id).where(
        (col(OutboxMessage.id) == said.id) | (col(OutboxMessage.follows_id) == said.id)
    )
    return session.exec(rows.order_by(col(OutboxMessage.id).desc())).first()
