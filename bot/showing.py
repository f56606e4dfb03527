"""The messages that show an answer: one, or several where it is long; they change in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlmodel import Session, col, select

from bot import outbox
from bot.store import answers
from bot.store.schema import Answer, OutboxKind, OutboxMessage, Question

Payload = dict[str, Any]


def show(session: Session, question: Question, answer: Answer, payloads: Sequence[Payload]) -> None:
    """Queue the messages of a question's new current answer, in place of what it showed before."""
    _show(session, question, _id(answer), payloads, "")


def show_again(
    session: Session, question: Question, answer: Answer, payloads: Sequence[Payload]
) -> None:
    """The same for an answer that may have been shown before: it comes back after another one."""
    _show(session, question, _id(answer), payloads, f":after:{_newest(session, question)}")


def stand_in(session: Session, question: Question, payload: Payload, reason: str) -> None:
    """Queue a message where the answer to a question would be, for there will be none. An answer to
    other words of the question takes its place.

    Args:
        reason: tells the messages that stand in for a question's answers apart.
    """
    _show(session, question, None, [payload], f":{reason}")


def notify(session: Session, question: Question, payload: Payload) -> bool:
    """Queue the notice that the answer is still to come, once for each answer; whether it is new.

    Whatever shows the answer, or that there is none, takes it away. So goes what was streamed of an
    answer that broke off: it would stand there, cut, for as long as the question waits.
    """
    said = answers.shown(session, question)
    if said is not None and said.kind is OutboxKind.STREAM:
        outbox.drop_stream(session, said)
    key = answers.notice_key(question.id, answers.count(session, question.id) + 1)
    if outbox.said(session, question.team_id, key) is not None:
        return False
    _say(session, question, key, payload, None)
    return True


def payloads_of(session: Session, answer: Answer) -> list[Payload]:
    """What the messages of an answer say, or said when it was shown."""
    rows = select(OutboxMessage).where(
        OutboxMessage.answer_id == answer.id, OutboxMessage.kind != OutboxKind.DELETE
    )
    said = {row.key: row for row in session.exec(rows.order_by(col(OutboxMessage.id)))}
    parts: list[Payload] = []
    while (key := answers.part_key(answer.question_id, answer.id, len(parts) + 2)) in said:
        parts.append(said[key].payload)
    part = answers.part_key(answer.question_id, answer.id, 0)[:-1]
    first = [row.payload for key, row in said.items() if not key.startswith(part)]
    # The first message may have been streamed; it is not again.
    return [{name: value for name, value in first[-1].items() if name != "stream"}, *parts]


def _show(
    session: Session,
    question: Question,
    answer_id: int | None,
    payloads: Sequence[Payload],
    turn: str,
) -> None:
    for part in answers.further_parts(session, question):
        outbox.take_back(session, part, key=f"{part.key}:gone")
    _show_first(session, question, answer_id, payloads[0], turn)
    for number, payload in enumerate(payloads[1:], 2):
        key = answers.part_key(question.id, answer_id, number)
        _say(session, question, key + turn, payload, answer_id)
    _take_notices(session, question)


def _take_notices(session: Session, question: Question) -> None:
    for notice in answers.notices(session, question):
        outbox.take_back(session, notice, key=f"{notice.key}:gone")


def _id(answer: Answer) -> int:
    if answer.id is None:
        raise ValueError("the answer was not stored yet")
    return answer.id


def _newest(session: Session, question: Question) -> int | None:
    """The last row about the question's answers: it tells an answer's turns apart."""
    rows = select(OutboxMessage.id).where(
        OutboxMessage.team_id == question.team_id,
        col(OutboxMessage.key).startswith(f"{answers.message_key(question.id)}:")
        | (col(OutboxMessage.key) == answers.message_key(question.id)),
    )
    return session.exec(rows.order_by(col(OutboxMessage.id).desc())).first()


def take_away(session: Session, question: Question) -> None:
    """Queue the deletion of everything that the question's answer shows; it may be nothing."""
    for part in answers.further_parts(session, question):
        outbox.take_back(session, part, key=f"{part.key}:gone")
    said = answers.shown(session, question)
    if said is not None and said.kind is OutboxKind.STREAM:
        outbox.drop_stream(session, said)
    elif said is not None:
        outbox.take_back(session, said, key=f"{said.key}:deleted")
    _take_notices(session, question)


def _show_first(
    session: Session, question: Question, answer_id: int | None, payload: Payload, turn: str
) -> None:
    said = answers.shown(session, question)
    if said is None:
        _say(session, question, answers.message_key(question.id), payload, answer_id)
    elif said.kind is OutboxKind.STREAM:
        outbox.end_stream(session, said, payload=payload, answer_id=answer_id)
    elif not answers.stands(session, said):
        key = answers.again_key(question.id, answer_id) + turn
        _say(session, question, key, payload, answer_id)
    else:
        key = f"{answers.message_key(question.id)}:{answer_id}{turn}"
        outbox.change(session, said, key=key, payload=payload, answer_id=answer_id)


def _say(
    session: Session, question: Question, key: str, payload: Payload, answer_id: int | None
) -> None:
    outbox.say(
        session, team_id=question.team_id, key=key, channel=question.channel,
        thread_ts=question.thread_ts, payload=payload, answer_id=answer_id,
    )  # fmt: skip
