"""The messages that show an answer: one, or several where it is long; they change in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlmodel import Session

from bot import outbox
from bot.store import answers
from bot.store.schema import Answer, OutboxKind, Question

Payload = dict[str, Any]


def show(session: Session, question: Question, answer: Answer, payloads: Sequence[Payload]) -> None:
    """Queue the messages of a question's new current answer, in place of what it showed before."""
    if answer.id is None:
        raise ValueError("the answer was not stored yet")
    for part in answers.further_parts(session, question):
        outbox.take_back(session, part, key=f"{part.key}:gone")
    _show_first(session, question, answer.id, payloads[0])
    for number, payload in enumerate(payloads[1:], 2):
        key = answers.part_key(question.id, answer.id, number)
        _say(session, question, key, payload, answer.id)


def take_away(session: Session, question: Question) -> None:
    """Queue the deletion of everything that the question's answer shows; it may be nothing."""
    for part in answers.further_parts(session, question):
        outbox.take_back(session, part, key=f"{part.key}:gone")
    said = answers.shown(session, question)
    if said is not None and said.kind is OutboxKind.STREAM:
        outbox.drop_stream(session, said)
    elif said is not None:
        outbox.take_back(session, said, key=f"{said.key}:deleted")


def _show_first(session: Session, question: Question, answer_id: int, payload: Payload) -> None:
    said = answers.shown(session, question)
    if said is None:
        _say(session, question, answers.message_key(question.id), payload, answer_id)
    elif said.kind is OutboxKind.STREAM:
        outbox.end_stream(session, said, payload=payload, answer_id=answer_id)
    elif not answers.stands(session, said):
        _say(session, question, answers.again_key(question.id, answer_id), payload, answer_id)
    else:
        key = f"{answers.message_key(question.id)}:{answer_id}"
        outbox.change(session, said, key=key, payload=payload, answer_id=answer_id)


def _say(session: Session, question: Question, key: str, payload: Payload, answer_id: int) -> None:
    outbox.say(
        session, team_id=question.team_id, key=key, channel=question.channel,
        thread_ts=question.thread_ts, payload=payload, answer_id=answer_id,
    )  # fmt: skip
