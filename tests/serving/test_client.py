"""The client against a strict fake: streams, errors, and what is tried again."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from serving.adapters import publish
from serving.base import base_spec
from serving.client import (
    Broken,
    ChatMessage,
    Completion,
    ModelMissing,
    NoScores,
    Refused,
    Unavailable,
    VllmClient,
)
from tests.fake_vllm import LOGPROB, FakeVllm, Rows
from tests.lora_files import make_adapter
from tests.vllm_server import free_port

HELLO: list[ChatMessage] = [{"role": "user", "content": "hello there"}]


@pytest.fixture
async def client(fake_vllm: FakeVllm) -> AsyncIterator[VllmClient]:
    keys = {"api_key": fake_vllm.api_key, "control_key": fake_vllm.control_key}
    async with VllmClient(fake_vllm.url, timeout_s=2, **keys) as client:
        yield client


async def test_complete(client: VllmClient) -> None:
    """A whole answer has its text, the log-probability of each token, why it ended, and how many
    tokens were read for it."""
    answer = await client.complete(HELLO)
    assert answer == Completion("base heard: hello there", (LOGPROB,) * 4, "stop", prompt_tokens=5)
    assert answer.mean_logprob == LOGPROB
    cut = await client.complete(HELLO, max_tokens=2)
    assert (cut.text, cut.finish_reason) == ("base heard:", "length")
    assert Completion("", (), "stop").mean_logprob is None


async def test_stream_is_the_whole_answer_in_pieces(
    client: VllmClient, fake_vllm: FakeVllm
) -> None:
    """Pieces arrive one by one, and together they are what `complete` returns."""
    fake_vllm.token_delay_s = 0.1
    loop = asyncio.get_running_loop()
    arrived: list[float] = []
    pieces = []
    async for piece in client.stream(HELLO, temperature=0.5, max_tokens=9):
        arrived.append(loop.time())
        pieces.append(piece)
    assert "".join(piece.text for piece in pieces) == "base heard: hello there"
    assert [piece.logprobs for piece in pieces] == [*[(LOGPROB,)] * 4, (), ()]
    assert [piece.prompt_tokens for piece in pieces] == [*[None] * 5, 5]
    assert pieces[-2].finish_reason == "stop"
    assert arrived[-1] - arrived[0] > 0.2
    assert (fake_vllm.asked[0]["temperature"], fake_vllm.asked[0]["max_tokens"]) == (0.5, 9)


async def test_leaving_a_stream_early(client: VllmClient, fake_vllm: FakeVllm) -> None:
    """A reader may leave in the middle, and the client works on."""
    fake_vllm.token_delay_s = 0.05
    async with aclosing(client.stream(HELLO)) as pieces:
        async for _ in pieces:
            break
    assert (await client.complete(HELLO)).finish_reason == "stop"


async def test_a_stream_that_breaks_off(client: VllmClient, fake_vllm: FakeVllm) -> None:
    """Half an answer is Unavailable, after its pieces, and is not asked for again."""
    fake_vllm.break_after = 2
    stream = client.stream(HELLO)
    assert [(await anext(stream)).text for _ in range(2)] == ["base", " heard:"]
    with pytest.raises(Unavailable, match="broke off"):
        await anext(stream)
    assert len(fake_vllm.asked) == 1


async def test_server_killed_in_a_stream(client: VllmClient, fake_vllm: FakeVllm) -> None:
    """A server that dies in the middle of an answer is Unavailable."""
    fake_vllm.token_delay_s = 0.3
    stream = client.stream(HELLO)
    await anext(stream)
    await asyncio.to_thread(fake_vllm.down)
    with pytest.raises(Unavailable):
        await anext(stream)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (500, Unavailable),
        (503, Unavailable),
        (429, Unavailable),
        (401, Unavailable),
        (403, Unavailable),
        (404, ModelMissing),
        (400, Refused),
        (413, Refused),
        (422, Refused),
    ],
)
async def test_statuses(
    client: VllmClient, fake_vllm: FakeVllm, status: int, kind: type[Exception]
) -> None:
    """Each status becomes the error that says what to do, with the server's own words."""
    fake_vllm.fail_status = status
    with pytest.raises(kind, match=f"{status} told to fail"):
        await client.complete(HELLO)
    with pytest.raises(kind, match=f"{status} told to fail"):
        await anext(client.stream(HELLO))
    assert len(fake_vllm.asked) == 2


async def test_unknown_model(client: VllmClient) -> None:
    """A model that is not loaded here is ModelMissing: another replica may have it."""
    with pytest.raises(ModelMissing, match="mynah-000000000000"):
        await client.complete(HELLO, model="mynah-000000000000")


async def test_time_out(client: VllmClient, fake_vllm: FakeVllm) -> None:
    """Silence beyond the time-out is Unavailable, and the slow server is not asked twice."""
    fake_vllm.delay_s = 5
    with pytest.raises(Unavailable, match="ReadTimeout"):
        await client.complete(HELLO)
    assert len(fake_vllm.asked) == 1


async def test_nobody_listens() -> None:
    """A refused connection is Unavailable, and the health check just says no."""
    async with VllmClient(f"http://127.0.0.1:{free_port()}", api_key="k") as client:
        assert not await client.healthy()
        with pytest.raises(Unavailable, match="ConnectError"):
            await client.complete(HELLO)
        with pytest.raises(Unavailable):
            await client.models()


