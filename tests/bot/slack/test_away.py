"""When no model answers: questions wait in line, are told so once, and are answered in order."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient
from sqlmodel import col, select

from bot import routing
from bot.slack import metadata
from bot.slack.blocks import AWAY, AWAY_NOTICE
from bot.store.database import reading, transaction
from bot.store.schema import (
    Answer,
    AnswerMode,
    InboxEvent,
    OutboxKind,
    OutboxMessage,
    Question,
    Run,
    RunStatus,
    RunTrigger,
    Status,
    now,
)
from serving.client import ChatMessage
from tests.bot.slack.house import HELP, House, Message, kill, receipts, until
from tests.bot.slack.test_agent import status
from tests.bot.slack.test_streaming import WORDS, growing, slow
from tests.sandbox_server import until as until_true
from tests.stores import TEAM


async def notice(house: House, ts: str) -> Message:
    """Wait for the notice in a thread."""
    while True:
        found = [one for one in await house.answers(ts) if metadata.is_notice(one)]
        if found:
            return found[0]
        await asyncio.sleep(0.03)


async def answered(house: House, ts: str) -> Message:
    """Wait until all is done; the thread's one message."""
    await until(lambda: _has_answer(house, ts))
    await house.quiet()
    [said] = await house.answers(ts)
    assert not metadata.is_notice(said)
    assert house.failed() == []
    return said


def _has_answer(house: House, ts: str) -> bool:
    with reading(house.engine) as session:
        rows = select(Answer).join(Question, col(Question.id) == Answer.question_id)
        return session.exec(rows.where(Question.ts == ts)).first() is not None


def asked(house: House) -> list[str]:
    """The questions that the model was asked, in order; probes ask for a token."""
    return [one["messages"][-1]["content"] for one in house.vllm.asked if one["max_tokens"] > 1]


def notices(house: House) -> list[OutboxMessage]:
    """The rows of notices that were said."""
    return [
        row
        for row in house.rows(OutboxMessage)
        if ":notice:" in row.key and row.kind is OutboxKind.POST
    ]


def known(messages: Sequence[ChatMessage], model: str) -> str:
    """Answers that are worth learning."""
    about_ports = "port" in messages[-1]["content"]
    return "It listens on 9443." if about_ports else "Anna does so every morning."


async def test_a_question_waits_with_a_notice(house: House) -> None:
    """Whoever asks hears once that the model is away; its answer takes the notice's place."""
    house.vllm.down()
    async with house.bot():
        ts = await house.ask("Which port?")
        assert (await notice(house, ts))["blocks"][0]["text"] == AWAY_NOTICE
        await until(lambda: house.rows(OutboxMessage)[0].status is Status.DONE)
        assert await status(house, ts) == ""
        await until(lambda: _tries(house, Status.WAITING) == 2)
        for tries in (3, 4):  # however often it is tried again
            house.write(_try_again)
            await until(lambda so_many=tries: _tries(house, Status.WAITING) == so_many)  # type: ignore[misc]
        house.vllm.up()
        said = await answered(house, ts)
    assert said["text"] == "base heard: Which port?"
    assert len(notices(house)) == 1
    assert receipts([said]) == [
        row.id for row in house.rows(OutboxMessage) if row.answer_id is not None
    ]


async def test_a_notice_says_that_a_training_is_why(house: House) -> None:
    """While the servers rest for a run, and for how long at most; a run beside them is no reason,
    nor is one that should be over."""
    with transaction(house.engine) as session:
        begun = now() - timedelta(minutes=20)
        run = Run(team_id=TEAM, trigger=RunTrigger.COMMAND, status=RunStatus.RUNNING)
        run.started_at = begun
        session.add(run)
    house.vllm.down()
    texts = []
    for settings in (
        {"MYNAH_TRAIN_ALONE": "on", "MYNAH_REST_MINUTES": "60"},
        {"MYNAH_TRAIN_ALONE": "on", "MYNAH_REST_MINUTES": "10"},
        {},
    ):
        async with house.bot(**settings):
            ts = await house.ask("Which port?")
            texts.append((await notice(house, ts))["blocks"][0]["text"])
    assert re.fullmatch(
        r"I am learning just now, for (39|40) minutes at most\. I keep .*", texts[0]
    )
    assert all(text.startswith(AWAY_NOTICE) for text in texts[1:])


def _try_again(session: Any) -> None:
    row = session.exec(select(InboxEvent).where(InboxEvent.kind == "question")).one()
    if row.status is Status.WAITING:
        row.not_before = row.received_at
        session.add(row)


def _tries(house: House, status: Status) -> int:
    rows = [row for row in house.rows(InboxEvent) if row.kind == "question"]
    return sum(row.attempts for row in rows if row.status is status)


async def test_a_model_that_is_back_soon_is_not_spoken_of(house: House) -> None:
    """Nobody needs to hear of a moment."""
    house.vllm.down()
    async with house.bot():
        ts = await house.ask("Which port?")
        await until(lambda: any("in line" in (row.error or "") for row in house.rows(InboxEvent)))
        house.vllm.up()
        await answered(house, ts)
    assert notices(house) == []


