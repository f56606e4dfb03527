"""Answers that grow: shown while they are written, whole in the end, once whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from slack_sdk.web.async_slack_response import AsyncSlackResponse
from sqlmodel import update

from bot import outbox
from bot.slack.app import web_client
from bot.slack.markdown import PART_CHARS
from bot.slack.pacing import Pacing
from bot.slack.streaming import Stream, Streams
from bot.store.schema import Answer, OutboxKind, OutboxMessage, Question, Status
from serving.client import ChatMessage
from tests.bot.slack.house import HELP, House, Message, kill, receipts, until
from tests.bot.slack.test_poster import ME

WORDS = [f"word{number}" for number in range(40)]


def slow(house: House, *, token_s: float = 0.12, text: str = " ".join(WORDS)) -> None:
    """The model writes forty words in about five seconds."""
    house.vllm.token_delay_s = token_s
    house.vllm.script = lambda messages, model: text


async def growing(house: House, ts: str, channel: str = HELP) -> Message:
    """Wait for a stream in the thread: the bot's message without a mark."""
    while True:
        found = [one for one in await house.answers(ts, channel) if "metadata" not in one]
        if found:
            return found[0]
        await asyncio.sleep(0.03)


async def gone(house: House, ts: str) -> None:
    """Wait until the bot shows nothing in the thread, after something."""
    while True:
        if await calls(house, "chat.startStream") and not await house.answers(ts):
            return
        await asyncio.sleep(0.03)


async def whole(house: House, ts: str) -> Message:
    """Wait until all is said; the thread's one answer."""
    await house.answer(ts)
    await house.quiet()
    [answer] = await house.answers(ts)
    assert "metadata" in answer
    assert " ".join(WORDS) in answer["blocks"][0]["text"]
    assert answer["blocks"][1]["elements"][0]["text"].startswith("v1 · ")
    [row] = house.rows(Answer)
    assert row.ts == answer["ts"]
    assert house.failed() == []
    return answer


async def calls(house: House, method: str) -> int:
    """How often the bot called a method."""
    seen: dict[str, int] = (await house.sandbox.state(parts="calls"))["calls"]
    return seen.get(method, 0)


async def test_slow_answer_is_shown_while_it_is_written(house: House) -> None:
    """Its first words are there before the last ones are, in the message that it ends as."""
    slow(house)
    async with house.bot():
        ts = await house.ask("Tell me everything")
        early = await growing(house, ts)
        assert 0 < len(early["text"].split()) < len(WORDS)
        answer = await whole(house, ts)
    assert answer["ts"] == early["ts"]
    assert answer["text"] == " ".join(WORDS)


async def test_quick_answer_is_one_post(house: House) -> None:
    """What takes no longer than a moment is not streamed."""
    async with house.bot():
        await house.asked("What is quick?")
        await house.quiet()
    assert [row.kind for row in house.rows(OutboxMessage)] == [OutboxKind.POST]
    assert "stream" not in house.rows(OutboxMessage)[0].payload


@pytest.mark.parametrize("error", ["unknown_method", "missing_scope"])
async def test_without_streams_it_is_one_post(house: House, error: str) -> None:
    """Where Slack has no streams, the answer comes whole, and the next one does not try again."""
    slow(house)
    fault = {"method": "chat.startStream", "n": 9, "error": error}
    await house.sandbox.faults(fail=fault)
    async with house.bot():
        await whole(house, await house.ask("Tell me everything"))
        assert house.rows(OutboxMessage)[0].attempts == 1  # nobody had to look for it
        await house.answer(await house.ask("And again"))
        await house.quiet()
    assert len(house.rows(Answer)) == 2


async def test_expired_stream_is_completed(house: House) -> None:
    """A stream that Slack ended early is still made the whole answer, in its place."""
    slow(house)
    await house.sandbox.faults(expire_stream=1)
    async with house.bot():
        ts = await house.ask("Tell me everything")
        early = await growing(house, ts)
        assert (await whole(house, ts))["ts"] == early["ts"]


async def test_start_that_slack_did_and_did_not_tell(house: House) -> None:
    """The stream was begun but its answer was lost: it is found in the thread, and completed."""
    slow(house)
    fault = {"method": "chat.startStream", "status": 500, "applied": True}
    await house.sandbox.faults(fail=fault)
    async with house.bot():
        await whole(house, await house.ask("Tell me everything"))


async def test_killed_while_it_writes(house: House) -> None:
    """kill -9 in mid-stream: the next process answers in the message that was begun, once."""
    slow(house)
    first = await house.process()
    ts = await house.ask("Tell me everything")
    early = await growing(house, ts)
    await kill(first)
    house.vllm.token_delay_s = 0
    async with house.bot():
        assert (await whole(house, ts))["ts"] == early["ts"]
    assert receipts(await house.answers(ts)) == [house.rows(OutboxMessage)[0].id]


