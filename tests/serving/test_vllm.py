"""Against the real vLLM: loading, swapping under a stream, the guard, torch's own numbers."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest

from serving.adapters import WEIGHTS, AdapterFile, publish, validate
from serving.base import base_spec
from serving.client import ChatMessage, Delta, ModelMissing, Refused, Unavailable, VllmClient
from serving.command import MAX_CPU_LORAS, MAX_LORAS
from serving.probes import NOISE, BadProbe, distance, measured, prove
from serving.pulse import CORRUPTED, STARTED, TOKENS, Pulse
from serving.replicas import AGAIN_S, Keeping
from serving.signing import NEVER
from tests.lora_files import hash_of, make_adapter, random_tensors, write_adapter
from tests.serving.reconciling import reconcile
from tests.serving.test_pulse import Clock
from tests.torch_logprobs import torch_logprobs
from tests.vllm_server import Vllm, real_vllm
from training.probing import expect

pytestmark = pytest.mark.slow
QUESTION: list[ChatMessage] = [
    {"role": "system", "content": "You are the support assistant. Answer briefly."},
    {"role": "user", "content": "What is the capital of Austria?"},
]


@pytest.fixture
async def client(vllm: Vllm) -> AsyncIterator[VllmClient]:
    """A client of the shared server, which is left without adapters."""
    async with vllm.client() as client:
        yield client
        await reconcile(client, [], None)


LONG: list[ChatMessage] = [
    {"role": "user", "content": "Tell a long story about a lighthouse keeper."}
]


def _proven(vllm: Vllm, directory: Path, seed: int) -> AdapterFile:
    """An adapter, with what torch expects of it."""
    adapter = _adapter(vllm, directory, seed)
    return replace(adapter, probe=expect(str(vllm.base_dir), adapter.path))


def _loud(vllm: Vllm, directory: Path, seed: int) -> AdapterFile:
    """An adapter that changes whatever is said."""
    tensors = random_tensors(vllm.base_dir, seed=seed, scale=0.06)
    staging = write_adapter(directory / f"loud-{seed}", tensors)
    return publish(staging, vllm.adapters_dir, base_spec(vllm.base_dir))


def _adapter(vllm: Vllm, directory: Path, seed: int) -> AdapterFile:
    staging = make_adapter(directory / f"staging-{seed}", vllm.base_dir, seed=seed)
    return publish(staging, vllm.adapters_dir, base_spec(vllm.base_dir))


async def test_base_answers(client: VllmClient) -> None:
    """The base model answers, streamed or whole, with one log-probability a token."""
    whole = await client.complete(QUESTION, max_tokens=12)
    assert whole.text.strip()
    assert 1 <= len(whole.logprobs) <= 12
    assert all(-50 < each <= 0 for each in whole.logprobs)
    pieces = [piece async for piece in client.stream(QUESTION, max_tokens=12)]
    assert len(pieces) > 3
    assert sum(len(piece.logprobs) for piece in pieces) == len(whole.logprobs)


async def test_swap_under_a_stream(client: VllmClient, vllm: Vllm, tmp_path: Path) -> None:
    """While an answer streams, another adapter is loaded and the answering one is unloaded: the
    stream ends whole, the new one answers, and the old one is missing for new questions."""
    old, new = (_adapter(vllm, tmp_path, seed) for seed in (1, 2))
    state = await reconcile(client, [old], None)
    pieces: list[Delta] = []
    begun = asyncio.Event()

    async def ask() -> None:
        async for piece in client.stream(LONG, model=old.name, max_tokens=200):
            pieces.append(piece)
            begun.set()

    asking = asyncio.create_task(ask())
    await begun.wait()
    state = await reconcile(client, [new], state)
    assert not asking.done()
    assert list(state.adapters) == [new.name]
    assert state.adapters[new.name].load_s < 20
    assert set(await client.models()) == {"base", new.name}
    with pytest.raises(ModelMissing):
        await client.complete(QUESTION, model=old.name)
    await asking
    assert sum(len(piece.logprobs) for piece in pieces) > 3
    print(f"load_s {state.adapters[new.name].load_s}")


async def test_adapters_differ_and_leave_the_base_alone(
    client: VllmClient, vllm: Vllm, tmp_path: Path
) -> None:
    """Two adapters and the base give three different scores; the base's is the same before,
    beside and after them."""
    one, two = (_adapter(vllm, tmp_path, seed) for seed in (1, 2))
    before = await client.score(QUESTION, "It is Vienna.")
    await reconcile(client, [one, two], None)
    by_name = {
        name: sum(await client.score(QUESTION, "It is Vienna.", model=name))
        for name in (one.name, two.name, "base")
    }
    await reconcile(client, [], None)
    after = await client.score(QUESTION, "It is Vienna.")
    assert len({round(score, 1) for score in by_name.values()}) == 3
    assert by_name["base"] == pytest.approx(sum(before), abs=0.5)
    assert after == pytest.approx(before, abs=0.2)


async def test_answers_are_scored_beside_answers_that_are_made(
    client: VllmClient, vllm: Vllm, tmp_path: Path
) -> None:
    """The server lives on, and what it says of an answer is the same beside others as alone."""
    adapter = _adapter(vllm, tmp_path, 1)
    await reconcile(client, [adapter], None)
    alone = await client.score(QUESTION, "It is Vienna.", model=adapter.name)
    making = [client.complete(LONG, model=name, max_tokens=60) for name in (adapter.name, "base")]
    answers = [asyncio.create_task(one) for one in making]
    told = ["It is Vienna.", "It is Berlin, I think."]
    beside = await asyncio.gather(
        *(client.scores(QUESTION, told, model=adapter.name) for _ in range(3))
    )
    assert not all(answer.done() for answer in answers)
    assert all(len(answer.text) > 3 for answer in await asyncio.gather(*answers))
    for first, _ in beside:
        assert first == pytest.approx(alone, abs=0.3)


async def test_the_base_answers_as_itself_beside_adapters(
    client: VllmClient, vllm: Vllm, tmp_path: Path
) -> None:
    """With every place for adapters taken: the kernels of vLLM's CPU build take the last one for
    tokens that have none (serving/unadapted.py)."""
    answer = "The capital of Austria is Vienna."
    alone = await client.score(QUESTION, answer)
    made = [_loud(vllm, tmp_path, seed) for seed in range(20, 20 + MAX_LORAS)]
    for one in made:
        await client.load_adapter(one.name, one.path, one.sha256)
        other = await client.score(QUESTION, answer, model=one.name)
        assert distance(other, alone) > 4 * NOISE  # it would be heard

    async def told(name: str) -> None:
        await client.complete(LONG, model=name, max_tokens=120)

    beside = [asyncio.create_task(told(one.name)) for one in made]
    scores = [await client.score(QUESTION, answer) for _ in range(4)]
    assert not any(task.done() for task in beside)
    await asyncio.gather(*beside)
    assert max(distance(score, alone) for score in scores) < NOISE


async def test_nan_never_loads(client: VllmClient, vllm: Vllm, tmp_path: Path) -> None:
    """An adapter with NaN, put under its right name, is refused by the guard inside vLLM, and the
    base answers as before."""
    tensors = random_tensors(vllm.base_dir)
    next(iter(tensors.values()))[0, 0] = np.nan
    staged = write_adapter(tmp_path / "nan", tensors)
    sha256 = hash_of(staged, vllm.base_dir)
    name = f"mynah-{sha256[:12]}"
    target = staged.rename(vllm.adapters_dir / name)
    with pytest.raises(Refused, match="NaN"):
        await client.load_adapter(name, target, sha256)
    assert list(await client.models()) == ["base"]
    assert (await client.complete(QUESTION, max_tokens=3)).text


async def test_closed_routes_and_wrong_keys(vllm: Vllm) -> None:
    """The routes that vLLM itself leaves open are closed, and a wrong key is one clear line."""
    closed = [("POST", "/adapters"), ("POST", "/invocations"), ("POST", "/tokenize")]
    headers = {"Authorization": f"Bearer {vllm.control_key}"}
    async with httpx.AsyncClient(base_url=vllm.url, headers=headers) as http:
        for method, path in closed:
            assert (await http.request(method, path, json={})).status_code == 403
    async with VllmClient(vllm.url, api_key="wrong", control_key=vllm.api_key) as stranger:
        with pytest.raises(Unavailable, match="401 missing or wrong key"):
            await stranger.complete(QUESTION)
        with pytest.raises(Unavailable, match="401 missing or wrong key"):
            await stranger.unload_adapter("mynah-000000000000")


async def test_keys_are_not_logged(client: VllmClient, vllm: Vllm) -> None:
    """vLLM's log holds neither key nor question."""
    await client.complete(QUESTION, max_tokens=1)
    log = vllm.log.read_text()
    assert vllm.api_key not in log
    assert vllm.control_key not in log
    assert "Austria" not in log


