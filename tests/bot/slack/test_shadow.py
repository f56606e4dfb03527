"""A shadow as people live it: they read the live answers alone, and admins compare."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlmodel import Session

from bot import releases
from bot.shadowing import KIND
from bot.store.schema import (
    Answer,
    AnswerMode,
    InboxEvent,
    OutboxMessage,
    Rollout,
    RolloutAction,
    ShadowAnswer,
    Status,
)
from serving.client import BASE
from tests.bot.api.conftest import Caller, asks
from tests.bot.slack.house import HELP, House, free_port, kill, until
from tests.bot.slack.test_commands import ADMINS_ONLY, TEAM, reply
from tests.bot.slack.test_home import home, words
from tests.bot.slack.test_promoting import live, message
from tests.bot.slack.waiting import passed
from tests.fake_vllm import FakeVllm
from tests.sandbox_server import Sandbox

SHADOW = "mynah-0123456789ab"
ADMINS = "C0ADMIN"
PORT = "Which port does the console listen on?"


@pytest.fixture(params=["sqlite", "postgresql"])
def both(request: pytest.FixtureRequest, sandbox: Sandbox, vllm: FakeVllm, tmp_path: Path) -> House:
    """A house on each kind of database."""
    name = {"sqlite": "engine", "postgresql": "pg_engine"}[request.param]
    engine: Engine = request.getfixturevalue(name)
    return House(sandbox, vllm, engine, tmp_path)


def in_shadow(session: Session) -> None:
    """v2 passed, waits, and is the shadow; the base is live."""
    passed(session)
    releases.start_shadow(session, TEAM, 2, by="U0ADMIN")


@asynccontextmanager
async def shadowed(house: House, **extra: str) -> AsyncIterator[None]:
    """The bot, with a shadow whose adapter the server has."""
    house.vllm.adapters[SHADOW] = "/nowhere"
    async with house.bot(**extra):
        house.write(in_shadow)
        await house.quiet()
        yield


async def test_it_is_recorded_and_never_shown(both: House) -> None:
    """Asked, answered by what is live, and by the shadow for the record; once, and said nowhere."""
    house = both
    async with shadowed(house):
        ts = await house.ask(PORT)
        said = await house.answer(ts)
        await house.quiet()
        thread = await house.answers(ts)
        told = str(await house.sandbox.state(parts="messages"))
    assert said["text"] == f"{BASE} heard: {PORT}"
    assert len(thread) == 1
    [answer], [row] = house.rows(Answer), house.rows(ShadowAnswer)
    assert (row.answer_id, row.text) == (answer.id, f"{SHADOW} heard: {PORT}")
    assert (row.adapter, row.mode, row.dropped) == (SHADOW, AnswerMode.CLOSED_BOOK, None)
    assert f"{SHADOW} heard" not in told
    assert not any(f"{SHADOW} heard" in str(one.payload) for one in house.rows(OutboxMessage))
    assert house.failed() == []


async def test_an_admin_starts_reads_and_ends_it(house: House) -> None:
    """Each is a row with the admin's name, the admins' channel hears of it, and status names it."""
    house.vllm.adapters[SHADOW] = "/nowhere"
    async with house.bot():
        house.write(passed)
        assert (await reply(house, "shadow")).startswith("No release is the shadow.")
        assert (await reply(house, "shadow v2")).startswith("v2 is the shadow: it answers what")
        row = house.rows(Rollout)[-1]
        assert (row.action, row.share, row.by) == (RolloutAction.SHADOW, 0, "U0ADMIN")
        assert (await message(house, number=-1))["text"] == (
            "<@U0ADMIN> made v2 the shadow: its answers are recorded, and never shown."
        )
        named = f"*Shadow:* v2 ({SHADOW}), shown to nobody: `/mynah shadow`"
        assert named in await reply(house, "status")
        assert f"v2 ({SHADOW}): waits for an admin, the shadow" in await reply(house, "releases")
        assert f"*Shadow:* v2 ({SHADOW})" in words(await home(house, "admin"))
        assert await reply(house, "shadow v1") == "Nothing changed: v1 is live already."
        assert (await reply(house, "shadow what")).startswith("Name a release as in")
        await house.asked(PORT)
        await house.quiet()
        told = await reply(house, "shadow")
        assert "v2 answered 1 question that memory did not quote: 0 with the same words" in told
        assert f"{SHADOW} heard" not in told, "only in the admins' channel"
        assert f"v2: {SHADOW} heard: {PORT}" in await reply(house, "shadow", channel=ADMINS)
        assert (await reply(house, "shadow off")).startswith("v2 is no shadow any more.")
        assert "v2 (mynah-0123456789ab) was the last shadow" in await reply(house, "shadow")
        assert await reply(house, "shadow off") == "Nothing changed: no release is the shadow."
        assert "*Shadow:*" not in await reply(house, "status")
    assert house.failed() == []


async def test_it_is_for_admins(house: House) -> None:
    """Others are refused, whatever they type, and read nothing of it."""
    async with shadowed(house):
        before = house.rows(Rollout)
        for who in ("asker", "staff", "guest"):
            for text in ("shadow", "shadow v2", "shadow off"):
                assert await reply(house, text, who) == ADMINS_ONLY
    assert house.rows(Rollout) == before


async def test_promoting_ends_it(house: House) -> None:
    """What answers people answers nothing for the record."""
    async with shadowed(house):
        assert (await reply(house, "promote v2")).startswith("v2 is live.")
        assert live(house) == 2
        assert "*Shadow:*" not in await reply(house, "status")
        said = await house.asked(PORT)
        await house.quiet()
    assert said["text"] == f"{SHADOW} heard: {PORT}"
    assert house.rows(ShadowAnswer) == []


async def test_deleted_with_its_question(both: House) -> None:
    """Deleted, the words are gone at once; edited, those to the new words take their place."""
    house = both
    async with shadowed(house):
        first, second = await house.ask(PORT), await house.ask("Who painted the door?")
        for ts in (first, second):
            await house.answer(ts)
        await house.quiet()
        assert len(house.rows(ShadowAnswer)) == 2
        await house.client("asker").chat_delete(channel=HELP, ts=first)
        await house.client("asker").chat_update(channel=HELP, ts=second, text="<@U0MYNAH> And now?")
        await house.quiet()
    assert [row.text for row in house.rows(ShadowAnswer)] == [f"{SHADOW} heard: And now?"]
    assert house.failed() == []


async def test_a_private_channel_is_counted_and_not_quoted(house: House) -> None:
    """An admin may not read there: the pair is not shown, not even in the admins' channel."""
    async with shadowed(house):
        await house.asked("What is hidden here?", channel="C0PRIV")
        await house.quiet()
        told = await reply(house, "shadow", channel=ADMINS)
    assert "v2 answered 1 question" in told
    assert "hidden" not in told


