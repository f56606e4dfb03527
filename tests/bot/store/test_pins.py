"""Pins: a team's own, and on the record."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine
from sqlmodel import select

from bot.store import pins
from bot.store.database import reading, transaction
from bot.store.pins import NoSuchPin, SecretPin
from bot.store.schema import Audit

TEAM, OTHER = "T0MYNAH", "T0OTHER"


def test_a_pin_belongs_to_its_team(store: Engine) -> None:
    """Another team neither sees it nor takes it away, and may pin the same question."""
    with transaction(store) as session:
        ours, _ = pins.pin(session, TEAM, "Which port?", "7411", by="U0ADMIN")
        pins.pin(session, OTHER, "Which port?", "9000", by="U0ADMIN")
        assert [one.must for one in pins.pinned(session, TEAM)] == ["7411"]
        with pytest.raises(NoSuchPin):
            pins.unpin(session, OTHER, ours.id or 0, by="U0ADMIN")
        assert [one.must for one in pins.pinned(session, OTHER)] == ["9000"]


@pytest.mark.parametrize(
    ("question", "must", "kind"),
    [
        ("Which key opens it?", "sk-proj-" + "a1B2" * 9, r"text .*\[secret\]"),
        ("Which key opens it?", "[secret] sk-proj-" + "a1B2" * 9, r"text .*\[secret\]"),
        ("Is jane@home.example in?", "yes", r"question .*\[email\]"),
    ],
)
def test_no_secret_is_pinned(store: Engine, question: str, must: str, kind: str) -> None:
    """It would lie there in plain words, and no answer could ever hold it."""
    with (
        transaction(store) as session,
        pytest.raises(SecretPin, match=rf"^the {kind}\), so no answer may hold it$"),
    ):
        pins.pin(session, TEAM, question, must, by="operator")
    with reading(store) as session:
        assert pins.pinned(session, TEAM) == []


def test_a_contact_of_the_house_may_be_pinned(store: Engine) -> None:
    """Answers keep it."""
    with transaction(store) as session:
        made, _ = pins.pin(
            session, TEAM, "Whom do I ask?", "help@house.example", by="operator",
            keep=["house.example"],
        )  # fmt: skip
        assert made.must == "help@house.example"


def test_the_same_pin_again_changes_nothing(store: Engine) -> None:
    """Not even whose it is; another text is a change, under the same number."""
    with transaction(store) as session:
        pins.pin(session, TEAM, "Which port?", "7411", by="U0ADMIN")
        again, changed = pins.pin(session, TEAM, " Which  port?", "7411 ", by="operator")
        assert (again.id, again.by, changed) == (1, "U0ADMIN", False)
        other, changed = pins.pin(session, TEAM, "Which port?", "9000", by="operator")
        assert (other.id, other.by, changed) == (1, "operator", True)
        assert len(session.exec(select(Audit)).all()) == 2


def test_who_pinned_what_is_on_the_record(store: Engine) -> None:
    """Without the texts, which the audit table never holds."""
    with transaction(store) as session:
        made, _ = pins.pin(session, TEAM, "Which port?", "7411", by="U0ADMIN")
        pins.unpin(session, TEAM, made.id or 0, by="operator")
    with reading(store) as session:
        rows = session.exec(select(Audit).order_by(Audit.id)).all()  # type: ignore[arg-type]
    assert [(row.actor, row.action, row.subject) for row in rows] == [
        ("U0ADMIN", "pin.add", "pin:1"),
        ("operator", "pin.remove", "pin:1"),
    ]
    assert all(row.detail == {} for row in rows)
