"""Questions that are given up: the asker hears of it once, and whatever waits behind goes on."""

from __future__ import annotations

import asyncio

import pytest
from sqlmodel import col, update

from bot.dispatcher import GIVE_UP_AFTER
from bot.slack.broken import BROKEN, give_up
from bot.store.schema import InboxEvent, OutboxKind, OutboxMessage, Question, Status, now
from tests.bot.slack.house import HELP, House, Message, kill, until
from tests.bot.slack.test_streaming import growing, slow


async def shown(house: House) -> list[Message]:
    """What the bot's messages are. Asked of the local Slack itself: its faults hit no bystander."""
    found = await house.sandbox.messages()
    return [one for one in found if one.get("user") == "U0MYNAH" and not one.get("deleted")]


async def break_reading(house: House) -> None:
    """Let Slack refuse to show the thread, as if it always would, until it is given up."""
    fault = {"method": "conversations.replies", "n": GIVE_UP_AFTER, "error": "invalid_arguments"}
    await house.sandbox.faults(fail=fault)


async def given_up(house: House) -> None:
    """Wait until a question was given up, and what is said of it was said."""
    hurried = update(InboxEvent).where(col(InboxEvent.error).is_not(None)).values(not_before=now())
    while not any(row.status is Status.FAILED for row in house.rows(InboxEvent)):
        house.write(lambda session: session.execute(hurried))
        await asyncio.sleep(0.05)
    await house.quiet()


async def test_asker_hears_of_it_and_an_edit_is_answered_in_its_place(house: House) -> None:
    """One message says that it is broken; it becomes the answer to the words as edited."""
    first = await house.say("asker", "Good morning")
    async with house.bot():
        await break_reading(house)
        ts = await house.ask("What is the port?", thread_ts=first)
        await given_up(house)
        [said] = await shown(house)
        assert said["text"] == BROKEN
        await house.client("asker").chat_update(
            channel=HELP, ts=ts, text="<@U0MYNAH> Which port is it?"
        )
        await until(lambda: len(house.rows(OutboxMessage)) == 2)
        await house.quiet()
        [answer] = await shown(house)
    assert answer["ts"] == said["ts"]
    assert answer["blocks"][0]["text"] == "base heard: Which port is it?"
    # No model is told that it talked like that.
    assert all(BROKEN not in str(request["messages"]) for request in house.vllm.asked)


async def test_stream_is_ended_and_the_thread_goes_on(house: House) -> None:
    """What was begun becomes the message that says so, and the next question is answered."""
    first = await house.say("asker", "Good morning")
    slow(house)
    killed = await house.process()
    await house.ask("Tell me everything", thread_ts=first)
    early = await growing(house, first)
    await kill(killed)
    house.vllm.token_delay_s = 0
    await break_reading(house)
    async with house.bot():
        await given_up(house)
        [said] = await shown(house)
        assert (said["ts"], said["text"]) == (early["ts"], BROKEN)
        await house.ask("And now?", thread_ts=first)
        await house.answer(first, count=2)
        await house.quiet()


@pytest.mark.parametrize("deleted", [True, False])
async def test_nobody_is_told_who_does_not_wait(house: House, deleted: bool) -> None:
    """A deleted question's stream goes; one that another process answered keeps its answer."""
    async with house.bot():
        await house.asked("What is the port?")
        await house.quiet()
    [question], [row] = house.rows(Question), house.rows(InboxEvent)[-1:]
    assert row.kind == "question"
    if deleted:
        gone = update(Question).values(deleted_at=now())
        house.write(lambda session: session.execute(gone))
    house.write(lambda session: give_up(session, row))
    kinds = [one.kind for one in house.rows(OutboxMessage)]
    assert kinds == [OutboxKind.POST]
    assert question.text == "What is the port?"
