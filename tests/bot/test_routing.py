"""The router: which server is asked, how many at a time, and what happens when one fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from bot import routing
from bot.breaker import FAILURES
from bot.figures import Figures
from bot.routing import Busy, Failed, NoModel, NoServer, Router
from bot.store import fleet
from bot.store.database import transaction
from serving.client import BASE, ChatMessage, Completion, Delta, VllmClient
from serving.replicas import Ready, ReplicaState
from tests.bot.slack.house import until
from tests.fake_vllm import API_KEY, FakeVllm
from tests.lora_files import make_base

NAME = "mynah-0123456789ab"
CHAT: list[ChatMessage] = [{"role": "user", "content": "Which port?"}]
HEARD = "base heard: Which port?"


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[FakeVllm]]:
    """Three stand-ins for vLLM."""
    (tmp_path / "adapters").mkdir()
    base = make_base(tmp_path / "base")
    with ExitStack() as stack:
        yield [
            stack.enter_context(FakeVllm(adapters_dir=tmp_path / "adapters", base_dir=base))
            for _ in range(3)
        ]


Make = Callable[..., Awaitable[Router]]


@pytest.fixture
async def route(engine: Engine) -> AsyncIterator[Make]:
    """Makes a Router; its connections are closed after the test."""
    async with AsyncExitStack() as stack:

        async def made(*servers: FakeVllm, **settings: Any) -> Router:
            clients = [
                await stack.enter_async_context(VllmClient(one.url, api_key=API_KEY))
                for one in servers
            ]
            return Router(engine, clients, **{"fresh_s": 0} | settings)

        yield made


async def ask(router: Router, model: str = BASE, **more: Any) -> str:
    """The answer's words."""
    return (await router.complete(CHAT, model=model, max_tokens=64, **more)).text


def asked(servers: list[FakeVllm]) -> list[int]:
    """How often each server was asked for an answer; a probe asks for a token."""
    return [sum(one["max_tokens"] > 1 for one in server.asked) for server in servers]


def ready(engine: Engine, *servers: FakeVllm) -> None:
    """The worker saw the adapter on these."""
    with transaction(engine) as session:
        for server in servers:
            server.adapters[NAME] = "/x"
            at = Ready(0.1, "2026-01-01T00:00:00+00:00")
            fleet.write(session, ReplicaState(server.url, True, {NAME: at}))


async def test_work_is_shared(servers: list[FakeVllm], route: Make) -> None:
    """Whoever has least to do is asked, and nobody is asked more than so many at a time."""
    router = await route(*servers, at_once=2)
    for server in servers:
        server.delay_s = 0.1
    assert await asyncio.gather(*(ask(router) for _ in range(18))) == [HEARD] * 18
    assert [server.most_at_once for server in servers] == [2, 2, 2]
    assert min(asked(servers)) >= 5


async def test_who_has_least_to_do_is_asked(servers: list[FakeVllm], route: Make) -> None:
    """Three questions go to three servers, though each had room for all."""
    router = await route(*servers, fresh_s=60)
    for server in servers:
        server.delay_s = 0.2
    await asyncio.gather(*(ask(router) for _ in range(3)))
    assert asked(servers) == [1, 1, 1]


async def test_a_slow_server_holds_up_only_what_it_was_given(
    servers: list[FakeVllm], route: Make
) -> None:
    """The others answer all the rest meanwhile."""
    slow, *_ = servers
    router = await route(*servers, at_once=2)
    slow.delay_s = 3600
    tasks = [asyncio.create_task(ask(router)) for _ in range(20)]
    await until(lambda: sum(task.done() for task in tasks) == 18)
    assert asked(servers)[0] == 2
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_who_waits_is_served_in_order(servers: list[FakeVllm], route: Make) -> None:
    """One place: the questions are asked one by one, as they came."""
    [server, *_] = servers
    router = await route(server, at_once=1, fresh_s=60)
    await ask(router)  # it has read the rows: nothing else changes the order
    server.delay_s = 0.02
    order: list[int] = []

    async def one(number: int) -> None:
        await ask(router)
        order.append(number)

    await asyncio.gather(*(one(number) for number in range(8)))
    assert order == list(range(8))
    assert server.most_at_once == 1