async def test_a_dropped_connection_is_tried_once_more() -> None:
    """A connection that closes before the first byte is tried again once; not more often."""
    connections = 0

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readline()
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, VllmClient(f"http://127.0.0.1:{port}", api_key="k") as client:
        with pytest.raises(Unavailable):
            await client.complete(HELLO)
    assert connections == 2


async def test_wrong_keys(fake_vllm: FakeVllm) -> None:
    """A wrong key is Unavailable with one line, on inference and on control, and unhealthy."""
    async with VllmClient(fake_vllm.url, api_key="wrong", control_key="wrong") as client:
        for request in (client.complete(HELLO), client.unload_adapter("mynah-000000000000")):
            with pytest.raises(Unavailable, match="401 missing or wrong key"):
                await request
        assert not await client.healthy()
    async with VllmClient(fake_vllm.url, api_key=fake_vllm.api_key) as client:
        with pytest.raises(Unavailable, match="401 missing or wrong key"):
            await client.unload_adapter("mynah-000000000000")


async def test_what_is_no_number_is_the_servers_fault(
    client: VllmClient, fake_vllm: FakeVllm
) -> None:
    """With NaN in its cache vLLM streams nothing, and otherwise says 400, as if the request were
    wrong: another replica may answer it, and nobody is told that the question was too long."""
    fake_vllm.poisoned = True
    with pytest.raises(Broken, match="not JSON compliant"):
        await client.complete(HELLO)
    with pytest.raises(Broken, match="not JSON compliant"):
        await client.score(HELLO, "it is four")
    with pytest.raises(Broken, match="no numbers"):
        [piece async for piece in client.stream(HELLO)]


async def test_adapters_come_and_go(
    client: VllmClient, fake_vllm: FakeVllm, tmp_path: Path
) -> None:
    """Loading and unloading do what they say, and doing either twice is no error."""
    base = tmp_path / "base-model"
    adapter = publish(make_adapter(tmp_path / "a", base), fake_vllm.adapters_dir, base_spec(base))
    for _ in range(2):
        await client.load_adapter(adapter.name, adapter.path, adapter.sha256)
    assert await client.models() == {"base": str(base), adapter.name: str(adapter.path)}
    answer = await client.complete(HELLO, model=adapter.name)
    assert answer.text.startswith(adapter.name)
    for _ in range(2):
        await client.unload_adapter(adapter.name)
    assert list(await client.models()) == ["base"]
    missing = fake_vllm.adapters_dir / "mynah-000000000000"
    with pytest.raises(Refused, match="403 mynah-000000000000: cannot read"):
        await client.load_adapter(missing.name, missing, "0" * 64)


async def test_score_counts_the_completion_and_its_end(client: VllmClient) -> None:
    """One log-probability a token of the completion, and one for the end; none of the prompt."""
    assert await client.score(HELLO, "it is four") == [LOGPROB] * 4
    assert await client.score(HELLO, "") == [LOGPROB]


@pytest.mark.parametrize(
    ("tell", "kind"),
    [
        (lambda rows: None, NoScores),
        (lambda rows: [], NoScores),
        (lambda rows: [*rows[:3], None, *rows[4:]], NoScores),
        (lambda rows: [*rows[:3], ["7"], *rows[4:]], NoScores),
        (lambda rows: [*rows[:3], {"7": -1.0}, *rows[4:]], NoScores),
        (lambda rows: [*rows[:3], {"7": {"logprob": None}}, *rows[4:]], NoScores),
        (lambda rows: [*rows[:3], {"7": {"rank": 1}}, *rows[4:]], NoScores),
        (lambda rows: [*rows[:3], {"the": {"logprob": -1.0}}, *rows[4:]], NoScores),
        (lambda rows: [*rows[:-1], {next(iter(rows[-1])): {"logprob": math.nan}}], Refused),
        (lambda rows: [*rows[:-1], {next(iter(rows[-1])): {"logprob": -math.inf}}], Refused),
        (lambda rows: rows[:-1], Refused),
    ],
)
async def test_a_score_that_makes_no_sense_is_refused(
    client: VllmClient, fake_vllm: FakeVllm, tell: Callable[[Rows], Any], kind: type[Exception]
) -> None:
    """Whatever is wrong with its form; what cannot be told of any text is told apart."""
    fake_vllm.tell = tell
    with pytest.raises(Refused) as refused:
        await client.score(HELLO, "it is four")
    assert type(refused.value) is kind


@pytest.mark.parametrize("text", ["<html>", "[]", "null", ""])
async def test_a_reply_that_is_no_json_object_is_of_no_server(text: str) -> None:
    """A proxy's page, say, in the place of the reply: another replica may answer."""

    async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(page, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, VllmClient(f"http://127.0.0.1:{port}", api_key="k") as client:
        with pytest.raises(Unavailable, match="no JSON object"):
            await client.complete(HELLO)


async def test_the_first_refused_answer_ends_the_others(
    client: VllmClient, fake_vllm: FakeVllm
) -> None:
    """Nobody waits for what the server still makes of them."""
    gone = threading.Event()

    def script(messages: Sequence[ChatMessage], model: str) -> str:
        if messages[-1]["content"] == "slow":
            gone.wait(timeout=30)
        return "…"

    fake_vllm.script, fake_vllm.tell = script, lambda rows: None
    before = asyncio.all_tasks()
    with pytest.raises(NoScores):
        await client.scores(HELLO, ["slow", "quick"])
    left = asyncio.all_tasks() - before
    ends = await asyncio.gather(*left, return_exceptions=True)
    gone.set()
    assert [type(end) for end in ends] == [asyncio.CancelledError]
