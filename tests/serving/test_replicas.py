"""Reconciling a replica against what the releases need."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from serving.adapters import CONFIG, WEIGHTS, AdapterFile, publish
from serving.base import base_spec
from serving.client import ChatMessage, VllmClient
from serving.replicas import AGAIN_S, LONGEST_WAIT_S, Keeping, Ready, ReplicaState, choose
from tests.fake_vllm import LOGPROB, FakeVllm, probe_of
from tests.lora_files import make_adapter, random_tensors, write_adapter
from tests.serving.reconciling import reconcile
from tests.serving.test_pulse import Clock

TIMES = 20  # each fault


@pytest.fixture
async def client(fake_vllm: FakeVllm) -> AsyncIterator[VllmClient]:
    async with _client(fake_vllm) as client:
        yield client


def _client(fake: FakeVllm) -> VllmClient:
    return VllmClient(fake.url, api_key=fake.api_key, control_key=fake.control_key, timeout_s=2)


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


@pytest.fixture
def proven(adapters: list[AdapterFile]) -> list[AdapterFile]:
    """The adapters, each with what torch would expect of it."""
    return [replace(one, probe=probe_of(one.path)) for one in adapters]


async def test_an_adapter_that_answers_as_it_was_trained_to_is_ready(
    client: VllmClient, fake_vllm: FakeVllm, proven: list[AdapterFile]
) -> None:
    """The proof is one request for each; a server that is a little off, as batches are, passes."""
    state = await reconcile(client, proven, None)
    assert (list(state.adapters), state.error) == ([one.name for one in proven], None)
    assert [body["model"] for body in fake_vllm.asked] == [one.name for one in proven]
    assert proven[0].probe is not None
    fake_vllm.scores[proven[0].name] = proven[0].probe.logprobs[0] + 0.03
    assert (await reconcile(client, proven, None)).error is None


@pytest.mark.parametrize("turn", range(TIMES))
async def test_an_adapter_that_is_not_applied_is_found(
    client: VllmClient, fake_vllm: FakeVllm, proven: list[AdapterFile], turn: int
) -> None:
    """A server that lists it and answers with the base's words gets no questions for it; the others
    are ready. Once it is applied it is ready, too."""
    wrong = proven[turn % 3]
    fake_vllm.voices[wrong.name] = "base"
    clock = Clock()
    keeping = Keeping(client, clock=clock)
    state = await keeping.look(proven)
    assert set(state.adapters) == {one.name for one in proven} - {wrong.name}
    assert set(fake_vllm.adapters) == set(state.adapters)
    assert state.error is not None
    assert f"{wrong.name} does not answer as it was trained to" in state.error
    assert "it answers as base does" in state.error
    assert (state.healthy, keeping.counts["failed_probes"]) == (True, 1)
    del fake_vllm.voices[wrong.name]
    clock.now += 2
    state = await keeping.look(proven)
    assert (len(state.adapters), state.error) == (3, None)


@pytest.mark.parametrize("turn", range(TIMES))
async def test_an_adapter_that_answers_for_another_is_found(
    client: VllmClient, fake_vllm: FakeVllm, proven: list[AdapterFile], turn: int
) -> None:
    """Two mixed up under each other's names are both refused, and it is said which answers."""
    one, other = proven[turn % 3], proven[(turn + 1) % 3]
    fake_vllm.voices |= {one.name: str(other.path), other.name: str(one.path)}
    # Both are loaded already, as by an earlier worker.
    fake_vllm.adapters |= {each.name: str(each.path) for each in proven}
    state = await reconcile(client, proven, None)
    assert set(state.adapters) == {each.name for each in proven} - {one.name, other.name}
    assert state.error is not None
    assert f"it answers as {other.name} does" in state.error
    assert f"it answers as {one.name} does" in state.error


async def test_another_tokenizer_is_named(
    client: VllmClient, fake_vllm: FakeVllm, proven: list[AdapterFile]
) -> None:
    """A server that reads other tokens than torch did serves another base, or another template."""
    assert proven[0].probe is not None
    other = replace(proven[0].probe, ids=(*proven[0].probe.ids[:-1], 7))
    state = await reconcile(client, [replace(proven[0], probe=other)], None)
    assert dict(state.adapters) == {}
    assert state.error is not None
    assert "another tokenizer or chat template" in state.error