async def test_who_comes_when_too_many_wait_is_told_so(
    servers: list[FakeVllm], route: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line in this process has an end; whoever gives up waiting leaves their place."""
    [server, *_] = servers
    monkeypatch.setattr(routing, "WAITING_AT_MOST", 2)
    router = await route(server, at_once=1, fresh_s=60)
    await ask(router)  # it has read the rows: from here on all happens in turn
    server.delay_s = 3600
    tasks = [asyncio.create_task(ask(router)) for _ in range(3)]
    await until(lambda: len(server.asked) == 2)
    with pytest.raises(Busy):
        await ask(router)
    tasks[1].cancel()
    await asyncio.wait({tasks[1]})
    tasks.append(asyncio.create_task(ask(router)))
    server.delay_s = 0
    tasks[0].cancel()  # its place is free: the two others are answered
    assert await asyncio.gather(*tasks[2:]) == [HEARD] * 2


class Held(VllmClient):
    """A client that answers when it may."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1", api_key="k")
        self.go = asyncio.Event()

    async def stream(self, *_: Any, **__: Any) -> AsyncGenerator[Delta, None]:
        """One word."""
        await self.go.wait()
        yield Delta("Yes.", (-0.1,), "stop")


async def test_who_gives_up_takes_no_place_along(engine: Engine) -> None:
    """A place that is free at the very moment when the next one stops waiting goes to another."""
    async with Held() as client:
        router = Router(engine, [client], at_once=1, fresh_s=60)
        client.go.set()
        await ask(router)  # it has read the rows: from here on nobody waits for anything else
        client.go.clear()
        tasks = [asyncio.create_task(ask(router)) for _ in range(3)]
        for _ in range(5):
            await asyncio.sleep(0)
        client.go.set()
        tasks[1].cancel()
        async with asyncio.timeout(20):
            assert [await tasks[0], await tasks[2], await ask(router)] == ["Yes."] * 3
        assert tasks[1].cancelled()


async def test_a_server_that_fails_is_left_alone(servers: list[FakeVllm], route: Make) -> None:
    """Each question is answered by another one, and soon it is not even asked."""
    broken, *_ = servers
    router = await route(*servers)
    broken.fail_status = 500
    assert [await ask(router) for _ in range(12)] == [HEARD] * 12
    assert asked(servers)[0] == FAILURES


async def test_a_probe_brings_it_back(servers: list[FakeVllm], route: Make) -> None:
    """No question finds out whether it answers again: it is asked for a token first. Prometheus
    can see each of these states."""
    [server, *_] = servers
    router = await route(server)
    server.down()
    with pytest.raises(NoServer):
        await ask(router)
    assert router.is_away
    await until(lambda: not router.is_away)
    await router.probe()
    assert router.is_away  # it is not there yet, and rests longer
    figures = Figures()
    figures.follow(router.rooms)

    def told() -> float | None:
        return figures.registry.get_sample_value("mynah_server_room", {"url": server.url})

    assert told() == 0
    server.up()
    await until(lambda: not router.is_away)
    assert router.room == 0  # not before it has shown that it can
    assert told() == 1
    await router.probe()
    assert router.room == told() == 2
    assert (asked([server]), len(server.asked)) == ([0], 1)
    assert await ask(router) == HEARD


async def test_a_server_that_says_nothing_is_given_up(servers: list[FakeVllm], route: Make) -> None:
    """A hung stream costs a question so much time, and then another server answers."""
    hung, other, _ = servers
    router = await route(hung, other, silence_s=0.2)
    hung.delay_s = 3600
    assert await ask(router) == HEARD
    assert asked([hung, other]) == [1, 1]


