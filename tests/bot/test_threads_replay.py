"""Real support threads, said again in a local Slack, with staff approving the answer in each.

The texts are not part of the project; without them the test is skipped.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from bot.store.schema import (
    Answer,
    Example,
    ExampleSource,
    ExampleStatus,
    Feedback,
    InboxEvent,
    Status,
)
from tests.bot.slack.house import House
from tests.fake_vllm import FakeVllm
from tests.lora_files import make_base
from tests.sandbox_server import Sandbox

THREADS = Path(__file__).parents[2].parent / "shared" / "data" / "threads.jsonl"
AT_ONCE = 8
Thread = dict[str, Any]

pytestmark = pytest.mark.skipif(not THREADS.exists(), reason=f"{THREADS} is not there")


@pytest.fixture
def house(sandbox: Sandbox, engine: Engine, tmp_path: Path) -> Iterator[House]:
    """A house whose bot runs beside the tests' own process."""
    (tmp_path / "adapters").mkdir()
    base = make_base(tmp_path / "base")
    with FakeVllm(adapters_dir=tmp_path / "adapters", base_dir=base) as vllm:
        yield House(sandbox, vllm, engine, tmp_path)


def read_threads() -> list[Thread]:
    """The threads, each with users of its own."""
    threads = []
    for number, line in enumerate(THREADS.read_text().splitlines()):
        own = re.sub(r"\bU(\d{3})\b", rf"UT{number:03}X\1", line)
        threads.append(json.loads(own))
    return threads


async def people_of(house: House, threads: list[Thread]) -> None:
    """Everybody who speaks, and the channels that they speak in."""
    spoken: dict[str, set[str]] = {}
    for thread in threads:
        users = {message["user"] for message in thread["messages"]}
        spoken.setdefault(channel_of(thread), set()).update(users)
    everybody = sorted(set().union(*spoken.values()))
    planted = await house.sandbox.seed(
        users=[{"id": user, "token": f"xoxp-{user}"} for user in everybody],
        channels=[
            {"id": channel, "name": channel.lower(), "members": ["U0MYNAH", "U0STAFF", *members]}
            for channel, members in spoken.items()
        ],
    )
    assert planted["ok"], planted


def channel_of(thread: Thread) -> str:
    """The id of the thread's channel in this Slack."""
    return f"C9{thread['channel'].strip('#').upper()}"


async def replay(house: House, thread: Thread) -> dict[str, str]:
    """Say the thread in its order, approve its answer; the new ts of each message by the old."""
    channel = channel_of(thread)
    new: dict[str, str] = {}
    for message in thread["messages"]:
        reply = await house.sandbox.client(f"xoxp-{message['user']}").chat_postMessage(
            channel=channel, text=message["text"], thread_ts=next(iter(new.values()), None)
        )
        new[message["ts"]] = reply["ts"]
    approved = new[thread["answer_ts"][-1]]
    await house.react("staff", "white_check_mark", approved, channel)
    return new


async def replay_all(house: House, threads: list[Thread]) -> list[dict[str, str]]:
    """Several threads at once, as in life."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(thread: Thread) -> dict[str, str]:
        async with turn:
            return await replay(house, thread)

    return list(await asyncio.gather(*(one(thread) for thread in threads)))


async def test_each_approved_thread_is_one_example_or_a_reason(house: House) -> None:
    """188 real threads: each approval is one example or one refusal with a reason, none is lost."""
    threads = read_threads()
    await people_of(house, threads)
    before = time.monotonic()
    async with house.bot():
        said = await replay_all(house, threads)
        await house.quiet()
    seconds = time.monotonic() - before
    examples = house.rows(Example)
    sources: dict[int, set[str]] = {}
    for source in house.rows(ExampleSource):
        sources.setdefault(source.example_id, set()).add(source.ts)
    exact = 0
    for thread, new in zip(threads, said, strict=True):
        [made] = [one for one in examples if new[thread["answer_ts"][-1]] in sources[one.id or 0]]
        marked = {new[ts] for ts in (thread["messages"][0]["ts"], *thread["answer_ts"])}
        assert sources[made.id or 0] >= marked
        asker = {new[one["ts"]] for one in thread["messages"] if one["user"] == thread["asker"]}
        exact += sources[made.id or 0] - asker == marked - asker
        assert (made.status, made.reason is None) in (
            (ExampleStatus.LIVE, True), (ExampleStatus.REFUSED, False),
        )  # fmt: skip
    report(house, examples, exact, seconds)
    assert len(examples) == len(house.rows(Feedback)) == len(threads)
    assert Counter(row.status for row in examples)[ExampleStatus.LIVE] > len(threads) / 2
    assert len(house.rows(InboxEvent)) == len(threads)  # chatter is acknowledged, not kept
    assert {row.status for row in house.rows(InboxEvent)} == {Status.DONE}
    deliveries = (await house.sandbox.state(parts="deliveries"))["deliveries"]
    assert all(one["acked"] for one in deliveries)
    assert len(deliveries) == len(threads) + sum(len(thread["messages"]) for thread in threads)
    assert house.rows(Answer) == []


def report(house: House, examples: list[Example], exact: int, seconds: float) -> None:
    """Print what became of the threads."""
    counts = Counter(row.status.value for row in examples)
    reasons = Counter(row.reason for row in examples if row.reason)
    print(f"\n{len(examples)} threads, {len(house.rows(InboxEvent))} events in {seconds:.0f} s")
    print(f"  {counts['live']} examples, {counts['refused']} refused; ", end="")
    print(f"exactly the marked messages joined in {exact}")
    for reason, count in reasons.most_common():
        print(f"  {count} × {reason}")