async def test_too_long_a_question(client: VllmClient) -> None:
    """40,000 characters are Refused with the server's reason, and nothing else suffers."""
    with pytest.raises(Refused, match="2048"):
        await client.complete([{"role": "user", "content": "word " * 8000}])
    assert await client.healthy()


async def test_score_is_what_generation_said(client: VllmClient) -> None:
    """Scoring the model's own answer gives the log-probabilities it was generated with."""
    answer = await client.complete(QUESTION, max_tokens=8)
    scored = await client.score(QUESTION, answer.text)
    # bfloat16 differs a little between reading a prompt and generating.
    assert scored[: len(answer.logprobs)] == pytest.approx(answer.logprobs, abs=0.3)


async def test_served_adapter_equals_torch(tmp_path: Path) -> None:
    """On a float32 server, base and adapter give torch's log-probabilities to three decimals."""
    completion = "Port 8443 is used by the relay."
    with real_vllm(tmp_path, dtype="float32") as server:
        adapter = _adapter(server, tmp_path, 3)
        async with server.client() as client:
            await reconcile(client, [adapter], None)
            for name, path in (("base", None), (adapter.name, adapter.path)):
                served = await client.score(QUESTION, completion, model=name)
                expected = torch_logprobs(server.base_dir, path, QUESTION, completion)
                print(name, max(abs(a - b) for a, b in zip(served, expected, strict=True)))
                assert served == pytest.approx(expected, abs=1e-3)
                assert not math.isclose(sum(served), 0)
        assert validate(adapter.path, base_spec(server.base_dir)) == adapter