async def test_a_question_is_not_passed_round_for_ever(
    servers: list[FakeVllm], route: Make
) -> None:
    """After two hung servers it goes back to the queue; the third has to wait for the next try."""
    router = await route(*servers, silence_s=0.2)
    for server in servers:
        server.delay_s = 3600
    with pytest.raises(Failed):
        await ask(router)
    assert asked(servers) == [1, 1, 0]


async def test_a_server_that_drips_is_given_up(
    servers: list[FakeVllm], route: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It always says something in time, and never gets anywhere. What was shown begins anew."""
    slow, other, _ = servers
    monkeypatch.setattr(routing, "PACE_S", 0.01)
    router = await route(slow, other, silence_s=0.3)
    slow.token_delay_s = 0.1
    slow.script = lambda messages, model: " ".join(["drip"] * 60)
    shown: list[str] = []

    async def grew(so_far: Completion) -> None:
        shown.append(so_far.text)

    assert await ask(router, grew=grew) == HEARD
    assert shown[0] == "drip"
    assert 1 < sum("drip" in text for text in shown) < 10


async def test_what_the_reader_takes_is_not_held_against_the_server(
    servers: list[FakeVllm], route: Make
) -> None:
    """Slack is slow at times: the server had said it all."""
    [server, *_] = servers
    router = await route(server, silence_s=0.3)

    async def grew(so_far: Completion) -> None:
        await asyncio.sleep(0.15)

    server.script = lambda messages, model: "a b c d e f"
    assert await ask(router, grew=grew) == "a b c d e f"


@pytest.mark.parametrize("fault", ["break_after", "reset_after"])
async def test_a_broken_stream_is_begun_anew_elsewhere(
    servers: list[FakeVllm], route: Make, fault: str
) -> None:
    """Half of one answer is never joined to half of another."""
    broken, other, _ = servers
    router = await route(broken, other)
    setattr(broken, fault, 2)
    broken.script = lambda messages, model: "one two three four"
    assert await ask(router) == HEARD


async def test_why_nobody_answers(servers: list[FakeVllm], route: Make) -> None:
    """Nobody there, somebody who failed, or nobody with the adapter: three different things."""
    gone, failing, without = servers
    gone.down()
    failing.fail_status = 500
    with pytest.raises(NoServer) as raised:
        await ask(await route(gone))
    assert not isinstance(raised.value, Failed)
    with pytest.raises(Failed):
        await ask(await route(gone, failing))
    with pytest.raises(NoModel):
        await ask(await route(gone, failing, without), NAME)


async def test_who_has_the_model_is_waited_for(
    engine: Engine, servers: list[FakeVllm], route: Make
) -> None:
    """A full server that has the adapter is better than a free one without; a dead one is not."""
    has, *others = servers
    ready(engine, has)
    router = await route(*servers, at_once=1)
    has.delay_s = 0.05
    heard = f"{NAME} heard: Which port?"
    assert await asyncio.gather(*(ask(router, NAME) for _ in range(4))) == [heard] * 4
    assert asked(others) == [0, 0]
    has.down()
    others[0].adapters[NAME] = "/x"
    assert await ask(router, NAME) == heard


async def test_scoring_takes_no_place(servers: list[FakeVllm], route: Make) -> None:
    """What is asked about memory's matches neither waits for answers nor holds them up."""
    [server, *_] = servers
    router = await route(server, at_once=1)
    server.delay_s = 3600
    answer = asyncio.create_task(ask(router))
    await until(lambda: len(server.asked) == 1)
    server.delay_s = 0
    [scores] = await router.scores(CHAT, ["9443"], model=BASE)
    assert scores
    other = asyncio.create_task(ask(router))
    await router.scores(CHAT, ["9443"], model=BASE)
    assert len([one for one in server.asked if one["max_tokens"] > 1]) == 1  # no place came free
    for task in (answer, other):
        task.cancel()
    await asyncio.wait({answer, other})
