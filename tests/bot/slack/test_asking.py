"""Asking: mentions, direct messages, threads, and messages that are no questions."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence

from bot.store.schema import Answer, AnswerMode, ChannelKind, InboxEvent, Question
from serving.client import ChatMessage
from tests.bot.slack.house import BOT, HELP, House, until


async def test_mention_gets_one_answer_in_its_thread(house: House) -> None:
    """A mention arrives as two events and is answered once, in its thread, with its receipt."""
    async with house.bot():
        ts = await house.ask("What port does the console use?")
        answer = await house.answer(ts)
        await house.quiet()
        assert len(await house.answers(ts)) == 1
    assert answer["thread_ts"] == ts
    assert answer["text"] == "base heard: What port does the console use?"
    assert answer["metadata"]["event_type"] == "mynah_outbox"
    mark = answer["metadata"]["event_payload"]
    assert (mark["release"], mark["adapter"], mark["mode"]) == ("v1", None, "closed_book")
    assert answer["blocks"][-2]["elements"][0]["text"] == "v1 · not verified"
    [row] = house.rows(Answer)
    assert (row.ts, row.mode, row.confidence) == (answer["ts"], AnswerMode.CLOSED_BOOK, -0.25)
    assert len(house.rows(Question)) == 1
    assert house.failed() == []


async def test_direct_message_needs_no_mention(house: House) -> None:
    """Every direct message is a question, and it is walled in as such."""
    opened = await house.sandbox.client("xoxp-asker").conversations_open(users="U0MYNAH")
    channel = opened["channel"]["id"]
    async with house.bot():
        ts = await house.say("asker", "Where are the logs?", channel=channel)
        answer = await house.answer(ts, channel)
    assert answer["text"] == "base heard: Where are the logs?"
    assert [row.channel_kind for row in house.rows(Question)] == [ChannelKind.IM]


async def test_follow_up_has_the_thread_as_context(house: House) -> None:
    """A question in a thread reaches the model with the earlier turns, by who said them."""
    async with house.bot():
        ts = await house.ask("Which port?")
        await house.answer(ts)
        await house.say("asker2", "I wonder too", thread_ts=ts)
        await house.ask("And on Windows?", thread_ts=ts)
        await house.answer(ts, count=2)
    turns = [(one["role"], one["content"]) for one in house.vllm.asked[-1]["messages"][1:]]
    assert turns == [
        ("user", "Which port?"),
        ("assistant", "base heard: Which port?"),
        ("user", "I wonder too"),
        ("user", "And on Windows?"),
    ]


async def test_only_questions_to_the_bot_are_answered(house: House) -> None:
    """Chatter, another bot, a join message and the bot's own words get no answer."""
    await house.sandbox.seed(
        users=[{"id": "U9BOT", "name": "other", "is_bot": True, "token": "xoxb-other"}]
    )
    async with house.bot():
        await house.say("asker", "Lunch, anyone?")
        await house.sandbox.client("xoxb-mynah").chat_postMessage(channel=HELP, text=f"<@{BOT}> me")
        await house.quiet()
    assert house.rows(Question) == []
    assert house.vllm.asked == []


async def test_code_and_tables_come_whole(house: House) -> None:
    """Slack's markdown block takes them as the model wrote them; below stand receipt and thumbs."""
    code = "```sh\nmynah status --json | jq '.live'\n```"
    text = f"Run:\n\n{code}\n\n| port | for |\n|---|---|\n| 9443 | <b> |"
    house.vllm.script = lambda messages, model: text
    async with house.bot():
        answer = await house.asked("How do I see what is live?")
    assert [block["type"] for block in answer["blocks"]] == [
        "markdown", "context", "context_actions",
    ]  # fmt: skip
    assert answer["blocks"][0]["text"] == text
    assert answer["blocks"][-1]["elements"][0]["type"] == "feedback_buttons"


async def test_empty_mention_is_greeted(house: House) -> None:
    """A mention without a question gets a hint, once, and no model is asked."""
    async with house.bot():
        answer = await house.asked("")
        await house.quiet()
    assert "Ask me something" in answer["text"]
    assert house.vllm.asked == []


