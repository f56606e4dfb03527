"""A question that was given up: the asker hears of it, and the thread goes on."""

from __future__ import annotations

from sqlmodel import Session

from bot import showing
from bot.slack import blocks
from bot.store import answers
from bot.store.schema import InboxEvent, Question

BROKEN = (
    "I could not answer this: something is broken here. The people who run me find it in the log."
)


def give_up(session: Session, event: InboxEvent) -> None:
    """Say so where the answer would be, once, and end what was streamed of it.

    Args:
        event: an inbox row of kind "question", just given up.
    """
    question = session.get(Question, event.payload["question_id"], with_for_update=True)
    if question is None or answers.current(session, question.id) is not None:
        return
    if question.deleted_at is not None:
        showing.take_away(session, question)
        return
    [payload] = blocks.messages(BROKEN, [], {"aside": True})
    showing.stand_in(session, question, payload, reason=f"broken:{event.id}")
