"""The whole Slack side on PostgreSQL: the same code, another store."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from bot.store.schema import Answer, Example, ExampleStatus, Question
from tests.bot.slack.house import HELP, House
from tests.fake_vllm import FakeVllm
from tests.sandbox_server import Sandbox


@pytest.fixture
def house(sandbox: Sandbox, vllm: FakeVllm, pg_engine: Engine, tmp_path: Path) -> House:
    """A house whose store is a real PostgreSQL."""
    return House(sandbox, vllm, pg_engine, tmp_path)


async def test_the_loop_on_postgresql(house: House) -> None:
    """Ask, correct, be quoted, approve, look, roll back, delete: every query of the Slack side."""
    async with house.bot():
        asked = await house.ask("Which port does the console listen on? \u0000")
        await house.answer(asked)
        reply = await house.say("staff", "Port 9443, since version 2.", thread_ts=asked)
        await house.react("staff", "memo", reply)
        await house.quiet()
        quoted = await house.asked("Which port does the console listen on?")
        assert quoted["text"] == "Port 9443, since version 2."
        await house.react("staff2", "white_check_mark", quoted["ts"])
        for text in ("status", "releases", "train", "rollback", "rollback now", "promote"):
            assert (await house.sandbox.command(text))["ok"]
        await house.quiet()
        await house.client("staff").chat_delete(channel=HELP, ts=reply)
        await house.client("asker").chat_update(channel=HELP, ts=asked, text="never mind")
        await house.quiet()
        assert len(await house.responses()) == 6
    assert {row.status for row in house.rows(Example)} == {ExampleStatus.REVOKED}
    assert len(house.rows(Question)) == 2
    assert [row.replaced_at is None for row in house.rows(Answer)].count(True) == 2
    assert house.failed() == []