async def test_forty_thousand_characters(house: House) -> None:
    """The longest message that Slack takes is answered; its prompt is cut."""
    async with house.bot():
        text = "why? " * 7_990
        answer = await house.asked(text)
    assert answer["text"].startswith("base heard: why? why?")
    assert len(house.vllm.asked[-1]["messages"][-1]["content"]) == 2000
    [question] = house.rows(Question)
    assert len(question.text) > 39_000
    assert house.failed() == []


async def test_answer_cannot_notify_or_link(house: House) -> None:
    """What a model writes is text: it mentions nobody and calls no channel together."""
    house.vllm.script = lambda messages, model: "ask <!channel> or <@U0ADMIN> & co"
    async with house.bot():
        answer = await house.asked("Who knows?")
    assert answer["text"] == "ask &lt;!channel&gt; or &lt;@U0ADMIN&gt; &amp; co"
    assert answer["blocks"][0]["text"] == "ask <\u200b!channel> or <\u200b@U0ADMIN> & co"


async def test_threads_are_answered_side_by_side(house: House) -> None:
    """Four questions in four threads are with the model at the same time."""
    together = threading.Barrier(4)

    def wait_for_the_others(messages: Sequence[ChatMessage], model: str) -> str:
        together.wait(timeout=30)  # were they asked one by one, this would break
        return "together"

    house.vllm.script = wait_for_the_others
    async with house.bot():
        asked = [await house.ask(f"Question {n}?") for n in range(4)]
        for ts in asked:
            assert (await house.answer(ts))["text"] == "together"


async def test_quoted_answer_does_not_wait_for_the_model(house: House) -> None:
    """With the model busy with more questions than it takes at once, a quoted answer comes now."""
    async with house.bot():
        asked = await house.ask("Which port does the console listen on?")
        await house.answer(asked)
        reply = await house.say("staff", "Port 9443.", thread_ts=asked)
        await house.react("staff", "memo", reply)
        await house.quiet()
        house.vllm.delay_s = 30
        for n in range(6):
            await house.ask(f"Something slow, number {n}?")
        await until(lambda: len(house.vllm.asked) == 5)  # the first one, and four at once
        quoted = await house.asked("Which port does the console listen on?", within_s=25)
    assert quoted["text"] == "Port 9443."


async def test_questions_of_one_thread_are_answered_in_order(house: House) -> None:
    """A slow first question is answered before a quick second one in the same thread."""

    def slow_first(messages: Sequence[ChatMessage], model: str) -> str:
        time.sleep(0.6 if "first" in messages[-1]["content"] else 0)
        return messages[-1]["content"]

    house.vllm.script = slow_first
    async with house.bot():
        ts = await house.ask("the first")
        await house.ask("the second", thread_ts=ts)
        await house.answer(ts, count=2)
        assert [one["text"] for one in await house.answers(ts)] == ["the first", "the second"]


async def test_model_that_is_away_is_waited_for(house: House) -> None:
    """With vLLM down a question waits, and is answered once when it is back."""
    async with house.bot():
        house.vllm.down()
        ts = await house.ask("Still there?")
        await asyncio.sleep(2.5)
        assert await house.answers(ts) == []
        [waiting] = [row for row in house.rows(InboxEvent) if row.kind == "question"]
        assert str(waiting.error).startswith("in line:")
        house.vllm.up()
        await house.answer(ts)
        await house.quiet()
        assert len(await house.answers(ts)) == 1
    assert house.failed() == []


async def test_answer_that_broke_off_is_made_anew(house: House) -> None:
    """A stream that ends in the middle is not taken for an answer."""
    house.vllm.break_after = 2
    async with house.bot():
        ts = await house.ask("one two three four five")
        await asyncio.sleep(0.5)
        house.vllm.break_after = None
        answer = await house.answer(ts)
    assert answer["text"] == "base heard: one two three four five"
