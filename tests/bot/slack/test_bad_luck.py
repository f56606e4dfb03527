"""Bad luck: what is delivered twice, not acknowledged, refused for a while, or killed."""

from __future__ import annotations

import asyncio
import signal

import pytest

from bot.run import run
from bot.store.schema import Answer, InboxEvent, OutboxMessage, Question
from serving.settings import BadSettings
from tests.bot.slack.house import House, free_port, kill, receipts, until


async def check_answered_once(house: House, ts: str, channel: str = "C0HELP") -> None:
    """One question row, one answer row, one message in Slack, and the row knows its ts."""
    await house.quiet()
    said = await house.answers(ts, channel)
    assert len(said) == 1, [one["text"] for one in said]
    assert len(house.rows(Question)) == 1
    assert [row.ts for row in house.rows(Answer)] == [said[0]["ts"]]
    assert receipts(said) == [row.id for row in house.rows(OutboxMessage)]
    assert house.failed() == []


async def test_event_delivered_three_times(house: House) -> None:
    """Both events of a mention, delivered again and again, make one answer."""
    await house.sandbox.faults(duplicate=2, drop_ack=6, ack_s=0.3)
    async with house.bot():
        ts = await house.ask("Once?")
        await house.answer(ts)
        await check_answered_once(house, ts)
    deliveries = (await house.sandbox.state())["deliveries"]
    assert max(one["attempts"] for one in deliveries) >= 3


async def test_event_is_not_acknowledged_unless_stored(house: House) -> None:
    """While the store refuses writes nothing is acknowledged, so Slack sends it again."""
    await house.sandbox.faults(ack_s=0.5, retry_s=[0.5] * 12)
    async with house.bot():
        with house.engine.connect() as blocker:
            blocker.exec_driver_sql("ALTER TABLE inbox RENAME TO hidden")
            blocker.commit()
            ts = await house.ask("Is anybody home?")
            await asyncio.sleep(1)
            state = await house.sandbox.state(parts="deliveries")
            assert not any(one["acked"] for one in state["deliveries"])
            blocker.exec_driver_sql("ALTER TABLE hidden RENAME TO inbox")
            blocker.commit()
        await house.answer(ts)
        await check_answered_once(house, ts)


async def test_bot_that_was_away_catches_up(house: House) -> None:
    """What was asked while no bot ran is answered when one starts."""
    ts = await house.ask("Anybody?")
    async with house.bot():
        await house.answer(ts)
        await check_answered_once(house, ts)


async def test_rate_limit_is_honoured(house: House) -> None:
    """A post that Slack refuses for now is posted once, and not before Slack said."""
    await house.sandbox.faults(rate_limit={"method": "chat.postMessage", "n": 2, "retry_after": 1})
    async with house.bot():
        ts = await house.ask("Busy?")
        answer = await house.answer(ts)
        await check_answered_once(house, ts)
    assert float(answer["ts"]) - float(ts) >= 2


async def test_post_whose_reply_was_lost_is_adopted(house: House) -> None:
    """Slack took the message and its reply got lost: it is found by its mark, not posted again."""
    await house.sandbox.faults(
        fail={"method": "chat.postMessage", "n": 1, "status": 503, "applied": True}
    )
    async with house.bot():
        ts = await house.ask("Heard?")
        await until(lambda: any(row.attempts > 1 for row in house.rows(OutboxMessage)))
        await check_answered_once(house, ts)


async def test_slack_in_trouble_delays_reading_a_thread(house: House) -> None:
    """When the thread cannot be read for a while, the follow-up waits for it."""
    async with house.bot():
        ts = await house.ask("One?")
        await house.answer(ts)
        await house.sandbox.faults(
            fail={"method": "conversations.replies", "n": 2, "status": 500, "token": "xoxb-mynah"}
        )
        await house.say("asker", "<@U0MYNAH> Two?", thread_ts=ts)
        await until(lambda: len(house.rows(Answer)) == 2)
        await house.quiet()
        assert len(await house.answers(ts)) == 2
    assert house.failed() == []


