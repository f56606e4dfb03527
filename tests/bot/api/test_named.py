"""A question that was named is answered once, whoever asks it again, at whichever bot."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletion
from sqlalchemy import update

from bot.api import calls
from bot.store.database import transaction
from bot.store.schema import Answer, ApiCall, Lease, Question, now
from serving.client import ChatMessage
from tests.bot.api.conftest import Caller, asks, receipt
from tests.bot.slack.house import House, free_port, kill, until


class Counting:
    """A script whose answers tell how often it was asked."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, messages: Sequence[ChatMessage], model: str) -> str:
        self.count += 1
        return f"This is answer number {self.count} of mine."


async def named(client: AsyncOpenAI, name: str, text: str = "Which port?") -> ChatCompletion:
    """Ask by a name."""
    said: ChatCompletion = await client.chat.completions.create(
        **asks(text), extra_headers={"Idempotency-Key": name}
    )
    return said


def words(said: ChatCompletion) -> str | None:
    return said.choices[0].message.content


async def test_asked_again_it_has_the_same_answer(house: House, caller: Caller) -> None:
    """Also as a stream; another name is another question, and so is the same one of another key."""
    house.vllm.script = Counting()
    async with house.bot():
        client = caller.client()
        first, again = await named(client, "a"), await named(client, "a")
        stream = await client.chat.completions.create(
            **asks("Which port?", stream=True), extra_headers={"Idempotency-Key": "s"}
        )
        streamed = [chunk async for chunk in stream]
        repeated = await client.chat.completions.create(
            **asks("Which port?", stream=True), extra_headers={"Idempotency-Key": "s"}
        )
        again_streamed = [chunk async for chunk in repeated]
        other, elsewhere = await named(client, "b"), await named(caller.client(), "a")
    assert first.id == again.id
    assert words(first) == words(again) == "This is answer number 1 of mine."
    assert streamed[-1].id == again_streamed[-1].id != first.id
    assert receipt(streamed[-1]) == receipt(again_streamed[-1])
    assert len({words(first), words(other), words(elsewhere)}) == 3
    assert len(house.rows(Answer)) == 4


async def test_a_name_stands_for_one_request(house: House, caller: Caller) -> None:
    """Another question by the same name is refused."""
    async with house.bot():
        client = caller.client()
        await named(client, "a")
        with pytest.raises(openai.UnprocessableEntityError, match="another request"):
            await named(client, "a", "Which host?")
        with pytest.raises(openai.BadRequestError):
            await named(client, "a" * 256)


async def test_two_bots_give_one_answer(house: House, caller: Caller) -> None:
    """Asked of both at the same time, one of them answers and the other waits for it."""
    house.vllm.script = Counting()
    house.vllm.delay_s = 0.5
    port = free_port()
    async with house.bot(), house.bot(MYNAH_PORT=str(port)):
        key = caller.key()
        here, there = caller.client(key), caller.client(key, port=port)
        said = await asyncio.gather(*(named(one, "a") for one in (here, there, here, there)))
    assert {one.id for one in said} == {"chatcmpl-1"}
    assert {words(one) for one in said} == {"This is answer number 1 of mine."}
    assert len(house.vllm.asked) == 1


async def test_a_bot_is_killed_while_it_answers(house: House, caller: Caller) -> None:
    """OpenAI's client is told that the connection broke; asked again, the other bot takes the
    question over, and it has one answer."""
    house.vllm.script = Counting()
    house.vllm.delay_s = 30
    port = free_port()
    child = await house.process(MYNAH_PORT=str(port))
    async with house.bot():
        key = caller.key()
        lost = asyncio.create_task(named(caller.client(key, port=port), "a"))
        await until(lambda: len(house.vllm.asked) == 1)
        await kill(child)
        with pytest.raises(openai.APIConnectionError):
            await lost
        house.vllm.delay_s = 0
        said = await named(caller.client(key), "a")
    assert words(said) == "This is answer number 1 of mine."
    assert [question.text for question in house.rows(Question)] == ["Which port?"]
    assert len(house.rows(Answer)) == 1


async def test_a_bot_is_killed_while_its_answer_is_read(house: House, caller: Caller) -> None:
    """The stream breaks off; asked again by its name, the question has one whole answer."""
    long = "It is port 9443, as it has ever been, here and there and everywhere else. " * 4
    house.vllm.script = lambda messages, model: long
    house.vllm.logprob, house.vllm.token_delay_s = -0.01, 0.2
    port = free_port()
    child = await house.process(MYNAH_PORT=str(port))
    async with house.bot():
        key = caller.key()

        async def read(at: int) -> str:
            stream = await caller.client(key, port=at).chat.completions.create(
                **asks("Which port?", stream=True), extra_headers={"Idempotency-Key": "a"}
            )
            said = ""
            async for chunk in stream:
                said += chunk.choices[0].delta.content or ""
                if said and at == port and child.returncode is None:
                    await kill(child)
            return said

        with pytest.raises(openai.APIConnectionError):
            await read(port)
        house.vllm.token_delay_s = 0
        said = await read(house.port)
    assert said == long.strip()
    assert [answer.text for answer in house.rows(Answer)] == [said]
    assert len(house.rows(Question)) == 1


async def test_what_could_not_be_answered_may_be_asked_again(house: House, caller: Caller) -> None:
    """After a 503 the same name is the same question, answered now."""
    async with house.bot(MYNAH_API_DEADLINE_S="1"):
        client = caller.client()
        house.vllm.down()
        with pytest.raises(openai.InternalServerError):
            await named(client, "a")
        assert [question.text for question in house.rows(Question)] == [""]
        house.vllm.up()
    async with house.bot():
        said = await named(client, "a")
    assert words(said) == "base heard: Which port?"
    [question] = house.rows(Question)
    assert (question.text, question.deleted_at) == ("Which port?", None)


async def test_names_are_forgotten_after_a_day(house: House, caller: Caller) -> None:
    """The question and its answer stay."""
    async with house.bot():
        await named(caller.client(), "a")
    with transaction(house.engine) as session:
        calls.forget_old(session)
    assert len(house.rows(ApiCall)) == 1
    with transaction(house.engine) as session:
        old = now() - calls.KEPT
        session.execute(update(ApiCall).values(created_at=old))
        session.execute(update(Lease).values(until=old))
    with transaction(house.engine) as session:
        calls.forget_old(session)
    assert house.rows(ApiCall) == []
    assert not [row for row in house.rows(Lease) if row.name.startswith("api:")]
    assert len(house.rows(Answer)) == 1
