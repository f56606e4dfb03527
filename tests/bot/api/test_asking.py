"""Another system asks with OpenAI's client, and gets what Slack would get. The real bot."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from bot import releases
from bot.answering import CUT_SHORT
from bot.api.calls import UNSURE
from bot.embedder import open_embedder
from bot.memory import Memory
from bot.store.schema import Answer, AnswerExample, AnswerMode, OutboxMessage, Question
from tests.bot.api.conftest import TEAM, Caller, asks, receipt
from tests.bot.released import promoted
from tests.bot.slack.house import HELP, House
from tests.bot.taught import teach
from tests.fake_vllm import FakeVllm
from tests.lora_files import make_base

PORT = "Which port does the console listen on?"
LONG = "It is port 9443, and it has been so since version 2 of the console, in all regions."


def memory(house: House) -> Memory:
    """The memory of the house's bots."""
    return Memory(house.engine, open_embedder("none"))


def tokens(said: Any) -> tuple[int, int]:
    """How many were read, and written, for an answer."""
    both = said.usage.prompt_tokens, said.usage.completion_tokens
    assert said.usage.total_tokens == sum(both)
    return both


def read_by(house: House) -> int:
    """So many tokens has the last prompt that the model was asked, by the fake's own count."""
    said = house.vllm.asked[-1]["messages"]
    return sum(len(one["content"].split()) + 2 for one in said) + 1


async def test_a_question_is_answered_recorded_and_said_nowhere_else(
    house: House, caller: Caller
) -> None:
    """The answer comes with its receipt, is a row like Slack's, and nothing is posted."""
    async with house.bot():
        client = caller.client()
        said = await client.chat.completions.create(**asks("Which port?", user="visitor 7"))
        names = [one.id async for one in client.models.list()]
        one = await client.models.retrieve("mynah")
    [question], [answer] = house.rows(Question), house.rows(Answer)
    assert said.choices[0].message.content == "base heard: Which port?" == answer.text
    assert (said.choices[0].finish_reason, said.model, names) == ("stop", "mynah", ["mynah"])
    assert said.id == f"chatcmpl-{question.id}"
    assert one.id == "mynah"
    assert (question.channel, question.user) == ("api:web", "api:web/visitor 7")
    assert tokens(said) == (read_by(house), 4)
    assert receipt(said) == {
        "answer": answer.id, "release": "v1", "adapter": None, "mode": "closed_book",
        "confidence": answer.confidence, "source": None, "ignored": [],
    }  # fmt: skip
    assert house.rows(OutboxMessage) == []


async def test_an_answer_is_streamed_as_it_is_written(house: House, caller: Caller) -> None:
    """Role, words, the end with the receipt, usage where it is asked for; all of it is the answer
    that is stored."""
    house.vllm.script = lambda messages, model: LONG
    house.vllm.logprob = -0.01
    async with house.bot():
        options = {"include_usage": True}
        stream = await caller.client().chat.completions.create(
            **asks("Which port?", stream=True, stream_options=options)
        )
        chunks = [chunk async for chunk in stream]
    *words, usage = chunks
    deltas = [chunk.choices[0].delta for chunk in words]
    assert deltas[0].role == "assistant"
    assert "".join(delta.content or "" for delta in deltas) == LONG
    assert len([delta for delta in deltas if delta.content]) > 1
    assert [chunk.choices[0].finish_reason for chunk in words][-2:] == [None, "stop"]
    assert receipt(words[-1])["mode"] == "closed_book"
    assert usage.choices == []
    assert tokens(usage) == (read_by(house), len(LONG.split()))
    assert len({chunk.id for chunk in chunks}) == 1
    assert [answer.text for answer in house.rows(Answer)] == [LONG]


async def test_what_is_not_sure_is_withheld_also_from_a_stream(
    house: House, caller: Caller
) -> None:
    """The caller reads that Mynah is not sure, and no word of what it would have said; no case is
    opened in Slack."""
    house.vllm.script = lambda messages, model: LONG
    house.vllm.logprob = -6.0
    async with house.bot():
        stream = await caller.client().chat.completions.create(**asks("Which port?", stream=True))
        chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == UNSURE
    assert receipt(chunks[-1])["mode"] == "unsure"
    assert house.rows(OutboxMessage) == []


async def test_the_caller_keeps_the_thread(house: House, caller: Caller) -> None:
    """Earlier turns reach the model as given, without the caller's system message, which is named
    as ignored; the conversation is one thread, whether the caller names it or not."""
    turns = [
        {"role": "system", "content": "You are a pirate."},
        {"role": "user", "content": [{"type": "text", "text": "Which port?"}]},
        {"role": "assistant", "content": "It is 9443."},
        {"role": "user", "content": "And over TLS?"},
    ]
    async with house.bot():
        create = caller.client().chat.completions.create
        await create(**asks("Which port?"))
        said = await create(**asks("", messages=turns, temperature=0.5))
        for text in ("One", "Two"):
            await create(**asks(text, user="me", metadata={"conversation": "c1"}))
        await create(**asks("Three", user="you", metadata={"conversation": "c1"}))
    heard = house.vllm.asked[1]["messages"]
    assert [one["content"] for one in heard[1:]] == ["Which port?", "It is 9443.", "And over TLS?"]
    assert "pirate" not in heard[0]["content"]
    assert receipt(said)["ignored"] == ["system", "temperature"]
    threads = [question.thread_ts for question in house.rows(Question)]
    assert threads[0] == threads[1]
    assert threads[2] == threads[3] != threads[4]
    assert len(set(threads)) == 3


