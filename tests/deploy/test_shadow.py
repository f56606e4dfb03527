"""`mynah shadow`: a release answers for the record alone, and what came of it."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select

from bot import releases
from bot.store.database import reading
from bot.store.schema import Rollout
from tests.bot.released import candidate
from tests.bot.test_shadowing import Record
from tests.deploy.conftest import Mynah
from tests.deploy.test_promoting import told, write
from tests.stores import TEAM

pytestmark = pytest.mark.usefixtures("url")


def test_an_operator_starts_reads_and_ends_it(mynah: Mynah, team: Engine) -> None:
    """As an admin does in Slack, who reads of it; status and the list name it."""
    write(team, lambda session: candidate(session, "mynah-a"))
    assert mynah("shadow") == (0, "no release is the shadow\n", "")
    assert mynah("shadow", "v2", MYNAH_ADMIN_CHANNEL="C0ADMIN") == (0, "v2 is the shadow\n", "")
    assert told(team)[-1] == (
        "The operator made v2 the shadow: its answers are recorded, and never shown."
    )
    assert "shadow    v2, shown to nobody: `mynah shadow`" in mynah("status")[1].splitlines()
    assert json.loads(mynah("status", "--json")[1])["shadow"] == {"release": "v2"}
    assert "candidate, shadow" in mynah("releases")[1].splitlines()[0]
    assert "v2 has answered nothing yet." in mynah("shadow")[1]
    assert mynah("shadow", "off", MYNAH_ADMIN_CHANNEL="C0ADMIN") == (
        0, "v2 is no shadow any more\n", "",
    )  # fmt: skip
    assert told(team)[-1] == "The operator ended the shadow of v2."
    with reading(team) as session:
        assert {row.by for row in session.exec(select(Rollout)).all()[2:]} == {"operator"}


def test_what_it_said_beside_what_was_shown(mynah: Mynah, team: Engine) -> None:
    """Counts and pairs, for the eye and as JSON."""

    def record(session: Session) -> None:
        made = Record(session)
        made.add("It is 8080.", "It is on 9443.", approved="It listens on port 9443.")

    write(team, record)
    shown = mynah("shadow")[1]
    assert "v2 (mynah-shadow) is the shadow" in shown
    assert "v2 says it in 1, what was shown in 0." in shown
    assert "    shown: It is 8080.\n    v2: It is on 9443." in shown
    found = json.loads(mynah("shadow", "--json")[1])
    assert (found["approved"], found["right"], found["right_shown"]) == (1, 1, 0)
    assert found["pairs"][0]["shadow"] == "It is on 9443."


def test_what_cannot_be_the_shadow_is_one_line(mynah: Mynah, team: Engine) -> None:
    """And changes nothing."""
    for wrong, why in {
        "v1": "v1 is live already",
        "v9": "there is no release v9",
        "off": "no release is the shadow",
        "x": "'x' is no release; they are called v1, v2 …",
    }.items():
        code, _, error = mynah("shadow", wrong)
        assert code != 0
        assert error == f"mynah: {why}\n"
    with reading(team) as session:
        assert releases.shadow(session, TEAM) is None
