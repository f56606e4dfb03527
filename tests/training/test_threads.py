"""Threads: where an example came up, whatever taught it. The same on both databases."""

from __future__ import annotations

from sqlalchemy import Engine
from sqlmodel import Session

from bot import releases
from bot.store.database import reading, transaction
from bot.store.schema import (
    Answer,
    AnswerMode,
    Example,
    ExampleSource,
    Feedback,
    FeedbackKind,
    Question,
)
from tests.stores import TEAM
from training import threads

CHANNEL = "C0HELP"


def example(
    session: Session, name: str, *sources: str, feedback_id: int | None = None, team_id: str = TEAM
) -> int:
    row = Example(
        team_id=team_id, feedback_id=feedback_id, question=name, answer=name, approved_by="U0STAFF",
        content_hash=name,
    )  # fmt: skip
    session.add(row)
    session.flush()
    for ts in sources:
        key = row.id or 0
        session.add(ExampleSource(example_id=key, channel=CHANNEL, ts=ts, team_id=team_id))
    return row.id or 0


def rated(session: Session, ts: str, thread_ts: str) -> int | None:
    """The feedback on an answer of Mynah's to a question of a thread."""
    releases.ensure_team(session, TEAM)
    release = releases.live(session, TEAM)
    question = Question(
        team_id=TEAM, channel=CHANNEL, ts=ts, thread_ts=thread_ts, user="U0ASKER", text="?"
    )
    session.add(question)
    session.flush()
    answer = Answer(
        team_id=TEAM, question_id=question.id or 0, text="!", mode=AnswerMode.QUOTED,
        release_id=release.id or 0, channel=CHANNEL, ts=f"{ts}1",
    )  # fmt: skip
    session.add(answer)
    session.flush()
    given = Feedback(
        team_id=TEAM, channel=CHANNEL, target_ts=f"{ts}1", answer_id=answer.id, user="U0STAFF",
        kind=FeedbackKind.APPROVE,
    )  # fmt: skip
    session.add(given)
    session.flush()
    return given.id


def test_each_example_has_the_thread_it_came_up_in(store: Engine) -> None:
    """A rated answer its question's, though its words come from an older thread; a person's answer
    that of the thread's first message, or of the question in its middle; a file's has none."""
    with transaction(store) as session:
        approved = rated(session, "205.0", "200.0")
        quoted = example(session, "quoted", "205.0", "205.01", "101.0", "100.0",
                         feedback_id=approved)  # fmt: skip
        person = example(session, "person", "200.0", "203.0")
        middle = example(session, "middle", "205.0", "206.0")
        older = example(session, "older", "100.0", "101.0")
        imported = example(session, "imported")
        example(session, "theirs", "100.0", team_id="T0OTHER")
    with reading(store) as session:
        found = threads.of_team(session, TEAM)
    assert found == {
        quoted: "C0HELP:200.0", person: "C0HELP:200.0", middle: "C0HELP:200.0",
        older: "C0HELP:100.0",
    }  # fmt: skip
    assert imported not in found