@pytest.mark.parametrize("logprob", [float("nan"), float("-inf"), LOGPROB - 9])
async def test_an_adapter_that_answers_nonsense_is_not_ready(
    client: VllmClient, fake_vllm: FakeVllm, proven: list[AdapterFile], logprob: float
) -> None:
    """Numbers that are none, or that nobody expected."""
    fake_vllm.scores[proven[0].name] = logprob
    state = await reconcile(client, proven[:1], None)
    assert (dict(state.adapters), fake_vllm.adapters) == ({}, {})


async def test_what_is_ready_is_proved_again(
    client: VllmClient, fake_vllm: FakeVllm, proven: list[AdapterFile]
) -> None:
    """Weights that changed on disk reach a server that had evicted them: it is found within
    minutes, and the adapter loses its questions. The others keep their times."""
    clock = Clock()
    keeping = Keeping(client, clock=clock)
    first = await keeping.look(proven)
    (proven[1].path / WEIGHTS).write_bytes((proven[2].path / WEIGHTS).read_bytes())
    assert await keeping.look(proven) == first
    clock.now += AGAIN_S
    state = await keeping.look(proven)
    assert set(state.adapters) == {proven[0].name, proven[2].name}
    assert state.adapters[proven[0].name] == first.adapters[proven[0].name]
    # It was unloaded, and the guard does not load what is not what the store says.
    clock.now += 2
    state = await keeping.look(proven)
    assert state.error is not None
    assert "hashes to" in state.error
    assert proven[1].name not in fake_vllm.adapters


@pytest.mark.parametrize("turn", range(TIMES))
@pytest.mark.parametrize("fault", ["altered", "truncated", "gone", "config", "half-written"])
async def test_files_that_are_not_what_was_published(
    client: VllmClient, fake_vllm: FakeVllm, proven: list[AdapterFile], fault: str, turn: int
) -> None:
    """The load is refused and the adapter named; the others of the server are ready, and once the
    files are right it is, too."""
    wrong = proven[turn % 3]
    weights, config = wrong.path / WEIGHTS, wrong.path / CONFIG
    good = {file: file.read_bytes() for file in (weights, config)}
    if fault == "altered":
        at = len(good[weights]) - 1 - 4 * turn
        changed = good[weights][at] ^ 1
        weights.write_bytes(good[weights][:at] + bytes([changed]) + good[weights][at + 1 :])
    elif fault == "truncated":
        weights.write_bytes(good[weights][: -1 - 8 * turn])
    elif fault == "gone":
        weights.unlink()
    elif fault == "half-written":
        config.unlink()
    else:
        config.write_text(json.dumps(json.loads(good[config]) | {"lora_alpha": 17 + turn}))
    clock = Clock()
    keeping = Keeping(client, clock=clock)
    state = await keeping.look(proven)
    assert set(state.adapters) == {one.name for one in proven} - {wrong.name}
    assert wrong.name not in fake_vllm.loads
    assert state.error is not None
    assert wrong.name in state.error
    for file, content in good.items():
        file.write_bytes(content)
    clock.now += 2
    assert len((await keeping.look(proven)).adapters) == 3


@pytest.mark.parametrize("turn", range(TIMES))
async def test_a_load_that_fails_on_one_server_of_three(
    fake_vllm: FakeVllm, proven: list[AdapterFile], tmp_path: Path, turn: int
) -> None:
    """The other two have it; the one says why it has not, and gets it once it can load again."""
    adapters, base = fake_vllm.adapters_dir, tmp_path / "base-model"
    with ExitStack() as servers:
        others = [
            servers.enter_context(FakeVllm(adapters_dir=adapters, base_dir=base)) for _ in range(2)
        ]
        fakes = [*others[: turn % 3], fake_vllm, *others[turn % 3 :]]
        fake_vllm.load_status = 500
        async with AsyncExitStack() as clients:
            clock = Clock()
            keepings = [
                Keeping(await clients.enter_async_context(_client(fake)), clock=clock)
                for fake in fakes
            ]
            states = [await keeping.look(proven[:1]) for keeping in keepings]
            able = [fake.url for fake in fakes if fake is not fake_vllm]
            assert choose(states, proven[0].name) == able
            failed = states[turn % 3]
            assert (failed.healthy, failed.error is None) == (True, False)
            fake_vllm.load_status = None
            clock.now += 2
            states = [await keeping.look(proven[:1]) for keeping in keepings]
            assert choose(states, proven[0].name) == [fake.url for fake in fakes]