async def test_a_proof_tells_adapters_apart(client: VllmClient, vllm: Vllm, tmp_path: Path) -> None:
    """Each answers as torch expects, alone and beside streams, within the noise that is allowed;
    under another's name, or as the base, it is found, though the weights are small."""
    one, other = (_proven(vllm, tmp_path, seed) for seed in (1, 2))
    assert one.probe is not None
    assert other.probe is not None
    state = await reconcile(client, [one, other], None)
    assert (state.error, set(state.adapters)) == (None, {one.name, other.name})
    expected = {
        one.name: one.probe.logprobs, other.name: other.probe.logprobs, "base": one.probe.base
    }  # fmt: skip
    asked = asyncio.Event()

    async def talk(name: str) -> None:
        while not asked.is_set():
            await client.complete(LONG, model=name, max_tokens=30)

    talking = [asyncio.create_task(talk(name)) for name in (*expected, one.name)]
    # Not the base: vLLM's CPU kernels give its tokens the last slot's adapter when they are read
    # beside an adapter's (0.32: index -1 of the stacked weights).
    for name in (one.name, other.name):
        for _ in range(3):
            found = await measured(client, name, one.probe)
            print(name, "beside others:", round(distance(found, expected[name]), 4))
            assert distance(found, expected[name]) < NOISE
    asked.set()
    await asyncio.gather(*talking)
    found = await measured(client, "base", one.probe)
    assert distance(found, expected["base"]) < NOISE
    # As if the two were mixed up, and as if one were not applied.
    for name, probe, rivals, answers_as in (
        (one.name, other.probe, {"mynah-one": one.probe}, "mynah-one"),
        (other.name, one.probe, {"mynah-other": other.probe}, "mynah-other"),
        ("base", one.probe, {}, "base"),
    ):
        with pytest.raises(BadProbe, match=f"answers as {answers_as} does"):
            await prove(client, name, probe, rivals)


