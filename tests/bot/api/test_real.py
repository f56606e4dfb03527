"""The API before a real vLLM: its words, its stream, and its end when the caller leaves."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine

from bot import prompt
from bot.store.schema import Answer
from tests.bot.api.conftest import Caller, asks, receipt
from tests.bot.slack.house import House, until
from tests.fake_vllm import FakeVllm
from tests.sandbox_server import Sandbox
from tests.vllm_server import Vllm
from tests.vllm_server import vllm as real_vllm

pytestmark = pytest.mark.slow
QUESTION = "What is the capital of France, and what is it known for?"
real = real_vllm


@pytest.fixture
def house(sandbox: Sandbox, vllm: FakeVllm, real: Vllm, engine: Engine, tmp_path: Path) -> House:
    """A house whose model is a real one."""
    house = House(sandbox, vllm, engine, tmp_path)
    house.extra = {
        "MYNAH_VLLM_URLS": real.url, "MYNAH_VLLM_API_KEY": real.api_key, "MYNAH_UNSURE": "off",
        "MYNAH_MAX_TOKENS": "48", "MYNAH_API_DEADLINE_S": "120",
    }  # fmt: skip
    return house


async def test_what_vllm_says_is_what_the_caller_reads(
    house: House, real: Vllm, caller: Caller
) -> None:
    """Whole and streamed, the words are those that vLLM says to the same prompt, and so are the
    tokens that it counts."""
    async with house.bot(), real.client() as client:
        said = await client.complete(prompt.build(QUESTION), max_tokens=48)
        create = caller.client().chat.completions.create
        whole = await create(**asks(QUESTION))
        stream = await create(**asks(QUESTION, stream=True))
        chunks = [chunk async for chunk in stream]
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert whole.choices[0].message.content == streamed
    assert streamed.startswith(said.text.strip())
    assert len([chunk for chunk in chunks if chunk.choices[0].delta.content]) > 5
    assert receipt(whole)["confidence"] == pytest.approx(said.mean_logprob, abs=0.05)
    usage = whole.usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (
        said.prompt_tokens, len(said.logprobs)
    )  # fmt: skip
    reasons = {"stop": "stop", "length": "length"}
    assert whole.choices[0].finish_reason == reasons[said.finish_reason]


async def test_vllm_stops_when_the_caller_leaves(house: House, real: Vllm, caller: Caller) -> None:
    """Its own figures say that nothing runs any more, long before the answer could have ended."""
    house.extra["MYNAH_MAX_TOKENS"] = "1500"
    text = "Count from one to one thousand in words, one number after the other."
    async with house.bot(), httpx.AsyncClient(trust_env=False) as http:
        stream = await caller.client().chat.completions.create(**asks(text, stream=True))
        async for chunk in stream:
            if chunk.choices[0].delta.content:
                break
        await stream.close()
        await until(lambda: len(house.rows(Answer)) == 1)
        while True:
            if not await running(http, real):
                break
            await asyncio.sleep(0.1)
    [answer] = house.rows(Answer)
    assert len(answer.text.split()) < 500


async def running(http: httpx.AsyncClient, real: Vllm) -> float:
    """How many requests vLLM works on."""
    headers = {"Authorization": f"Bearer {real.api_key}"}
    page = (await http.get(f"{real.url}/metrics", headers=headers)).text
    lines = [line for line in page.splitlines() if line.startswith("vllm:num_requests_running")]
    return sum(float(line.split()[-1]) for line in lines)