async def test_a_missing_adapter_is_dropped(house: House) -> None:
    """No server has it: nothing is recorded but that, and the base does not speak in its place."""
    async with house.bot():
        house.write(in_shadow)
        await house.asked(PORT)
        await house.quiet()
        told = await reply(house, "shadow")
    [row] = house.rows(ShadowAnswer)
    assert (row.text, row.dropped) == ("", "no server had it")
    assert [one["model"] for one in house.vllm.asked] == [BASE, SHADOW]
    assert "Left out: 1, because no server had it (1)." in told
    assert house.failed() == []


async def test_a_question_goes_first(house: House) -> None:
    """The shadow is at its answer on a server with one place: a question takes it at once, and the
    shadow answers afterwards."""
    house.vllm.script = lambda messages, model: "one two three four five six seven eight"
    async with shadowed(house, MYNAH_AT_ONCE="1"):
        first = await house.ask(PORT)
        await house.answer(first)
        house.vllm.token_delay_s = 5
        await until(lambda: [one["model"] for one in house.vllm.asked] == [BASE, SHADOW])
        house.vllm.token_delay_s = 0
        second = await house.ask("Who painted the door?")
        await house.answer(second)
        await house.quiet()
    models = [one["model"] for one in house.vllm.asked]
    assert models[:3] == [BASE, SHADOW, BASE]
    assert models[3:] == [SHADOW, SHADOW]
    assert [row.dropped for row in house.rows(ShadowAnswer)] == [None, None]