async def test_the_queue_drains_in_the_order_of_asking(house: House) -> None:
    """One place: who asked first is answered first, those who ask now come after them, and nobody
    is asked for twice."""
    house.vllm.down()
    wanted = [f"Number {number}?" for number in range(8)]
    async with house.bot(MYNAH_AT_ONCE="1"):
        threads = [await house.ask(text) for text in wanted]
        for ts in threads:
            await notice(house, ts)
        house.vllm.up()
        house.vllm.delay_s = 0.05
        await until(lambda: len(asked(house)) >= 2)
        late = await house.ask("Late?")
        for ts in [*threads, late]:
            await answered(house, ts)
    assert asked(house) == [*wanted, "Late?"]
    assert house.vllm.most_at_once == 1


async def test_a_server_that_is_back_is_not_run_over(house: House) -> None:
    """It is asked for a token, then a few questions, and never more than it may have at a time."""
    house.vllm.down()
    async with house.bot():
        threads = [await house.ask(f"Number {number}?") for number in range(20)]
        for ts in threads:
            await notice(house, ts)
        house.vllm.delay_s = 0.2
        house.vllm.up()
        for ts in threads:
            await answered(house, ts)
    assert house.vllm.asked[0]["max_tokens"] == 1
    assert sorted(asked(house)) == sorted(f"Number {number}?" for number in range(20))
    assert house.vllm.most_at_once <= 4


async def test_what_memory_knows_passes_those_who_wait(house: House) -> None:
    """An approved answer needs no model, however long the line is."""
    house.vllm.script = known
    async with house.bot():
        first = await house.asked("Which port does the console listen on?")
        await house.react("staff", "white_check_mark", first["ts"])
        await house.quiet()
        house.vllm.down()
        waits = await house.ask("And who let the dogs out?")
        await notice(house, waits)
        said = await house.asked("Which port does the console listen on?")
        assert said["text"] == first["text"]
    assert [row.mode for row in house.rows(Answer)] == [AnswerMode.CLOSED_BOOK, AnswerMode.QUOTED]


async def test_a_broken_answer_gives_way_to_the_notice(house: House) -> None:
    """What was streamed of an answer that broke off goes; the whole one comes when it can."""
    slow(house)
    async with house.bot():
        ts = await house.ask("Tell me everything")
        early = await growing(house, ts)
        house.vllm.down()
        told = await notice(house, ts)
        await until(lambda: house.open_rows()[0][0].startswith("answer:"))
        assert [one["ts"] for one in await house.answers(ts)] == [told["ts"]] != [early["ts"]]
        house.vllm.token_delay_s = 0
        house.vllm.up()
        said = await answered(house, ts)
    assert said["blocks"][0]["text"] == " ".join(WORDS)


async def test_a_deleted_question_takes_its_notice_along(house: House) -> None:
    """Nobody waits any more."""
    house.vllm.down()
    async with house.bot():
        ts = await house.ask("Which port?")
        await notice(house, ts)
        await house.client("asker").chat_delete(channel=HELP, ts=ts)
        await until(lambda: any(row.kind is OutboxKind.DELETE for row in house.rows(OutboxMessage)))
        house.vllm.up()
        await house.quiet()
        shown = [one for one in await house.sandbox.messages() if one.get("user") == "U0MYNAH"]
    assert [one for one in shown if not one.get("deleted")] == []
    assert (asked(house), house.failed()) == ([], [])


async def test_an_edited_question_has_one_notice(house: House) -> None:
    """The answer is to the words as they stand in the end."""
    house.vllm.down()
    async with house.bot():
        ts = await house.ask("Which prot?")
        await notice(house, ts)
        await house.client("asker").chat_update(channel=HELP, ts=ts, text="<@U0MYNAH> Which port?")
        await until(lambda: any(row.text == "Which port?" for row in house.rows(Question)))
        house.vllm.up()
        assert (await answered(house, ts))["text"] == "base heard: Which port?"
    assert len(notices(house)) == 1


async def test_an_answer_that_an_edit_replaces_may_have_a_notice_again(house: House) -> None:
    """Each answer that is waited for is announced, once."""
    house.vllm.down()
    async with house.bot():
        ts = await house.ask("Which prot?")
        await notice(house, ts)
        house.vllm.up()
        first = await answered(house, ts)
        house.vllm.down()
        await house.client("asker").chat_update(channel=HELP, ts=ts, text="<@U0MYNAH> Which port?")
        await notice(house, ts)
        house.vllm.up()
        await until(lambda: len(house.rows(Answer)) == 2)
        said = await answered(house, ts)
    assert (said["ts"], said["text"]) == (first["ts"], "base heard: Which port?")
    assert len(notices(house)) == 2


async def test_who_waits_goes_on_without_a_mention(house: House) -> None:
    """The notice is no answer that ends a conversation, and no part of it for the model."""
    house.vllm.down()
    async with house.bot():
        ts = await house.ask("Which port?")
        await notice(house, ts)
        await house.say("asker", "Of the console, I mean?", thread_ts=ts)
        await until(lambda: len(house.rows(Question)) == 2)
        house.vllm.up()
        await until(lambda: len(house.rows(Answer)) == 2)
        await house.quiet()
    assert [one["role"] for one in house.vllm.asked[-1]["messages"]][-1] == "user"
    assert AWAY_NOTICE not in str(house.vllm.asked)
    assert house.failed() == []


