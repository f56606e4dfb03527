"""Forgetting what a shadow would have said: with the question, the shown answer or the example."""

from __future__ import annotations

from sqlalchemy import delete, or_
from sqlmodel import Session, col, select

from bot.store.schema import Answer, Question, ShadowAnswer


def forget_message(session: Session, team_id: str, channel: str, ts: str) -> None:
    """The message asked, or answered, and was deleted or edited."""
    about = [
        select(table.id).where(table.team_id == team_id, table.channel == channel, table.ts == ts)
        for table in (Question, Answer)
    ]
    gone = or_(
        col(ShadowAnswer.question_id).in_(about[0]), col(ShadowAnswer.answer_id).in_(about[1])
    )
    session.execute(delete(ShadowAnswer).where(gone))


def forget_example(session: Session, example_id: int | None) -> None:
    """A message that the example came from was deleted or edited."""
    session.execute(delete(ShadowAnswer).where(col(ShadowAnswer.example_id) == example_id))
