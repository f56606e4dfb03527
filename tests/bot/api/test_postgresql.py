"""The API on PostgreSQL, where transactions run side by side: the same claims hold."""

from __future__ import annotations

import asyncio
from pathlib import Path

import openai
import pytest
from sqlalchemy import Engine

from bot.slack import home_view
from bot.store.schema import Answer, ApiKey, Example, ExampleStatus, Feedback, Question
from tests.bot.api.conftest import Caller, asks, receipt
from tests.bot.api.test_named import named
from tests.bot.api.test_rating import rate
from tests.bot.slack.house import House, free_port
from tests.bot.slack.test_home import home, press
from tests.fake_vllm import FakeVllm
from tests.sandbox_server import Sandbox

PORT = "Which port does the console listen on? \0"
RIGHT = "It is port 9443, since version 2."


@pytest.fixture
def house(sandbox: Sandbox, vllm: FakeVllm, pg_engine: Engine, tmp_path: Path) -> House:
    """A house whose store is a real PostgreSQL."""
    return House(sandbox, vllm, pg_engine, tmp_path)


async def test_the_api_on_postgresql(house: House, caller: Caller) -> None:
    """Ask by one name at two bots, rate twice at once, approve, be quoted, delete, and run out of
    allowance."""
    house.vllm.script = lambda messages, model: RIGHT
    house.vllm.delay_s = 0.3
    port = free_port()
    limit = {"MYNAH_API_PER_MINUTE": "30"}
    async with house.bot(**limit), house.bot(**limit, MYNAH_PORT=str(port)):
        key = caller.key()
        here, there = caller.client(key), caller.client(key, port=port)
        said = await asyncio.gather(*(named(one, "a", PORT) for one in (here, there, here, there)))
        assert {one.id for one in said} == {"chatcmpl-1"}
        assert len(house.vllm.asked) == 1
        await asyncio.gather(*(rate(house, key, id=said[0].id, rating="helpful") for _ in "12"))
        await press(house, "staff", await home(house, "staff"), home_view.RIGHT, "1")
        quoted = await here.chat.completions.create(**asks(PORT, stream=True))
        chunks = [chunk async for chunk in quoted]
        assert receipt(chunks[-1])["mode"] == "quoted"
        assert (await there.chat.completions.delete(said[0].id)).deleted
        asked = [one.chat.completions.create(**asks("Hello?")) for one in (here, there) * 20]
        found = await asyncio.gather(*asked, return_exceptions=True)
    refused = [one for one in found if isinstance(one, openai.RateLimitError)]
    assert refused
    assert len(house.rows(Question)) == len(house.rows(Answer)) == 2 + 40 - len(refused)
    assert [example.status for example in house.rows(Example)] == [ExampleStatus.REVOKED]
    assert len([row for row in house.rows(Feedback) if row.user.startswith("api:web/#")]) == 1
    assert house.rows(ApiKey)[0].last_used_at is not None
    assert house.failed() == []