@pytest.mark.parametrize("sure", [True, False])
async def test_killed_with_the_notice_under_way(house: House, sure: bool) -> None:
    """kill -9 before the notice's row says that Slack has it, or after: it is said once."""
    if not sure:
        with house.engine.begin() as store:
            store.exec_driver_sql(
                "CREATE TRIGGER hold BEFORE UPDATE ON outbox WHEN NEW.status = 'done' "
                "BEGIN SELECT RAISE(ABORT, 'not yet'); END"
            )
    house.vllm.down()
    first = await house.process()
    ts = await house.ask("Which port?")
    told = await notice(house, ts)
    await kill(first)
    if not sure:
        with house.engine.begin() as store:
            store.exec_driver_sql("DROP TRIGGER hold")
    async with house.bot():
        await until(lambda: [row.ts for row in notices(house)] == [told["ts"]])
        house.write(_try_again)
        assert [one["ts"] for one in await house.answers(ts)] == [told["ts"]]
        house.vllm.up()
        await answered(house, ts)
    assert len(notices(house)) == 1


async def test_killed_while_the_queue_drains(house: House) -> None:
    """kill -9 again and again: each is answered once, and no notice is left."""
    house.vllm.down()
    child = await house.process()
    threads = [await house.ask(f"Number {number}?") for number in range(12)]
    for ts in threads:
        await notice(house, ts)
    house.vllm.delay_s = 0.1
    house.vllm.up()
    for done in (2, 6):
        await until(lambda count=done: len(house.rows(Answer)) >= count)  # type: ignore[misc]
        await kill(child)
        child = await house.process()
    try:
        for ts in threads:
            await answered(house, ts)
    finally:
        await kill(child)
    assert len(house.rows(Answer)) == len(threads)
    assert len(notices(house)) == len(threads)


async def test_a_long_line_says_so(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has to wait for more than a minute though servers answer hears how many are before."""
    monkeypatch.setattr(routing, "WAITING_AT_MOST", 1)
    go = threading.Event()

    def held(messages: Sequence[ChatMessage], model: str) -> str:
        go.wait(60)
        return "At last."

    house.vllm.script = held
    async with house.bot(MYNAH_AT_ONCE="1"):
        threads = [await house.ask(f"Number {number}?") for number in range(18)]
        told = await notice(house, threads[-1])
        assert re.search("1[3-5] questions are before yours, so it may take about 2", told["text"])
        assert await house.answers(threads[3]) == []  # its turn comes soon enough
        go.set()
        for ts in threads:
            await answered(house, ts)


async def test_a_question_that_no_server_bears_holds_up_nobody(house: House) -> None:
    """It is tried again, ever later, and the others are answered meanwhile."""
    house.vllm.poison = "poisonous"
    async with house.bot():
        bad = await house.ask("A poisonous question")
        await notice(house, bad)
        for number in range(6):
            await house.asked(f"Number {number}?")
        assert "try " in str(house.open_rows())
        house.vllm.poison = ""
        await answered(house, bad)


async def test_a_status_does_not_outlive_the_try(house: House) -> None:
    """A try that takes a while and comes to nothing leaves no "is looking it up" behind."""
    house.vllm.delay_s = 1
    house.vllm.reset_after = 0
    async with house.bot():
        ts = await house.ask("Which port?")

        async def shown() -> bool:
            return bool(await status(house, ts))

        async def gone() -> bool:
            return not await status(house, ts)

        await until_true(shown)
        await until_true(gone)
        assert await house.answers(ts) == []  # it was not a message that took it away
        house.vllm.reset_after, house.vllm.delay_s = None, 0
        await answered(house, ts)


async def test_the_approved_answer_stands_in(house: House) -> None:
    """While no model answers, the nearest approved answer is given, and said to be that."""
    house.vllm.script = known
    async with house.bot():
        first = await house.asked("Which port does the console listen on?")
        other = await house.asked("Who waters the garden?")
        for said in (first, other):
            await house.react("staff", "white_check_mark", said["ts"])
        await house.quiet()
        house.vllm.down()
        ts = await house.ask("Which port does the web console use?")
        said = await house.answer(ts)
        assert said["blocks"][0]["text"] == first["text"]
        assert said["blocks"][1]["elements"][0]["text"] == AWAY
        assert "quoted, verified by" in said["blocks"][2]["elements"][0]["text"]
        client: AsyncWebClient = house.client("asker")
        await client.reactions_add(channel=HELP, timestamp=said["ts"], name="thumbsup")
        house.vllm.up()
        await house.quiet()
    assert [row.mode for row in house.rows(Answer)] == [
        *[AnswerMode.CLOSED_BOOK] * 2,
        AnswerMode.QUOTED_AWAY,
    ]
    assert notices(house) == []
