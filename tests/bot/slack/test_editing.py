"""A question that is edited is answered again in place; one that is deleted takes its answer along.

The real bot against the local Slack.
"""

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from bot.store.schema import Answer, Example, ExampleStatus, InboxEvent, Question, Status
from serving.client import ChatMessage
from tests.bot.slack.house import BOT, HELP, House, until

PORT = "which port does the server use?"
HOST = "which host does the server use?"
ANSWERS = {PORT: "It listens on port 9443.", HOST: "It runs on files.example.org."}


def words(messages: Sequence[ChatMessage], _model: str) -> str:
    """The answer to the last message."""
    return ANSWERS[messages[-1]["content"]]


def rated(house: House) -> bool:
    """Whether a reaction was handled."""
    done = [row.payload for row in house.rows(InboxEvent) if row.status is Status.DONE]
    return any(payload.get("event", {}).get("type") == "reaction_added" for payload in done)


async def edit(house: House, ts: str, text: str) -> None:
    """The asker changes the words of a question."""
    await house.client("asker").chat_update(channel=HELP, ts=ts, text=f"<@{BOT}> {text}")


async def test_an_edited_question_is_answered_again_in_place(house: House) -> None:
    """The same message says the new answer; the old one is kept for the record, as replaced."""
    house.vllm.script = words
    async with house.bot():
        asked = await house.ask(PORT)
        first = await house.answer(asked)
        await edit(house, asked, HOST)
        await house.quiet()
        [answer] = await house.answers(asked)
    assert first["text"] == ANSWERS[PORT]
    assert answer["text"] == ANSWERS[HOST]
    assert answer["ts"] == first["ts"]
    old, new = house.rows(Answer)
    assert (old.replaced_at is not None, new.replaced_at) == (True, None)
    assert old.ts == new.ts == answer["ts"]


@pytest.mark.parametrize("direct", [False, True])
async def test_mynah_does_not_hear_its_own_edits(house: House, direct: bool) -> None:
    """An answer that changes in place, and mentions the bot at that, is no new question, in a
    conversation with nobody else either: else it would talk to itself for ever."""
    house.vllm.script = lambda messages, model: f"<@{BOT}> what did you say? {len(messages)}"
    opened = await house.client("asker").conversations_open(users=BOT)
    channel = opened["channel"]["id"] if direct else HELP
    async with house.bot():
        asked = await house.ask(PORT, channel=channel)
        await house.answer(asked, channel)
        house.vllm.script = lambda messages, model: f"<@{BOT}> pardon?"
        await house.client("asker").chat_update(channel=channel, ts=asked, text=f"<@{BOT}> {HOST}")
        await house.quiet()
        [answer] = await house.answers(asked, channel)
        deliveries = (await house.sandbox.state(parts="deliveries"))["deliveries"]
    assert "pardon?" in answer["text"]
    assert len(house.rows(Question)) == 1
    changes = [one for one in heard(house) if one.get("subtype") == "message_changed"]
    assert [one["message"]["user"] for one in changes] == ["U0ASKER"]
    assert [one["subtype"] for one in deliveries].count("message_changed") > 1


def heard(house: House) -> list[dict[str, Any]]:
    """The events that were stored."""
    return [row.payload["event"] for row in house.rows(InboxEvent) if row.kind == "event"]


async def test_edits_in_a_row_end_with_the_answer_to_the_last(house: House) -> None:
    """Back and forth, and each event delivered three times: one message, the last words."""
    house.vllm.script = words
    async with house.bot():
        asked = await house.ask(PORT)
        await house.answer(asked)
        await house.sandbox.faults(duplicate=100)
        for text in (HOST, PORT, HOST, PORT):
            await edit(house, asked, text)
        await house.quiet()
        [answer] = await house.answers(asked)
    assert answer["text"] == ANSWERS[PORT]
    assert [row.replaced_at for row in house.rows(Answer)].count(None) == 1
    assert house.failed() == []


async def test_an_edit_that_changes_no_word_makes_no_answer(house: House) -> None:
    """Slack also tells of edits that add a preview or change nothing."""
    async with house.bot():
        asked = await house.ask(PORT)
        await house.answer(asked)
        await edit(house, asked, f"{PORT} ")
        await house.quiet()
    assert len(house.rows(Answer)) == 1


async def test_an_approval_of_what_is_being_replaced_teaches_nothing(house: House) -> None:
    """✅ on the answer to the old words is no approval of them as an answer to the new ones."""
    going = threading.Event()
    going.set()

    def slow(messages: Sequence[ChatMessage], model: str) -> str:
        going.wait(30)
        return words(messages, model)

    house.vllm.script = slow
    async with house.bot():
        asked = await house.ask(PORT)
        answer = await house.answer(asked)
        going.clear()
        await edit(house, asked, HOST)
        await until(lambda: house.rows(Answer)[0].replaced_at is not None)
        await house.react("staff", "white_check_mark", answer["ts"])
        await until(lambda: rated(house))
        going.set()
        await house.quiet()
        assert house.rows(Example) == []
        await house.unreact("staff", "white_check_mark", answer["ts"])
        await house.react("staff", "white_check_mark", answer["ts"])
        await house.quiet()
    [example] = house.rows(Example)
    assert (example.question, example.status) == (HOST, ExampleStatus.LIVE)
    assert example.answer == ANSWERS[HOST]


async def test_a_deleted_question_takes_its_answer_along(house: House) -> None:
    """Nothing of the exchange stays to be read."""
    async with house.bot():
        asked = await house.ask(PORT)
        await house.answer(asked)
        await house.client("asker").chat_delete(channel=HELP, ts=asked)
        await house.quiet()
        assert await house.answers(asked) == []
    [question] = house.rows(Question)
    assert question.deleted_at is not None
    assert house.failed() == []
