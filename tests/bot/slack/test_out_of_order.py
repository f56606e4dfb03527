"""Events come late and out of order, and people change their minds: what counts is what stands.

People act in the local Slack; what it tells the real bot of is delivered here, in an order of our
own.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import update
from sqlmodel import Session, col

from bot.slack.line import PATH
from bot.store.schema import (
    Answer,
    Example,
    ExampleStatus,
    Feedback,
    FeedbackKind,
    InboxEvent,
    Question,
    Status,
)
from deploy.sandbox.personas import SIGNING_SECRET
from deploy.sandbox.request_url import signed
from tests.bot.slack.house import BOT, HELP, House, until

MENTION = f"<@{BOT}>"
OLD, NEW = f"{MENTION} which port does the server use?", f"{MENTION} which host does it use?"
numbers = itertools.count()


@pytest.fixture
def house(house: House) -> House:
    """A house whose bot listens by HTTP, at an address that Slack does not know."""
    house.extra = {"SLACK_SIGNING_SECRET": SIGNING_SECRET, "SLACK_APP_TOKEN": ""}
    return house


@asynccontextmanager
async def bot(house: House) -> AsyncIterator[None]:
    """The real bot; at the end it gave nothing up."""
    async with house.bot():
        yield
    assert house.failed() == []


async def deliver(house: House, **event: Any) -> None:
    """Tell the bot of an event, and wait until all that came of it is done."""
    await post(house, event)
    await until(lambda: house.open_rows() == [])


async def post(house: House, event: dict[str, Any]) -> None:
    """Tell the bot of an event."""
    event = {"channel": HELP, "channel_type": "channel", "user": "U0ASKER", **event}
    callback = {"type": "event_callback", "event_id": f"Ev{next(numbers)}", "team_id": "T0MYNAH"}
    body = json.dumps(callback | {"event": event}).encode()
    async with httpx.AsyncClient(trust_env=False) as client:
        url = f"http://127.0.0.1:{house.port}{PATH}"
        headers = signed(SIGNING_SECRET, body, int(time.time()))
        assert (await client.post(url, content=body, headers=headers)).status_code == 200


async def tell_said(house: House, ts: str, text: str) -> None:
    """Both events of a mention."""
    for kind in ("message", "app_mention"):
        await deliver(house, type=kind, ts=ts, text=text)


async def tell_edited(
    house: House, ts: str, before: str, after: str, who: str = "U0ASKER", **more: str
) -> None:
    """The event of an edit."""
    versions = {
        name: {"type": "message", "user": who, "ts": ts, "text": text, **more}
        for name, text in (("previous_message", before), ("message", after))
    }
    await deliver(house, type="message", subtype="message_changed", ts="1.0", **versions)


async def tell_rated(house: House, ts: str, emoji: str, at: str = "1.0") -> None:
    """The event of a reaction by staff."""
    item = {"type": "message", "channel": HELP, "ts": ts}
    rated = {"user": "U0STAFF", "reaction": emoji, "item": item, "event_ts": at}
    await deliver(house, type="reaction_added", **rated)


async def edit(house: House, ts: str, text: str, who: str = "asker") -> None:
    """Somebody changes a message of theirs."""
    await house.client(who).chat_update(channel=HELP, ts=ts, text=text)


async def said(house: House, ts: str) -> list[str]:
    """What the bot says in a thread."""
    return [answer["text"] for answer in await house.answers(ts)]


def heard(text: str) -> str:
    """What the stand-in answers."""
    return f"base heard: {text.removeprefix(MENTION).strip()}"


async def test_an_edit_before_its_message(house: House) -> None:
    """The question is answered once, as it reads now, and its old words change nothing."""
    async with bot(house):
        ts = await house.say("asker", OLD)
        await edit(house, ts, NEW)
        await tell_edited(house, ts, OLD, NEW)
        await tell_said(house, ts, OLD)
        assert await said(house, ts) == [heard(NEW)]
    assert len(house.rows(Answer)) == 1


@pytest.mark.parametrize("replied", [False, True])
async def test_a_deletion_before_its_message(house: House, replied: bool) -> None:
    """What is gone is not answered, whether it left a tombstone or nothing; no word is kept."""
    async with bot(house):
        ts = await house.say("asker", OLD)
        if replied:
            await house.say("asker2", "me too", thread_ts=ts)
        await house.client("asker").chat_delete(channel=HELP, ts=ts)
        before = {"type": "message", "user": "U0ASKER", "ts": ts, "text": OLD}
        if replied:
            gone = {"subtype": "tombstone", "user": "USLACKBOT", "ts": ts, "text": "deleted"}
            changed = {"message": gone, "previous_message": before}
            await deliver(house, type="message", subtype="message_changed", ts="1.0", **changed)
        else:
            deleted = {"deleted_ts": ts, "previous_message": before}
            await deliver(house, type="message", subtype="message_deleted", ts="1.0", **deleted)
        await tell_said(house, ts, OLD)
    assert house.rows(Answer) == []
    assert [question.text for question in house.rows(Question)] == [""]


async def test_an_edit_of_what_was_deleted_since(house: House) -> None:
    """An edit that is told of after the deletion brings nothing back."""
    async with bot(house):
        ts = await house.say("asker", OLD)
        await house.say("asker2", "me too", thread_ts=ts)
        await tell_said(house, ts, OLD)
        await house.client("asker").chat_delete(channel=HELP, ts=ts)
        await tell_edited(house, ts, OLD, NEW)
        assert await said(house, ts) == []


async def test_a_question_that_is_emptied_and_filled_again(house: House) -> None:
    """The answer goes with the words, and a new one comes with new words, as often as they like."""
    async with bot(house):
        ts = await house.say("asker", OLD)
        await tell_said(house, ts, OLD)
        for _ in range(2):
            await edit(house, ts, MENTION)
            await tell_edited(house, ts, OLD, MENTION)
            assert await said(house, ts) == []
            await edit(house, ts, NEW)
            await tell_edited(house, ts, MENTION, NEW)
            assert await said(house, ts) == [heard(NEW)]
        await edit(house, ts, OLD)
        await tell_edited(house, ts, NEW, OLD)
        assert await said(house, ts) == [heard(OLD)]


async def test_a_question_that_is_emptied_before_its_message(house: House) -> None:
    """Only the mention is left when it is first heard of: there is nothing to answer."""
    async with bot(house):
        ts = await house.say("asker", OLD)
        await edit(house, ts, MENTION)
        await tell_edited(house, ts, OLD, MENTION)
        await tell_said(house, ts, OLD)
        assert await said(house, ts) == []


async def test_a_mention_that_comes_with_an_edit(house: House) -> None:
    """A message that asks the bot only since it was edited is a question, too."""
    async with bot(house):
        ts = await house.say("asker", "which host does it use?")
        await edit(house, ts, NEW)
        await tell_edited(house, ts, "which host does it use?", NEW)
        assert await said(house, ts) == [heard(NEW)]


async def test_a_question_that_was_given_up_and_edited(house: House) -> None:
    """Other words are another try."""

    def give_up(session: Session) -> None:
        waiting = update(InboxEvent).where(col(InboxEvent.kind) == "question")
        session.execute(waiting.values(status=Status.FAILED))

    async with house.bot():
        house.vllm.fail_status = 500
        ts = await house.say("asker", OLD)
        await post(house, {"type": "message", "ts": ts, "text": OLD})
        await until(lambda: any(row.kind == "question" for row in house.rows(InboxEvent)))
    house.write(give_up)
    house.vllm.fail_status = None
    async with house.bot():
        await edit(house, ts, NEW)
        await tell_edited(house, ts, OLD, NEW)
        assert await said(house, ts) == [heard(NEW)]


async def test_a_slip_that_was_mended_before_the_correction(house: House) -> None:
    """📝 on a reply teaches it as it reads; an earlier edit that comes late takes nothing away."""
    async with bot(house):
        ts = await house.say("asker", OLD)
        await tell_said(house, ts, OLD)
        reply = await house.say("staff", "Prot 9443.", thread_ts=ts)
        await edit(house, reply, "Port 9443.", "staff")
        await house.react("staff", "memo", reply)
        await tell_rated(house, reply, "memo", at=f"{time.time():.6f}")
        slip = ("Prot 9443.", "Port 9443.", "U0STAFF")
        await tell_edited(house, reply, *slip, thread_ts=ts)
        [example] = house.rows(Example)
        assert (example.status, example.answer) == (ExampleStatus.LIVE, "Port 9443.")
        assert [row.revoked_at for row in house.rows(Feedback)] == [None]
        await edit(house, reply, "Port 9444.", "staff")
        await tell_edited(house, reply, "Port 9443.", "Port 9444.", "U0STAFF", thread_ts=ts)
    [example] = house.rows(Example)
    assert (example.status, example.answer) == (ExampleStatus.REVOKED, "")


async def test_a_slip_beside_a_contact_that_is_kept(house: House) -> None:
    """It stays in what was learned, and still nothing is taken away of late."""
    house.extra["MYNAH_KEEP_CONTACTS"] = "house.example"
    was, reads = "Rite to help@house.example.", "Write to help@house.example."
    async with bot(house):
        ts = await house.say("asker", OLD)
        await tell_said(house, ts, OLD)
        reply = await house.say("staff", was, thread_ts=ts)
        await edit(house, reply, reads, "staff")
        await house.react("staff", "memo", reply)
        await tell_rated(house, reply, "memo", at=f"{time.time():.6f}")
        await tell_edited(house, reply, was, reads, "U0STAFF", thread_ts=ts)
        [example] = house.rows(Example)
        assert (example.status, example.answer) == (ExampleStatus.LIVE, reads)
        other = "Write to desk@house.example."
        await edit(house, reply, other, "staff")
        await tell_edited(house, reply, reads, other, "U0STAFF", thread_ts=ts)
    [example] = house.rows(Example)
    assert (example.status, example.answer) == (ExampleStatus.REVOKED, "")


async def test_a_slip_that_was_mended_in_one_of_several_messages(house: House) -> None:
    """An answer is put together of them: edits that are told of late, or change no word, take
    nothing away; a line that is taken out later takes the example along."""
    slips, mended = ("Opne it.\nSet this:", "Prot 9443."), ("Open it.\nSet this:", "Port 9443.")
    async with bot(house):
        ts = await house.say("asker", "which port does the server use?")
        replies = [await house.say("staff", slip, thread_ts=ts) for slip in slips]
        for reply, words in zip(replies, mended, strict=True):
            await edit(house, reply, words, "staff")
        await house.react("staff", "memo", replies[1])
        await tell_rated(house, replies[1], "memo", at=f"{time.time():.6f}")
        for before in (slips, mended):
            for reply, was, words in zip(replies, before, mended, strict=True):
                await tell_edited(house, reply, was, words, "U0STAFF", thread_ts=ts)
            [example] = house.rows(Example)
            assert (example.status, example.answer) == (ExampleStatus.LIVE, "\n".join(mended))
            assert [row.revoked_at for row in house.rows(Feedback)] == [None]
        await edit(house, replies[0], "Set this:", "staff")
        await tell_edited(house, replies[0], mended[0], "Set this:", "U0STAFF", thread_ts=ts)
    [example] = house.rows(Example)
    assert (example.status, example.answer) == (ExampleStatus.REVOKED, "")


async def test_a_newer_rating_before_an_older_one(house: House) -> None:
    """The later one counts, whichever is told of first."""
    async with bot(house):
        ts = await house.say("asker", OLD)
        await tell_said(house, ts, OLD)
        [answer] = await house.answers(ts)
        for emoji in ("white_check_mark", "x"):
            await house.react("staff", emoji, answer["ts"])
        await tell_rated(house, answer["ts"], "x", at="1700000002.0")
        await tell_rated(house, answer["ts"], "white_check_mark", at="1700000001.0")
    assert [(row.kind, row.revoked_at) for row in house.rows(Feedback)] == [
        (FeedbackKind.REJECT, None)
    ]
    assert {row.status for row in house.rows(Example)} <= {
        ExampleStatus.REFUSED,  # it taught by what it rejects alone, and was too short for that
        ExampleStatus.REJECTED,
    }


async def test_a_follow_up_is_taken_as_it_reads_now(house: House) -> None:
    """Edited before its event came it is answered once, to its new words; deleted, not at all."""
    async with bot(house):
        ts = await house.say("asker", OLD)
        await tell_said(house, ts, OLD)
        await house.answer(ts)
        edited = await house.say("asker", "and on Windows?", thread_ts=ts)
        await edit(house, edited, "and on a Mac?")
        await tell_edited(house, edited, "and on Windows?", "and on a Mac?", thread_ts=ts)
        await deliver(house, type="message", ts=edited, thread_ts=ts, text="and on Windows?")
        deleted = await house.say("asker", "and on Linux?", thread_ts=ts)
        await house.client("asker").chat_delete(channel=HELP, ts=deleted)
        await deliver(house, type="message", ts=deleted, thread_ts=ts, text="and on Linux?")
        assert await said(house, ts) == [heard(OLD), heard("and on a Mac?")]
    assert len(house.rows(Question)) == 2
