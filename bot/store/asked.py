"""What people ask most, of what was approved for everybody."""

from __future__ import annotations

from sqlmodel import Session, col, func, select

from bot.store.schema import AnswerExample, Example, ExampleStatus


def most_asked(session: Session, team_id: str, most: int) -> list[Example]:
    """The examples, open to the whole workspace, whose answers helped most often.

    Their questions are in somebody's words: show them to who may read where these were said.
    """
    used = func.count(col(AnswerExample.answer_id))
    rows = (
        select(Example)
        .outerjoin(AnswerExample, col(AnswerExample.example_id) == Example.id)
        .where(
            Example.team_id == team_id,
            Example.status == ExampleStatus.LIVE,
            col(Example.scope).is_(None),
        )
        .group_by(col(Example.id))
        .order_by(used.desc(), col(Example.id).desc())
    )
    return list(session.exec(rows.limit(most)))
