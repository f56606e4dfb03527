"""Another system asks with OpenAI's client, and gets what Slack would get. The real bot."""

from __future__ import annotations

from bot.store.schema import Answer, OutboxMessage, Question
from tests.bot.api.conftest import Caller, asks
from tests.bot.slack.house import House


async def test_a_question_is_answered_recorded_and_said_nowhere_else(
    house: House, caller: Caller
) -> None:
    """The answer comes with its receipt, is a row like Slack's, and nothing is posted."""
    async with house.bot():
        client = caller.client()
        said = await client.chat.completions.create(**asks("Which port?", user="visitor 7"))
        names = [one.id async for one in client.models.list()]
    [question], [answer] = house.rows(Question), house.rows(Answer)
    assert said.choices[0].message.content == "base heard: Which port?" == answer.text
    assert (said.choices[0].finish_reason, said.model, names) == ("stop", "mynah", ["mynah"])
    assert said.id == f"chatcmpl-{question.id}"
    assert (question.channel, question.user) == ("api:web", "api:web/visitor 7")
    assert said.model_extra is not None
    assert said.model_extra["mynah"] == {
        "answer": answer.id, "release": "v1", "adapter": None, "mode": "closed_book",
        "confidence": answer.confidence, "source": None, "ignored": [],
    }  # fmt: skip
    assert house.rows(OutboxMessage) == []


async def test_an_answer_is_streamed_as_it_is_written(house: House, caller: Caller) -> None:
    """Role, words, the end with the receipt, usage where it is asked for; all of it is the answer
    that is stored."""
    text = "It is port 9443, and it has been so since version 2 of the console, in all regions."
    house.vllm.script = lambda messages, model: text
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
    assert "".join(delta.content or "" for delta in deltas) == text
    assert len([delta for delta in deltas if delta.content]) > 1
    assert [chunk.choices[0].finish_reason for chunk in words][-2:] == [None, "stop"]
    assert words[-1].model_extra is not None
    assert words[-1].model_extra["mynah"]["mode"] == "closed_book"
    assert (usage.choices, usage.usage is not None) == ([], True)
    assert len({chunk.id for chunk in chunks}) == 1
    assert [answer.text for answer in house.rows(Answer)] == [text]
