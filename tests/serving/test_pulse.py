"""Whether a server answers questions, or only /health."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from serving.client import VllmClient
from serving.pulse import CORRUPTED, DEAF_S, SICK_TIMES, TOKENS, Pulse
from tests.fake_vllm import FakeVllm


class Clock:
    """Seconds, as told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def client(fake_vllm: FakeVllm) -> AsyncIterator[VllmClient]:
    async with VllmClient(fake_vllm.url, api_key=fake_vllm.api_key, timeout_s=5) as client:
        yield client


@pytest.fixture
def pulse(client: VllmClient, clock: Clock) -> Pulse:
    return Pulse(client, answer_s=0.05, clock=clock)


async def _beats(pulse: Pulse, clock: Clock, times: int, every_s: float = 5.0) -> None:
    for _ in range(times):
        clock.now += every_s
        await pulse.beat()


async def test_who_answers_is_well(pulse: Pulse, clock: Clock, fake_vllm: FakeVllm) -> None:
    """A word with a finite log-probability is all that is asked, of the base, again and again."""
    await _beats(pulse, clock, 50)
    assert (pulse.trouble, pulse.lost) == (None, None)
    assert {(body["model"], body["max_tokens"]) for body in fake_vllm.asked} == {("base", 1)}


@pytest.mark.parametrize("logprob", [float("nan"), float("-inf")])
async def test_numbers_that_are_none(
    client: VllmClient, clock: Clock, fake_vllm: FakeVllm, logprob: float
) -> None:
    """An answer whose log-probability is no number is trouble at once, and lost after a few: one
    may be an accident. A sane one between them begins the count anew."""
    pulse = Pulse(client, clock=clock)
    fake_vllm.logprob = logprob
    await _beats(pulse, clock, SICK_TIMES - 1)
    assert "no numbers" in str(pulse.trouble)
    assert pulse.lost is None
    fake_vllm.logprob = -0.5
    await _beats(pulse, clock, 1)
    fake_vllm.logprob = logprob
    await _beats(pulse, clock, SICK_TIMES - 1)
    assert pulse.lost is None
    await _beats(pulse, clock, 1)
    assert "answers /health, but not questions" in str(pulse.lost)


async def test_a_poisoned_server_is_lost(
    client: VllmClient, clock: Clock, fake_vllm: FakeVllm
) -> None:
    """With NaN in its cache it fails every question while /health says 200."""
    pulse = Pulse(client, clock=clock)
    fake_vllm.poisoned = True
    await _beats(pulse, clock, SICK_TIMES)
    assert await client.healthy()
    assert pulse.lost is not None
    assert "not JSON compliant" in pulse.lost


async def test_falling_silent(client: VllmClient, clock: Clock, fake_vllm: FakeVllm) -> None:
    """An answer without a word is trouble on a server that said one before; a model whose first
    token never is a word, as of those that begin with a mark, is not called sick."""
    pulse = Pulse(client, clock=clock)
    fake_vllm.mute = True
    await _beats(pulse, clock, SICK_TIMES + 1)
    assert pulse.lost is None
    fake_vllm.mute = False
    await _beats(pulse, clock, 1)
    assert pulse.trouble is None
    fake_vllm.mute = True
    await _beats(pulse, clock, SICK_TIMES)
    assert "answers without a word" in str(pulse.lost)


async def test_a_deaf_server_is_lost(pulse: Pulse, clock: Clock, fake_vllm: FakeVllm) -> None:
    """Without an answer and without a token made meanwhile it is in trouble, and lost after two
    minutes, though /health says 200."""
    await _beats(pulse, clock, 1)
    fake_vllm.deaf = True
    await _beats(pulse, clock, 2, every_s=20)
    assert pulse.trouble is not None
    assert "no token made meanwhile" in pulse.trouble
    assert pulse.lost is None
    await _beats(pulse, clock, 1, every_s=DEAF_S)
    assert pulse.lost is not None


async def test_a_busy_server_is_left_alone(pulse: Pulse, clock: Clock, fake_vllm: FakeVllm) -> None:
    """A long queue keeps the answer away for as long as it likes: as long as tokens are made, the
    server works, and an hour of it is no reason to take it from those who wait."""
    await _beats(pulse, clock, 1)
    fake_vllm.deaf = True
    for _ in range(20):
        fake_vllm.figures[TOKENS[0]] += 1
        await _beats(pulse, clock, 1, every_s=180)
        assert (pulse.trouble, pulse.lost) == (None, None)


async def test_a_server_that_is_gone_is_lost_later(
    pulse: Pulse, clock: Clock, fake_vllm: FakeVllm
) -> None:
    """No connection is for the supervisor of its process to see; without one, time tells."""
    fake_vllm.down()
    await _beats(pulse, clock, 2)
    assert pulse.lost is None
    await _beats(pulse, clock, 1, every_s=DEAF_S)
    assert pulse.lost is not None


async def test_a_wrong_key_is_no_illness(fake_vllm: FakeVllm, clock: Clock) -> None:
    """Starting a server again would not give us the right one."""
    async with VllmClient(fake_vllm.url, api_key="wrong") as client:
        pulse = Pulse(client, clock=clock)
        await _beats(pulse, clock, 10, every_s=60)
    assert (pulse.trouble, pulse.lost) == (None, None)


async def test_others_are_answered_with_nothing(
    client: VllmClient, clock: Clock, fake_vllm: FakeVllm
) -> None:
    """NaN in a part of the cache that our own word does not meet shows in vLLM's count: trouble
    while it rises, and lost when it goes on rising; one such request is no reason to start it."""
    pulse = Pulse(client, clock=clock)
    for rises, trouble in ((0, False), (2, True), (0, False), (1, True), (1, True)):
        fake_vllm.figures[CORRUPTED] = fake_vllm.figures.get(CORRUPTED, 0.0) + rises
        await _beats(pulse, clock, 1)
        assert (pulse.trouble is not None, pulse.lost) == (trouble, None)
    fake_vllm.figures[CORRUPTED] += 1
    await _beats(pulse, clock, 1)
    assert "answered with NaN" in str(pulse.lost)


async def test_what_is_counted(client: VllmClient, clock: Clock, fake_vllm: FakeVllm) -> None:
    """vLLM's own count of corrupted requests is handed on, and new starts are counted."""
    pulse = Pulse(client, clock=clock)
    fake_vllm.figures[CORRUPTED] = 3.0
    await _beats(pulse, clock, 2)
    assert (pulse.corrupted, pulse.restarts) == (3.0, 0)
    for restarts in range(1, 4):
        fake_vllm.down()
        fake_vllm.up()
        await _beats(pulse, clock, 1)
        assert pulse.restarts == restarts