@dataclass
class Twins:
    """Two processes that write the same answer, and what the first does before Slack hears it."""

    late: Stream
    heir: Stream
    before: Callable[[Start], Awaitable[AsyncSlackResponse]]


Start = Callable[[], Awaitable[AsyncSlackResponse]]


async def twins(house: House, ts: str) -> Twins:
    """Both at the same question."""
    question = Question(
        id=7, team_id="T0MYNAH", channel=HELP, thread_ts=ts, ts=ts, user="U0ASKER", text="?"
    )
    client = web_client(house.settings(), patient=False)
    streams = Streams(house.engine, client, ME, Pacing(), after_s=0)
    start = client.chat_startStream

    async def at_once(start: Start) -> AsyncSlackResponse:
        return await start()

    async def started(**arguments: Any) -> AsyncSlackResponse:
        return await both.before(lambda: start(**arguments))

    client.chat_startStream = started  # type: ignore[method-assign]
    both = Twins(streams.of(question), streams.of(question), at_once)
    return both


def over(house: House, **values: Any) -> None:
    """What a poster leaves of the one row that it has said."""
    done = update(OutboxMessage).values(kind=OutboxKind.POST, status=Status.DONE, **values)
    house.write(lambda session: session.execute(done))


async def test_one_stream_an_answer(house: House) -> None:
    """Who takes over while a stream may have begun begins no other: the first is all there is."""
    ts = await house.say("asker", "Tell me everything")
    both = await twins(house, ts)

    async def unheard(start: Start) -> AsyncSlackResponse:
        await start()
        await both.heir.grew("Everything")
        raise TimeoutError

    both.before = unheard
    await both.late.grew("Everything")
    await both.heir.grew("Everything is")
    assert len(await house.answers(ts)) == 1
    [row] = house.rows(OutboxMessage)
    assert (row.ts, row.kind, both.heir.began) == (None, OutboxKind.STREAM, True)


async def test_refused_stream_may_be_begun_by_another(house: House) -> None:
    """What Slack refused is not there: the next one begins, and can be found again."""
    ts = await house.say("asker", "Tell me everything")
    both = await twins(house, ts)
    await house.sandbox.faults(fail={"method": "chat.startStream", "error": "ratelimited"})
    await both.late.grew("Everything")
    assert house.rows(OutboxMessage)[0].attempts == 0
    await both.heir.grew("Everything")
    [stream] = await house.answers(ts)
    [row] = house.rows(OutboxMessage)
    assert (row.ts, row.attempts) == (stream["ts"], 1)


@pytest.mark.parametrize("stopped", [True, False])
async def test_late_holder_takes_its_stream_back(house: House, stopped: bool) -> None:
    """What begins when the answer was said already is deleted, though its process was stopped."""
    ts = await house.say("asker", "Tell me everything")
    both = await twins(house, ts)

    async def said(start: Start) -> AsyncSlackResponse:
        over(house, ts="1.0")
        if stopped:
            task.cancel()
            await asyncio.wait({task})
        return await start()

    both.before = said
    task = asyncio.create_task(both.late.grew("Everything"))
    await asyncio.wait({task})
    await gone(house, ts)


async def test_late_holder_leaves_what_was_adopted(house: House) -> None:
    """Its stream became the answer before it heard that it had begun: it stays."""
    ts = await house.say("asker", "Tell me everything")
    both = await twins(house, ts)

    async def adopted(start: Start) -> AsyncSlackResponse:
        started = await start()
        over(house, ts=started["ts"])
        return started

    both.before = adopted
    await both.late.grew("Everything")
    assert len(await house.answers(ts)) == 1


async def test_no_stream_before_what_waits_to_be_said(house: House) -> None:
    """A stream has no mark: it would be taken for a message that is looked for in the thread."""
    ts = await house.say("asker", "Tell me everything")
    both = await twins(house, ts)
    house.write(
        lambda session: outbox.say(
            session, team_id="T0MYNAH", key="answer:6", channel=HELP, thread_ts=ts, payload={}
        )
    )
    await both.late.grew("Everything")
    assert await house.answers(ts) == []
    assert not both.late.began


async def test_question_deleted_before_its_stream_begins(house: House) -> None:
    """What is streamed of an answer to a question that is gone goes, too: the thread is free."""
    slow(house)
    async with house.bot():
        ts = await house.ask("Tell me everything")
        await until(lambda: bool(house.vllm.asked))
        await house.client("asker").chat_delete(channel=HELP, ts=ts)
        await until(lambda: len(house.rows(OutboxMessage)) > 0)
        await house.quiet(within_s=30)
        assert await _left(house) == []
    assert house.failed() == []


