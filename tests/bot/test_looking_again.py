"""Sending a question to a server: what is told to the worker when one is not as its row says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from bot.routing import NoModel, NoServer, Router
from bot.store import fleet
from bot.store.database import reading, transaction
from serving.client import ChatMessage, VllmClient
from serving.replicas import Ready, ReplicaState
from tests.fake_vllm import API_KEY, FakeVllm

QUESTION: list[ChatMessage] = [{"role": "user", "content": "Hello"}]
ADAPTER = "mynah-0123456789ab"


@pytest.fixture
async def client(fake_vllm: FakeVllm) -> AsyncIterator[VllmClient]:
    async with VllmClient(fake_vllm.url, api_key=API_KEY) as client:
        yield client


def _wish(engine: Engine) -> datetime | None:
    with reading(engine) as session:
        return fleet.wish(session)


def _seen(engine: Engine, state: ReplicaState) -> None:
    with transaction(engine) as session:
        fleet.write(session, state)


async def test_a_server_that_is_not_as_its_row_says_is_looked_at_again(
    store: Engine, client: VllmClient, fake_vllm: FakeVllm
) -> None:
    """A 404 for what it should have, and no answer at all, are told to the worker at once; an
    answer is not. What the worker writes then does not take the wish away."""
    ready = ReplicaState(client.url, True, {ADAPTER: Ready(0.1, "2026-01-01T00:00:00+00:00")})
    _seen(store, ready)
    router = Router(store, [client], fresh_s=0)
    await router.complete(QUESTION, model="base", max_tokens=5)
    assert _wish(store) is None
    with pytest.raises(NoModel):
        await router.complete(QUESTION, model=ADAPTER, max_tokens=5)
    first = _wish(store)
    assert first is not None
    _seen(store, ready)
    assert _wish(store) == first
    fake_vllm.down()
    with pytest.raises(NoServer):
        await router.complete(QUESTION, model="base", max_tokens=5)
    second = _wish(store)
    assert second is not None
    assert second > first


async def test_a_storm_of_failures_is_one_wish(store: Engine, client: VllmClient) -> None:
    """However many questions fail: the store has other things to do."""
    _seen(store, ReplicaState(client.url, True))
    router = Router(store, [client], fresh_s=3600)
    wishes = set()
    for _ in range(5):
        with pytest.raises(NoModel):
            await router.complete(QUESTION, model=ADAPTER, max_tokens=5)
        wishes.add(_wish(store))
    assert len(wishes) == 1


async def test_nothing_is_no_answer(
    engine: Engine, client: VllmClient, fake_vllm: FakeVllm, tmp_path: Path
) -> None:
    """A server with NaN in its cache streams empty words: the question goes to the next one."""
    base = tmp_path / "base-model"
    fake_vllm.poisoned = True
    with FakeVllm(adapters_dir=fake_vllm.adapters_dir, base_dir=base) as other:
        async with VllmClient(other.url, api_key=API_KEY) as sound:
            router = Router(engine, [client, sound], fresh_s=0)
            answer = await router.complete(QUESTION, model="base", max_tokens=5)
            assert answer.text == "base heard: Hello"
            other.poisoned = True
            with pytest.raises(NoServer):
                await router.complete(QUESTION, model="base", max_tokens=5)
