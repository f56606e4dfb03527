"""A caller that leaves: the engine stops for it, and what was read is what is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import openai
import pytest

from bot.composing import CUT_SHORT
from bot.store.schema import Answer, Question
from tests.bot.api.conftest import Caller, asks
from tests.bot.slack.house import House, until
from tests.fake_vllm import FakeVllm
from tests.lora_files import make_base


class Heard(FakeVllm):
    """A server that knows whether somebody still listened at the end of each answer."""

    def __init__(self, *, adapters_dir: Path, base_dir: Path) -> None:
        super().__init__(adapters_dir=adapters_dir, base_dir=base_dir)
        self.whole: list[bool] = []

    async def _lines(self, model: str, tokens: list[str], reason: str) -> AsyncIterator[str]:
        self.whole.append(False)
        place = len(self.whole) - 1
        async for line in super()._lines(model, tokens, reason):
            yield line
        self.whole[place] = True


@pytest.fixture
def vllm(tmp_path: Path) -> Iterator[Heard]:
    """A stand-in for vLLM that would write for a long time."""
    adapters = tmp_path / "adapters"
    adapters.mkdir()
    with Heard(adapters_dir=adapters, base_dir=make_base(tmp_path / "base")) as running:
        running.script = lambda messages, model: "It is port 9443, as it has ever been. " * 100
        running.logprob = -0.01
        running.token_delay_s = 0.1
        yield running


async def test_what_was_read_of_a_stream_is_recorded(
    house: House, vllm: Heard, caller: Caller
) -> None:
    """The caller leaves in the middle: the engine's stream is closed, and the answer ends where the
    reading did."""
    async with house.bot():
        stream = await caller.client().chat.completions.create(**asks("Which port?", stream=True))
        read = ""
        async for chunk in stream:
            read += chunk.choices[0].delta.content or ""
            if len(read.split()) > 10:
                break
        await stream.close()
        await until(lambda: len(house.rows(Answer)) == 1)
    [answer] = house.rows(Answer)
    assert answer.text.startswith(read)
    assert answer.text.endswith(CUT_SHORT)
    assert len(answer.text.split()) < 200
    assert vllm.whole == [False]


def taken_back(house: House) -> int:
    """How many questions are nobody's any more."""
    return len([question for question in house.rows(Question) if question.deleted_at])


async def test_what_nobody_read_is_not_recorded(house: House, vllm: Heard, caller: Caller) -> None:
    """Who leaves before the first word, or waits for the whole and gives up, has asked nothing: the
    engine stops, and the question is taken back."""
    async with house.bot():
        impatient = caller.client().with_options(timeout=openai.Timeout(30.0, read=3.0))
        with pytest.raises(openai.APITimeoutError):
            await impatient.chat.completions.create(**asks("Which port?"))
        await until(lambda: taken_back(house) == 1)
        vllm.delay_s = 60.0
        with pytest.raises(openai.APITimeoutError):
            await impatient.chat.completions.create(**asks("Which port?", stream=True))
        await until(lambda: taken_back(house) == 2)
    assert [question.text for question in house.rows(Question)] == ["", ""]
    assert house.rows(Answer) == []
    assert True not in vllm.whole


async def test_a_place_is_free_again(house: House, vllm: Heard, caller: Caller) -> None:
    """Whoever left takes none of the places of its key."""
    vllm.delay_s = 60.0
    async with house.bot(MYNAH_API_PER_MINUTE="6000"):
        client = caller.client()
        impatient = client.with_options(timeout=openai.Timeout(5.0, read=0.5))
        for _ in range(3):
            left = [impatient.chat.completions.create(**asks("Port?")) for _ in range(10)]
            found = await asyncio.gather(*left, return_exceptions=True)
            assert {type(one) for one in found} == {openai.APITimeoutError}
            await until(lambda: all(row.deleted_at for row in house.rows(Question)))
        vllm.delay_s = vllm.token_delay_s = 0.0
        said = await client.chat.completions.create(**asks("Port?"))
    assert said.choices[0].message.content