async def test_question_deleted_while_it_is_answered(house: House) -> None:
    """What was streamed of an answer that nobody wants any more is taken away."""
    slow(house)
    async with house.bot():
        ts = await house.ask("Tell me everything")
        await growing(house, ts)
        await house.client("asker").chat_delete(channel=HELP, ts=ts)
        await house.quiet()
        shown = [one for one in await house.sandbox.messages() if one.get("user") == "U0MYNAH"]
        assert [one for one in shown if not one.get("deleted")] == []
        # The thread's lane is free again.
        await house.asked("Anybody here?")
    assert house.failed() == []


async def test_question_edited_while_it_is_answered(house: House) -> None:
    """The stream becomes the answer to the new words."""
    slow(house)
    async with house.bot():
        ts = await house.ask("Tell me everything")
        early = await growing(house, ts)
        house.vllm.token_delay_s = 0
        house.vllm.script = lambda messages, model: f"on: {messages[-1]['content']}"
        await house.client("asker").chat_update(
            channel=HELP, ts=ts, text="<@U0MYNAH> Tell me one thing"
        )
        await until(lambda: any(row.text.startswith("on:") for row in house.rows(Answer)))
        await house.quiet()
        [answer] = await house.answers(ts)
    assert answer["ts"] == early["ts"]
    assert answer["blocks"][0]["text"] == "on: Tell me one thing"


async def test_answer_that_is_too_long_for_a_message(house: House) -> None:
    """It goes on in further messages, whose last has the receipt; deleting takes all of them."""
    text = "\n\n".join([" ".join(["word"] * 180)] * 9)

    def long(messages: Sequence[ChatMessage], model: str) -> str:
        return text

    house.vllm.script = long
    async with house.bot(MYNAH_MAX_TOKENS="4096"):
        ts = await house.ask("Tell me everything")
        await house.answer(ts, count=3)
        await house.quiet()
        said = await house.answers(ts)
        assert "\n\n".join(one["blocks"][0]["text"] for one in said) == text
        assert [len(one["blocks"]) for one in said] == [1, 1, 3]
        assert house.rows(Answer)[0].ts == said[0]["ts"]
        house.vllm.script = lambda messages, model: "short"
        await house.client("asker").chat_update(channel=HELP, ts=ts, text="<@U0MYNAH> Briefly")
        await until(lambda: len(house.rows(Answer)) == 2)
        await house.quiet()
        [answer] = await house.answers(ts)
        assert answer["blocks"][0]["text"] == "short"
        await house.client("asker").chat_delete(channel=HELP, ts=ts)
        await house.quiet()
        assert await _left(house) == []


async def test_a_stream_rolls_over_before_a_message_is_full(house: House) -> None:
    """What is streamed stops in time, and the rest is said in further messages below it."""
    text = "\n\n".join([" ".join(["word"] * 180)] * 9)
    slow(house, token_s=0.003, text=text)
    async with house.bot(MYNAH_MAX_TOKENS="4096"):
        ts = await house.ask("Tell me everything")
        early = await growing(house, ts)
        longest = 0
        while len(said := await house.answers(ts)) < 3:
            longest = max(longest, len(said[0]["text"]))
            await asyncio.sleep(0.03)
        await house.quiet()
        said = await house.answers(ts)
        assert await calls(house, "chat.startStream") == 1
    assert early["ts"] == said[0]["ts"]
    assert 0 < longest <= PART_CHARS
    assert "\n\n".join(one["blocks"][0]["text"] for one in said) == text
    assert [len(one["blocks"]) for one in said] == [1, 1, 3]
    assert house.failed() == []


async def test_other_channels_do_not_wait_for_a_limited_one(house: House) -> None:
    """Slack limits posting for each channel, and so does Mynah."""
    await house.sandbox.faults(rate_limit={"method": "chat.postMessage", "n": 1, "retry_after": 5})
    async with house.bot():
        first = await house.ask("Which port?")
        await until(lambda: any(row.attempts for row in house.rows(OutboxMessage)))
        there = await house.asked("Which host?", channel="C0OPS")
        here = await house.answer(first)
        await house.quiet()
    assert float(there["ts"]) < float(here["ts"])
    assert house.failed() == []


async def test_rate_limited_channel_is_left_alone(house: House) -> None:
    """After a 429 nobody posts in that channel before Slack's time is over; others go on."""
    limit: dict[str, Any] = {"method": "chat.postMessage", "n": 1, "retry_after": 2}
    await house.sandbox.faults(rate_limit=limit)
    async with house.bot():
        asked = [await house.ask(f"Question {number}?") for number in range(5)]
        for ts in asked:
            await house.answer(ts)
        await house.quiet()
        assert await calls(house, "chat.postMessage") <= 6 + len(asked)
    assert {row.status for row in house.rows(OutboxMessage)} == {Status.DONE}


async def _left(house: House) -> list[Message]:
    found = await house.sandbox.messages()
    return [one for one in found if one.get("user") == "U0MYNAH" and not one.get("deleted")]
