"""Reconciling a replica against what the releases need."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from serving.adapters import WEIGHTS, AdapterFile, publish
from serving.base import base_spec
from serving.client import VllmClient
from serving.replicas import Ready, ReplicaState, choose
from tests.fake_vllm import FakeVllm
from tests.lora_files import make_adapter, random_tensors, write_adapter
from tests.serving.reconciling import reconcile


@pytest.fixture
async def client(fake_vllm: FakeVllm) -> AsyncIterator[VllmClient]:
    keys = {"api_key": fake_vllm.api_key, "control_key": fake_vllm.control_key}
    async with VllmClient(fake_vllm.url, timeout_s=2, **keys) as client:
        yield client


@pytest.fixture
def adapters(fake_vllm: FakeVllm, tmp_path: Path) -> list[AdapterFile]:
    base = tmp_path / "base-model"
    spec = base_spec(base)
    staged = [make_adapter(tmp_path / f"s{seed}", base, seed=seed) for seed in range(3)]
    return [publish(directory, fake_vllm.adapters_dir, spec) for directory in staged]


async def test_loads_what_is_missing_and_asks_it_once(
    client: VllmClient, fake_vllm: FakeVllm, adapters: list[AdapterFile]
) -> None:
    """Each adapter is loaded and answers one token before it counts as ready; the second round
    does nothing and keeps the times."""
    first = await reconcile(client, adapters[:2], None)
    assert (first.url, first.healthy, first.error) == (client.url, True, None)
    assert list(first.adapters) == fake_vllm.loads == [each.name for each in adapters[:2]]
    assert [body["model"] for body in fake_vllm.asked] == fake_vllm.loads
    assert all(body["max_tokens"] == 1 for body in fake_vllm.asked)
    assert await reconcile(client, adapters[:2], first) == first
    assert len(fake_vllm.asked) == 2


async def test_unloads_what_is_not_wanted(
    client: VllmClient, fake_vllm: FakeVllm, adapters: list[AdapterFile]
) -> None:
    """Adapters of ours that no release needs go; another's name stays."""
    state = await reconcile(client, adapters, None)
    fake_vllm.adapters["someone-elses"] = "/theirs"
    state = await reconcile(client, adapters[1:2], state)
    assert list(fake_vllm.adapters) == [adapters[1].name, "someone-elses"]
    assert list(state.adapters) == [adapters[1].name]


async def test_server_that_forgot(
    client: VllmClient, fake_vllm: FakeVllm, adapters: list[AdapterFile]
) -> None:
    """A restarted server has no adapters: they are loaded again. Until then nothing is ready.
    So they are when the restart fell between two rounds."""
    before = await reconcile(client, adapters[:1], None)
    fake_vllm.down()
    down = await reconcile(client, adapters[:1], before)
    assert (down.healthy, dict(down.adapters)) == (False, {})
    assert down.error is not None
    assert "ConnectError" in down.error
    fake_vllm.up()
    again = await reconcile(client, adapters[:1], down)
    assert fake_vllm.loads == [adapters[0].name] * 2
    assert again.adapters[adapters[0].name].load_s > 0
    fake_vllm.down()
    fake_vllm.up()
    await reconcile(client, adapters[:1], again)
    assert fake_vllm.loads == [adapters[0].name] * 3


async def test_worker_that_forgot(
    client: VllmClient, fake_vllm: FakeVllm, adapters: list[AdapterFile]
) -> None:
    """A new worker finds an adapter loaded: it is asked once, not loaded again."""
    await reconcile(client, adapters[:1], None)
    state = await reconcile(client, adapters[:1], None)
    assert state.adapters[adapters[0].name].load_s == 0
    assert (len(fake_vllm.loads), len(fake_vllm.asked)) == (1, 2)


async def test_a_bad_adapter_does_not_hold_up_the_others(
    client: VllmClient, fake_vllm: FakeVllm, adapters: list[AdapterFile], tmp_path: Path
) -> None:
    """One refused adapter is the state's error; the others are ready, the server healthy."""
    (adapters[0].path / WEIGHTS).write_bytes(b"broken on disk")
    state = await reconcile(client, adapters, None)
    assert list(state.adapters) == [each.name for each in adapters[1:]]
    assert state.healthy
    assert state.error is not None
    assert adapters[0].name in state.error


async def test_an_adapter_that_answers_nothing_is_not_ready(
    client: VllmClient, fake_vllm: FakeVllm, adapters: list[AdapterFile]
) -> None:
    """Without log-probabilities in its first answer an adapter is unloaded and not ready."""
    fake_vllm.script = lambda messages, model: ""
    state = await reconcile(client, adapters[:1], None)
    assert (dict(state.adapters), fake_vllm.adapters) == ({}, {})
    assert state.error is not None
    assert "without sane log-probabilities" in state.error


async def test_moved_files_are_loaded_from_their_new_place(
    client: VllmClient, fake_vllm: FakeVllm, adapters: list[AdapterFile]
) -> None:
    """An adapter that was loaded from another path is loaded again from the right one."""
    fake_vllm.adapters[adapters[0].name] = "/old/place"
    await reconcile(client, adapters[:1], None)
    assert fake_vllm.adapters == {adapters[0].name: str(adapters[0].path)}


async def test_nan_is_refused_by_the_real_guard(
    client: VllmClient, fake_vllm: FakeVllm, tmp_path: Path
) -> None:
    """Even an adapter that skipped publishing does not get its NaN into the engine."""
    tensors = random_tensors(tmp_path / "base-model")
    next(iter(tensors.values()))[0, 0] = np.nan
    path = write_adapter(fake_vllm.adapters_dir / "mynah-0123456789ab", tensors)
    state = await reconcile(client, [AdapterFile(path.name, "0" * 64, path, 8)], None)
    assert (fake_vllm.loads, dict(state.adapters)) == ([], {})


def test_choose() -> None:
    """Healthy servers that have the model, in order; the base is everywhere."""
    ready = {"mynah-a": Ready(0.1, "2026-01-01T00:00:00+00:00")}
    states = [
        ReplicaState("http://a", True),
        ReplicaState("http://b", True, ready),
        ReplicaState("http://c", False, ready, "down"),
        ReplicaState("http://d", True, ready),
    ]
    assert choose(states, "mynah-a") == ["http://b", "http://d"]
    assert choose(states, "base") == ["http://a", "http://b", "http://d"]
    assert choose(states, "mynah-b") == []
