"""`mynah api-key`: made once, shown once, listed without it, and ended."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import Engine
from sqlmodel import select

from bot.api import keys
from bot.store.database import reading
from bot.store.schema import ApiKey, Audit, OutboxMessage
from tests.deploy.conftest import Mynah


@pytest.mark.usefixtures("url")
def test_a_key_from_its_making_to_its_end(mynah: Mynah, team: Engine) -> None:
    """The key is in what `add` prints and nowhere else; each change is in the audit table."""
    status, out, _ = mynah("api-key", "add", "website", "--json", MYNAH_ADMIN_CHANNEL="C0ADMIN")
    made = json.loads(out)
    assert (status, made["number"], made["name"], made["team"]) == (0, 1, "website", "T0MYNAH")
    assert made["key"].startswith("mk-")
    assert len(made["key"]) == 46
    status, out, _ = mynah("api-key", "list")
    assert (status, "1  website, made 20" in out, "never used" in out) == (0, True, True)
    assert made["key"] not in out
    assert mynah("api-key", "revoke", "1") == (0, "key 1 for website is revoked\n", "")
    assert "revoked 20" in mynah("api-key", "list")[1]
    with reading(team) as session:
        key = keys.find(session, made["key"])
        assert key is not None
        assert key.revoked_at is not None
        stored = [*session.exec(select(ApiKey)), *session.exec(select(Audit))]
        assert made["key"] not in str(stored)
        actions = [row.action for row in session.exec(select(Audit)) if "key" in row.action]
        news = [row.payload["text"] for row in session.exec(select(OutboxMessage))]
    assert actions == ["api_key.add", "api_key.revoke"]
    assert news == [
        "The operator made the API key 1 for website.",
        "The operator revoked the API key 1 for website.",
    ]


@pytest.mark.usefixtures("url", "team")
def test_what_a_person_can_mend_is_one_line(mynah: Mynah) -> None:
    """A name that is none, a number that is none, an end that was, and another workspace."""
    assert mynah("api-key", "list")[1] == "none yet: `mynah api-key add website`\n"
    for words in (
        ("add", "My site"), ("add", "a" * 33), ("revoke", "7"),
        ("add", "web", "--team", "T0ELSE"), ("list", "--team", "T0ELSE"),
    ):  # fmt: skip
        status, out, err = mynah("api-key", *words)
        assert (status, out, err.count("\n"), err[:7]) == (2, "", 1, "mynah: "), words
    mynah("api-key", "add", "web")
    assert mynah("api-key", "revoke", "1")[0] == 0
    assert mynah("api-key", "revoke", "1")[0] == 2


def test_two_keys_of_one_name_are_told_apart(mynah: Mynah, team: Engine, url: str) -> None:
    """A new one is made before the old one ends: what was asked stays one system's."""
    found = [json.loads(mynah("api-key", "add", "web", "--json")[1]) for _ in "12"]
    assert found[0]["key"] != found[1]["key"]
    assert [one["number"] for one in found] == [1, 2]
    mynah("api-key", "revoke", "1")
    with reading(team) as session:
        ended = [keys.find(session, one["key"]) for one in found]
    assert [key is not None and key.revoked_at is not None for key in ended] == [True, False]