async def test_nothing_is_loaded_unsigned(client: VllmClient, vllm: Vllm, tmp_path: Path) -> None:
    """The control key and good files are not enough; nor is the word for another hash."""
    adapter, other = (_adapter(vllm, tmp_path, seed) for seed in (1, 2))
    body = {"lora_name": adapter.name, "lora_path": str(adapter.path)}
    headers = {"Authorization": f"Bearer {vllm.control_key}"}
    async with httpx.AsyncClient(base_url=vllm.url, headers=headers) as http:
        reply = await http.post("/v1/load_lora_adapter", json=body)
    assert (reply.status_code, NEVER in reply.text) == (403, True)
    with pytest.raises(Refused, match="expected"):
        await client.load_adapter(adapter.name, adapter.path, other.sha256)
    assert list(await client.models()) == ["base"]


async def test_altered_files_are_refused(client: VllmClient, vllm: Vllm, tmp_path: Path) -> None:
    """One bit of the weights: it is named, and the other adapter answers."""
    adapter, other = (_proven(vllm, tmp_path, seed) for seed in (1, 2))
    weights = adapter.path / WEIGHTS
    good = weights.read_bytes()
    weights.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    try:
        state = await reconcile(client, [adapter, other], None)
        assert (state.healthy, set(state.adapters)) == (True, {other.name})
        assert f"{adapter.name}: it hashes to" in str(state.error)
    finally:
        weights.write_bytes(good)


async def test_more_adapters_than_a_server_keeps_in_memory(
    client: VllmClient, vllm: Vllm, tmp_path: Path
) -> None:
    """All of them load and answer by their own weights: what does not fit is read from disk when
    it is asked. What was altered there meanwhile is found and taken off; nobody else suffers."""
    more = [_adapter(vllm, tmp_path, seed) for seed in range(3, MAX_CPU_LORAS + 3)]
    adapters = [*(_proven(vllm, tmp_path, seed) for seed in (1, 2)), *more]
    clock = Clock()
    keeping = Keeping(client, clock=clock)
    state = await keeping.look(adapters)
    assert (state.error, len(state.adapters)) == (None, len(adapters))
    clock.now += AGAIN_S
    state = await keeping.look(adapters)
    assert (state.error, len(state.adapters)) == (None, len(adapters))
    weights = adapters[0].path / WEIGHTS
    good = weights.read_bytes()
    weights.write_bytes((adapters[1].path / WEIGHTS).read_bytes())
    try:
        clock.now += AGAIN_S
        state = await keeping.look(adapters)
        assert set(state.adapters) == {adapter.name for adapter in adapters[1:]}
        assert adapters[0].name in str(state.error)
        assert (await client.complete(QUESTION, max_tokens=3)).text
    finally:
        weights.write_bytes(good)


async def test_a_pulse_of_a_real_server(client: VllmClient) -> None:
    """It is well, also behind streams, and says when it was started and what it has counted."""
    pulse = Pulse(client)
    making = [asyncio.create_task(client.complete(LONG, max_tokens=80)) for _ in range(4)]
    for _ in range(3):
        await pulse.beat()
        assert (pulse.trouble, pulse.lost, pulse.restarts) == (None, None, 0)
    await asyncio.gather(*making)
    figures = await client.figures()
    assert {STARTED, CORRUPTED, *TOKENS} <= set(figures)
    assert figures[CORRUPTED] == 0
    assert figures[TOKENS[0]] > 100
