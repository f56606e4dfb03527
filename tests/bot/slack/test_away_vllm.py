"""A real vLLM that is killed while it answers, and started again."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.slack.metadata import is_notice
from bot.store.schema import Answer
from deploy.base_model import small_base_model
from serving.engine import Engine
from tests.bot.slack.house import House, until
from tests.bot.slack.test_away import notice
from tests.vllm_server import API_KEY, free_port, server_settings

pytestmark = pytest.mark.slow


async def test_killed_and_started_again(house: House, tmp_path: Path) -> None:
    """What was under way, waited, or was asked meanwhile is answered once; no notice is left."""
    engine = Engine(server_settings(tmp_path / "vllm", free_port()), small_base_model())
    server = {"MYNAH_VLLM_URLS": engine.url, "MYNAH_VLLM_API_KEY": API_KEY}
    few = {"MYNAH_AT_ONCE": "2", "MYNAH_MAX_TOKENS": "48", "MYNAH_UNSURE": "off"}
    try:
        await engine.start()
        async with house.bot(**server, **few):
            asked = [await house.ask(f"Tell me about the number {number}.") for number in range(6)]
            await until(lambda: len(house.rows(Answer)) >= 1)
            await engine.kill()
            asked.append(await house.ask("Are you there?"))
            await notice(house, asked[-1])
            await engine.start()
            await until(lambda: len(house.rows(Answer)) == len(asked))
            await house.quiet()
            for ts in asked:
                [said] = await house.answers(ts)
                assert not is_notice(said)
    finally:
        await engine.stop()
    assert house.failed() == []