async def test_what_fails_is_tried_ever_more_rarely(
    client: VllmClient, fake_vllm: FakeVllm, proven: list[AdapterFile]
) -> None:
    """A wrong adapter costs its server a load now and then, not every two seconds for ever; the
    trouble stands in the row all the while."""
    fake_vllm.voices[proven[0].name] = "base"
    clock = Clock()
    keeping = Keeping(client, clock=clock)
    waits, last = [], clock.now
    for _ in range(600):
        before = len(fake_vllm.loads)
        assert (await keeping.look(proven[:1])).error is not None
        if len(fake_vllm.loads) > before:
            waits.append(clock.now - last)
            last = clock.now
        clock.now += 1
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_WAIT_S
    assert len(waits) < 20


async def test_an_adapter_that_kills_its_server(
    client: VllmClient, fake_vllm: FakeVllm, proven: list[AdapterFile]
) -> None:
    """It is not loaded again as soon as the server is back: the others are, and it has its turn
    ever more rarely."""

    def deadly(messages: Sequence[ChatMessage], model: str) -> str:
        if model == proven[0].name:
            threading.Thread(target=fake_vllm.down).start()
            time.sleep(0.3)
        return "well"

    clock = Clock()
    keeping = Keeping(client, clock=clock)
    fake_vllm.script = deadly
    for loads in (1, 2):
        state = await keeping.look(proven)
        assert (state.healthy, fake_vllm.loads.count(proven[0].name)) == (False, loads)
        fake_vllm.down()
        fake_vllm.up()
        for _ in range(3):
            state = await keeping.look(proven)
            assert set(state.adapters) == {proven[1].name, proven[2].name}
        clock.now += loads + 0.5


async def test_who_may_still_be_named_stays(
    client: VllmClient, fake_vllm: FakeVllm, proven: list[AdapterFile]
) -> None:
    """What no release needs any more stays loaded and routable until nobody can name it; being
    unloaded then, it is not taken for forgotten."""
    free: set[str] = set()

    async def may_unload(name: str) -> bool:
        return name in free

    keeping = Keeping(client, may_unload=may_unload)
    await keeping.look(proven)
    state = await keeping.look(proven[1:])
    assert choose([state], proven[0].name) == [client.url]
    free.add(proven[0].name)
    state = await keeping.look(proven[1:])
    assert proven[0].name not in fake_vllm.adapters
    assert choose([state], proven[0].name) == []
    assert (keeping.counts["unloads"], keeping.counts["forgotten"]) == (1, 0)


async def test_a_server_that_answers_nobody_is_left_alone(
    client: VllmClient, fake_vllm: FakeVllm, proven: list[AdapterFile]
) -> None:
    """While it is known to answer nobody it is said to be unhealthy, nothing is loaded, and no
    adapter is blamed; afterwards each is proved before it is ready."""
    keeping = Keeping(client)
    await keeping.look(proven[:2])
    state = await keeping.look(proven, "no answer for 40 s")
    assert (state.healthy, dict(state.adapters)) == (False, {})
    assert state.error == "answers /health, but not questions: no answer for 40 s"
    assert len(fake_vllm.loads) == 2
    fake_vllm.voices[proven[0].name] = "base"
    state = await keeping.look(proven)
    assert set(state.adapters) == {proven[1].name, proven[2].name}
    assert keeping.counts["failed_probes"] == 1


@pytest.mark.parametrize("turn", range(TIMES))
async def test_a_restart_between_two_looks_is_counted(
    client: VllmClient, fake_vllm: FakeVllm, proven: list[AdapterFile], turn: int
) -> None:
    """Its adapters are gone: all of them are loaded and proved again in one look."""
    keeping = Keeping(client)
    await keeping.look(proven)
    fake_vllm.down()
    fake_vllm.up()
    state = await keeping.look(proven)
    assert (set(state.adapters), state.error) == ({one.name for one in proven}, None)
    assert (keeping.counts["loads"], keeping.counts["forgotten"]) == (6, 1)