async def test_kill_in_the_middle_of_an_answer(house: House) -> None:
    """kill -9 while the model writes: the next process answers, once."""
    house.vllm.token_delay_s = 0.3
    first = await house.process()
    ts = await house.ask("one two three four five six seven")
    await until(lambda: len(house.vllm.asked) == 1)
    await kill(first)
    house.vllm.token_delay_s = 0
    second = await house.process()
    try:
        await house.answer(ts)
        await check_answered_once(house, ts)
    finally:
        await kill(second)


async def test_kill_between_post_and_mark(house: House) -> None:
    """kill -9 after Slack has the message and before the row says so: it is adopted."""
    with house.engine.begin() as store:
        store.exec_driver_sql(
            "CREATE TRIGGER hold BEFORE UPDATE ON outbox WHEN NEW.status = 'done' "
            "BEGIN SELECT RAISE(ABORT, 'not yet'); END"
        )
    first = await house.process()
    ts = await house.ask("Am I posted?")
    posted = await house.answer(ts)
    await kill(first)
    with house.engine.begin() as store:
        store.exec_driver_sql("DROP TRIGGER hold")
    assert [row.ts for row in house.rows(Answer)] == [None]
    second = await house.process()
    try:
        await until(lambda: [row.ts for row in house.rows(Answer)] == [posted["ts"]])
        await check_answered_once(house, ts)
    finally:
        await kill(second)


async def test_kill_at_any_moment(house: House) -> None:
    """Killed again and again under a stream of questions, everything is answered exactly once."""
    asked: list[str] = []
    for round_ in range(3):
        child = await house.process()
        for n in range(4):
            asked.append(await house.ask(f"Question {round_}.{n}?"))
            await asyncio.sleep(0.04 * round_)
        await kill(child)
    last = await house.process()
    try:
        for ts in asked:
            await house.answer(ts)
        await house.quiet()
        for ts in asked:
            assert len(await house.answers(ts)) == 1
    finally:
        await kill(last)
    assert len(house.rows(Question)) == len(house.rows(Answer)) == len(asked)
    assert house.failed() == []


async def test_stop_hands_back_what_is_under_way(house: House) -> None:
    """SIGTERM ends the process cleanly; another goes on at once, without waiting for the lease."""
    house.vllm.delay_s = 60
    first = await house.process(MYNAH_LEASE_S="60")
    ts = await house.ask("Slow?")
    await until(lambda: len(house.vllm.asked) == 1)
    await kill(first, signal.SIGTERM)
    assert first.returncode == 0
    house.vllm.delay_s = 0
    async with house.bot():
        await house.answer(ts)
        await check_answered_once(house, ts)


async def check_each_answered_once(house: House, questions: int) -> None:
    """So many questions, asked at once, have one answer each; nothing was stored twice."""
    asked = [await house.ask(f"Number {n}?") for n in range(questions)]
    for ts in asked:
        await house.answer(ts)
    await house.quiet()
    for ts in asked:
        assert len(await house.answers(ts)) == 1
    assert len(house.rows(InboxEvent)) == questions * 3  # message, app_mention, the question
    assert house.failed() == []


async def test_two_bots_answer_once(house: House) -> None:
    """Two processes on one store share the work and double nothing."""
    async with house.bot():
        other = await house.process(MYNAH_PORT=str(free_port()))
        try:
            await check_each_answered_once(house, 12)
        finally:
            await kill(other)


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"SLACK_BOT_TOKEN": "xoxb-wrong"}, "SLACK_BOT_TOKEN: Slack says invalid_auth"),
        ({"SLACK_APP_TOKEN": "xapp-wrong"}, "SLACK_APP_TOKEN: Slack says invalid_auth"),
        ({"SLACK_API_URL": "http://127.0.0.1:9/api/"}, "SLACK_API_URL: Slack cannot be reached"),
    ],
)
async def test_bad_settings_are_one_line(
    house: House, wrong: dict[str, str], complaint: str
) -> None:
    """A wrong token or address ends the start with one line that names the setting."""
    with pytest.raises(BadSettings, match=complaint) as raised:
        async with house.bot(**wrong):
            pass
    assert "\n" not in str(raised.value)
    assert "wrong" not in str(raised.value)


async def test_port_in_use_is_one_line(house: House) -> None:
    """A port that is taken ends the start with one line."""
    async with house.bot():
        with pytest.raises(BadSettings, match=f"cannot listen on 127.0.0.1:{house.port}"):
            await run(house.settings())