async def test_a_conversation_keeps_its_release(house: House, caller: Caller) -> None:
    """A canary answers its share of conversations, and each of these to its end."""
    asked = [f"Question {number}" for number in range(12)]

    async def ask_all() -> list[str]:
        said = [await create(**asks(text)) for text in asked]
        return [receipt(one)["release"] for one in said]

    async with house.bot(MYNAH_API_PER_MINUTE="600"):
        create = caller.client().chat.completions.create
        house.write(lambda session: promoted(session, "mynah-0123456789ab", share=0.5))
        house.vllm.adapters["mynah-0123456789ab"] = "/nowhere"
        first, again = await ask_all(), await ask_all()
    assert first == again
    assert set(first) == {"v1", "v2"}


async def test_an_approved_answer_is_quoted_with_its_source(house: House, caller: Caller) -> None:
    """Word for word from memory, with the link where the message that was approved is public."""
    house.vllm.script = lambda messages, model: LONG
    async with house.bot():
        ts = await house.ask(PORT)
        answer = await house.answer(ts)
        await house.react("staff", "white_check_mark", answer["ts"])
        await house.quiet()
        said = await caller.client().chat.completions.create(**asks(PORT))
    assert said.choices[0].message.content == LONG
    assert receipt(said)["mode"] == "quoted"
    assert tokens(said) == (0, 0)
    assert f"/archives/{HELP}/p{answer['ts'].replace('.', '')}" in receipt(said)["source"]
    [used] = house.rows(AnswerExample)
    assert used.answer_id == receipt(said)["answer"]


async def test_what_belongs_to_a_private_channel_is_never_served(
    house: House, caller: Caller
) -> None:
    """Neither quoted nor put into the prompt, whatever the caller names itself or its thread."""
    secret = "It is port 6666, and nobody outside may know."
    teach(house.engine, memory(house), PORT, secret, scope="C0PRIV")
    async with house.bot():
        create = caller.client().chat.completions.create
        for user in ("", "C0PRIV", "U0STAFF"):
            named = {"user": user, "metadata": {"conversation": "C0PRIV"}} if user else {}
            said = await create(**asks(PORT, **named))
            assert receipt(said)["mode"] == "closed_book"
    assert "6666" not in str(house.vllm.asked)
    assert [answer.mode for answer in house.rows(Answer)] == [AnswerMode.CLOSED_BOOK] * 3


async def test_a_release_may_be_rolled_back_while_its_answer_is_read(
    house: House, caller: Caller
) -> None:
    """What was read stands, by the release that said it, and the stream ends as any other."""
    name = "mynah-0123456789ab"
    house.vllm.script = lambda messages, model: f"{model}: {LONG} {LONG}"
    house.vllm.logprob = -0.01
    house.vllm.token_delay_s = 0.1
    async with house.bot():
        house.write(lambda session: promoted(session, name))
        house.vllm.adapters[name] = "/nowhere"
        stream = await caller.client().chat.completions.create(**asks("Which port?", stream=True))
        said = ""
        async for chunk in stream:
            if not said and chunk.choices[0].delta.content:
                house.write(lambda session: releases.roll_back(session, TEAM, by="operator"))
                house.vllm.token_delay_s = 0
            said += chunk.choices[0].delta.content or ""
        after = await caller.client().chat.completions.create(**asks("Which port?"))
    assert said == f"{name}: {LONG} {LONG}"
    assert (receipt(chunk)["release"], receipt(after)["release"]) == ("v2", "v1")
    assert [answer.text for answer in house.rows(Answer)] == [said, f"base: {LONG} {LONG}"]


async def test_no_word_of_a_question_is_logged(
    house: House, caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither of one that is answered nor of one that is refused."""
    caplog.set_level(logging.INFO)
    async with house.bot():
        create = caller.client().chat.completions.create
        await create(**asks("My secret is xyzzy"))
        with pytest.raises(Exception, match="plain text"):
            await create(**asks("My secret is xyzzy", n=2))
    assert "api: question 1: answer 1" in caplog.text
    assert "xyzzy" not in caplog.text


async def test_a_server_may_die_while_an_answer_is_read(
    house: House, caller: Caller, tmp_path: Path
) -> None:
    """Another one goes on where both say the same; else its answer follows whole behind a mark. It
    is no error, and what is recorded is the answer."""
    same, other_words = f"{LONG} {LONG}", f"No: {LONG}"
    house.vllm.logprob = -0.01
    house.vllm.token_delay_s = 0.02
    house.vllm.break_after = 30
    with FakeVllm(adapters_dir=tmp_path, base_dir=make_base(tmp_path / "other")) as other:
        other.logprob = -0.01
        both = f"{house.vllm.url},{other.url}"
        async with house.bot(MYNAH_VLLM_URLS=both):
            create = caller.client().chat.completions.create
            said = []
            for text in (same, other_words):
                house.vllm.script = lambda messages, model: same
                other.script = lambda messages, model, text=text: text  # type: ignore[misc]
                stream = await create(**asks("Which port?", stream=True))
                words = [chunk.choices[0].delta.content or "" async for chunk in stream]
                said.append("".join(words))
    assert said[0] == same
    broken, _, anew = said[1].partition(f" {CUT_SHORT}\n\n")
    assert same.startswith(broken)
    assert len(broken) > 20
    assert anew == other_words
    assert [answer.text for answer in house.rows(Answer)] == [same, other_words]
