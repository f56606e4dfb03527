"""Answers that grow: shown while they are written, whole in the end, once whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.slack.app import web_client
from bot.slack.pacing import Pacing
from bot.slack.streaming import Streams
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


async def test_late_holder_takes_its_stream_back(house: House) -> None:
    """A process that lost the question begins no second message: what it began is deleted."""
    ts = await house.say("asker", "Tell me everything")
    question = Question(
        id=7, team_id="T0MYNAH", channel=HELP, thread_ts=ts, ts=ts, user="U0ASKER", text="?"
    )
    client = web_client(house.settings(), patient=False)
    streams = Streams(house.engine, client, ME, Pacing(), after_s=0)
    late, heir = streams.of(question), streams.of(question)

    async def overtaken(**arguments: Any) -> AsyncSlackResponse:
        client.chat_startStream = start  # type: ignore[method-assign]
        await heir.grew("Everything")
        return await start(**arguments)

    start, client.chat_startStream = client.chat_startStream, overtaken  # type: ignore[method-assign]
    await late.grew("Everything")
    [stream] = await house.answers(ts)
    [row] = house.rows(OutboxMessage)
    assert (row.ts, row.kind) == (stream["ts"], OutboxKind.STREAM)
    await late.grew("Everything is")
    await heir.grew("Everything is fine")
    assert (await house.answers(ts))[0]["text"] in ("Everything", "Everything is fine")


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


async def test_question_deleted_before_its_stream_begins(house: House) -> None:
    """A stream that begins after the deletion ends with nothing, and its lane is free."""
    slow(house)
    async with house.bot():
        ts = await house.say("asker", "We wonder")
        asked = await house.ask("Tell me everything", thread_ts=ts)
        await until(lambda: bool(house.vllm.asked))
        await house.client("asker").chat_delete(channel=HELP, ts=asked)
        await house.quiet()
        assert await _left(house) == []


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
