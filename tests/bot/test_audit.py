"""The audit: who did what."""

from __future__ import annotations

from sqlalchemy import Engine
from sqlmodel import select

from bot import audit
from bot.store.database import reading, transaction
from bot.store.schema import Audit, now
from tests.stores import TEAM


def test_a_record_says_who_did_what_to_which_when(store: Engine) -> None:
    """Actor, action, subject, details and time can be read back."""
    before = now()
    with transaction(store) as session:
        audit.record(session, TEAM, "U1", "example.revoke", "example:3", why="unreacted", n=2)
    with reading(store) as session:
        row = session.exec(select(Audit)).one()
    assert (row.team_id, row.actor) == (TEAM, "U1")
    assert (row.action, row.subject) == ("example.revoke", "example:3")
    assert row.detail == {"why": "unreacted", "n": 2}
    assert before <= row.at <= now()
