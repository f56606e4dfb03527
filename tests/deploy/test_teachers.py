"""Whose word is in the store, of one workspace alone."""

from __future__ import annotations

from sqlalchemy import Engine

from bot import feedback
from bot.embedder import LexicalEmbedder
from bot.memory import Memory
from bot.store.database import reading, transaction
from bot.store.schema import Example, FeedbackKind
from deploy import teachers
from tests.bot.taught import teach
from tests.stores import TEAM


def test_who_taught_and_who_only_rated(store: Engine) -> None:
    """An import counts as its importer's; askers' thumbs and other workspaces do not."""
    memory = Memory(store, LexicalEmbedder())
    for number in (1, 2):
        teach(store, memory, f"Which port has the lamp {number}?", f"Port {number}.")
    teach(store, memory, "Where is the lamp?", "In the hall.", team_id="T0OTHER", user="U0FAR")
    with transaction(store) as session:
        for by in ("U0STAFF", "U0BOSS"):
            session.add(
                Example(team_id=TEAM, approved_by=f"import by {by}", content_hash=by, answer="a")
            )
        for user, kind in (("U0RATES", FeedbackKind.REJECT), ("U0ASKER", FeedbackKind.HELPFUL)):
            feedback.record(
                session, team_id=TEAM, channel="C0HELP", target_ts="1.000001", user=user, kind=kind
            )
    with reading(store) as session:
        found = list(teachers.known(session, TEAM).items())
    assert found == [("U0STAFF", 3), ("U0BOSS", 1), ("U0RATES", 0)]
