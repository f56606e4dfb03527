"""In which Slack thread each example came up.

What is said in one thread belongs together: its answers share words, and often a fact. So a thread
is trained on, or it is held out; never both.
"""

from __future__ import annotations

from sqlmodel import Session, and_, col, func, select

from bot.store.schema import Answer, Example, ExampleSource, Feedback, Question


def of_team(session: Session, team_id: str) -> dict[int, str]:
    """The threads of a team's examples, by their ids; not of those that came from no Slack thread.

    A rated answer's thread is its question's. Whatever else was learned in Slack began with its
    oldest message: a thread's first one, or a question in the middle of it. (Of a rated answer the
    oldest would not do: one that was quoted has the messages of what it quotes among its sources.)
    """
    rated = (
        select(Example.id, Question.channel, Question.thread_ts)
        .join(Feedback, col(Feedback.id) == col(Example.feedback_id))
        .join(Answer, col(Answer.id) == col(Feedback.answer_id))
        .join(Question, col(Question.id) == col(Answer.question_id))
        .where(Example.team_id == team_id)
    )
    return _begun(session, team_id) | {
        key: f"{channel}:{ts}" for key, channel, ts in session.exec(rated) if key is not None
    }


def _begun(session: Session, team_id: str) -> dict[int, str]:
    """By the oldest message of each example."""
    oldest = (
        select(
            ExampleSource.example_id,
            ExampleSource.channel,
            func.min(ExampleSource.ts).label("ts"),
        )
        .where(ExampleSource.team_id == team_id)
        .group_by(col(ExampleSource.example_id), col(ExampleSource.channel))
        .subquery()
    )
    asked = and_(
        col(Question.team_id) == team_id,
        col(Question.channel) == oldest.c.channel,
        col(Question.ts) == oldest.c.ts,
    )
    rows = select(
        oldest.c.example_id, oldest.c.channel, oldest.c.ts, col(Question.thread_ts)
    ).outerjoin(Question, asked)
    return {key: f"{channel}:{thread or ts}" for key, channel, ts, thread in session.exec(rows)}