async def test_nothing_is_begun_while_a_question_waits(house: House) -> None:
    """A question in the inbox, which this bot does not even serve, holds the shadow up."""

    def waits(session: Session) -> None:
        session.add(
            InboxEvent(
                team_id="T0OTHER",
                event_id="q",
                kind="question",
                lane="q",
                payload={"question_id": 0},
            )
        )

    def is_over(session: Session) -> None:
        row = session.get_one(InboxEvent, waiting.id)
        row.status = Status.DONE

    async with shadowed(house):
        house.write(waits)
        [waiting] = [row for row in house.rows(InboxEvent) if row.team_id == "T0OTHER"]
        await house.asked(PORT)
        await asyncio.sleep(2)
        assert [row.mode for row in house.rows(ShadowAnswer)] == [None]
        house.write(is_over)
        await house.quiet()
    assert [row.mode for row in house.rows(ShadowAnswer)] == [AnswerMode.CLOSED_BOOK]


async def test_killed_while_the_shadow_answers(house: House) -> None:
    """kill -9: the next process records it, once, and posts nothing for it."""
    house.vllm.adapters[SHADOW] = "/nowhere"
    first = await house.process()
    house.write(in_shadow)
    ts = await house.ask("one two three four five six seven")
    await house.answer(ts)
    house.vllm.token_delay_s = 3
    await until(lambda: [one["model"] for one in house.vllm.asked] == [BASE, SHADOW])
    await kill(first)
    house.vllm.token_delay_s = 0
    second = await house.process()
    try:
        await house.quiet()
        assert len(await house.answers(ts)) == 1
    finally:
        await kill(second)
    [row] = house.rows(ShadowAnswer)
    assert row.text.startswith(f"{SHADOW} heard: one")
    assert [one.attempts for one in house.rows(InboxEvent) if one.kind == KIND] == [2]
    assert house.failed() == []


async def test_two_bots_record_it_once(house: House) -> None:
    """They share the queue: each question has one answer of the shadow's."""
    async with shadowed(house):
        other = await house.process(MYNAH_PORT=str(free_port()))
        try:
            asked = [await house.ask(f"Question {number}?") for number in range(6)]
            for ts in asked:
                await house.answer(ts)
            await house.quiet()
        finally:
            await kill(other)
    assert len(house.rows(ShadowAnswer)) == len(house.rows(Answer)) == 6
    assert [one["model"] for one in house.vllm.asked].count(SHADOW) >= 6
    assert all(row.text for row in house.rows(ShadowAnswer))


async def test_what_another_system_asked(house: House) -> None:
    """A question that stands alone is answered by the shadow, too; the thread of another one was
    its caller's to keep, so it is left out. Neither is shown to an admin."""
    caller = Caller(house)
    async with shadowed(house):
        client = caller.client()
        await client.chat.completions.create(**asks(PORT))
        turns = [
            {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"},
            {"role": "user", "content": "And the port?"},
        ]  # fmt: skip
        await client.chat.completions.create(model="mynah", messages=turns)  # type: ignore[arg-type]
        await house.quiet()
        told = await reply(house, "shadow", channel=ADMINS)
    await caller.close()
    assert len(house.rows(Answer)) == 2
    assert [row.text for row in house.rows(ShadowAnswer)] == [f"{SHADOW} heard: {PORT}"]
    assert "v2 answered 1 question" in told
    assert PORT not in told


async def test_why_says_nothing_of_it(house: House) -> None:
    """The receipt is of the answer that was shown."""
    async with shadowed(house):
        said = await house.asked(PORT)
        await house.quiet()
        why = await reply(house, "why", "asker")
    assert house.rows(ShadowAnswer)[0].text
    assert said["text"]
    assert SHADOW not in why
    assert "v2" not in why
