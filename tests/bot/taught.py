"""Teaching in tests: an approved answer becomes an example, as after a ✅ by staff."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

from sqlalchemy import Engine

from bot import examples, feedback
from bot.memory import Memory
from bot.store.database import transaction
from bot.store.schema import Example, FeedbackKind

TEAM = "T0MYNAH"
_clock = count(1)


def teach(
    engine: Engine,
    memory: Memory,
    question: str,
    answer: str,
    *,
    team_id: str = TEAM,
    scope: str | None = None,
    user: str = "U0STAFF",
) -> Example:
    """Approve `answer`; the message it stands in gets a timestamp of its own in #help."""
    [example] = teach_all(engine, memory, [(question, answer)], team_id, scope, user)
    return example


def teach_all(
    engine: Engine,
    memory: Memory,
    pairs: Iterable[tuple[str, str]],
    team_id: str = TEAM,
    scope: str | None = None,
    user: str = "U0STAFF",
) -> list[Example]:
    """Approve many answers in one transaction."""
    drafts = [examples.draft(question, answer, scope=scope) for question, answer in pairs]
    vectors = memory.embedder.embed([draft.question for draft in drafts])
    made = []
    with transaction(engine) as session:
        for draft, vector in zip(drafts, vectors, strict=True):
            ts = f"1700000000.{next(_clock):06d}"
            given, _ = feedback.record(
                session,
                team_id=team_id,
                channel="C0HELP",
                target_ts=ts,
                user=user,
                kind=FeedbackKind.APPROVE,
            )
            assert given.id is not None
            made.append(
                examples.add(
                    session,
                    draft,
                    team_id=team_id,
                    feedback_id=given.id,
                    approved_by=user,
                    sources=[("C0HELP", ts)],
                    embedding=vector.tobytes(),
                    embedder=memory.embedder.name,
                )
            )
    return made
