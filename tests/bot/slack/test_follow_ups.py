"""Follow-ups: who talks with the bot in a thread need not mention it; people among themselves are
left alone."""

from __future__ import annotations

from typing import Any

import pytest

from bot.slack.follow_ups import is_talking, is_thanks, names_others
from bot.store.schema import Answer, InboxEvent, Question
from tests.bot.slack.house import BOT, HELP, House

Message = dict[str, Any]


def spoken(*messages: tuple[str, str]) -> list[Message]:
    """A thread, oldest first, of (user, text)."""
    return [
        {"user": user, "text": text, "ts": f"{at}.0"} for at, (user, text) in enumerate(messages)
    ]


ASKED, ANSWERED = ("U1", f"<@{BOT}> which port?"), (BOT, "9443.")


@pytest.mark.parametrize(
    ("before", "talking"),
    [
        ([ASKED, ANSWERED], True),
        ([ASKED, ANSWERED, ("U1", "hm")], True),
        ([ASKED], True),  # its answer is being made
        ([ASKED, ANSWERED, ("U2", "no")], False),
        ([ASKED, ANSWERED, ("U2", "no"), ("U1", "why not?")], False),
        ([ASKED, ANSWERED, ("U2", f"<@{BOT}> and where?"), (BOT, "There.")], True),
        ([ASKED, ANSWERED, ("U2", f"<@{BOT}> and where?")], False),
        ([ASKED, ANSWERED, ("U2", "no"), ASKED], True),
        ([("U1", "which port?"), ("U1", "anyone?")], False),
        ([], False),
    ],
)
def test_talking_ends_when_somebody_else_speaks(
    before: list[tuple[str, str]], talking: bool
) -> None:
    """Only the same person's words may lie between the bot's last one, or a mention, and now."""
    assert is_talking(spoken(*before), "U1", BOT) is talking


def test_joins_are_nobodys_words() -> None:
    """Slack's own lines, and what was deleted, end no conversation."""
    thread = spoken(ASKED, ANSWERED, ("U2", "has joined"), ("USLACKBOT", "deleted"))
    thread[2]["subtype"], thread[3]["subtype"] = "channel_join", "tombstone"
    assert is_talking(thread, "U1", BOT)


@pytest.mark.parametrize(
    "text",
    ["thanks!", "OK", "Thank you so much", "ok, got it", "great, that worked :tada:", ":+1:", "",
     "Thanks for the quick help 🙏", "that\u2019s perfect"],
)  # fmt: skip
def test_thanks_want_no_answer(text: str) -> None:
    """Courtesies and emoji are no question."""
    assert is_thanks(text)


@pytest.mark.parametrize(
    "text",
    ["ok?", "thanks, and on Windows", "help", "it never worked", "9443", "did it", "ok 1:30",
     "ok, not found", "danke"],
)  # fmt: skip
def test_what_says_more_wants_one(text: str) -> None:
    """A question mark, or one word that is no courtesy, and it is a question."""
    assert not is_thanks(text)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("<@U2> what do you think?", True),
        ("ask <@W2|jo>", True),
        ("<!subteam^S1> can you look?", True),
        ("<!here> anyone?", True),
        ("@jo you know it", True),
        ("and on Windows?", False),
        ("mail a@b.example or see <#C1|help>", False),
    ],
)
def test_naming_others(text: str, named: bool) -> None:
    """Who calls a person, a group or everybody does not talk to the bot."""
    assert names_others(text) is named


async def test_follow_up_is_answered_as_if_it_mentioned(house: House) -> None:
    """The asker goes on without a mention, twice in a row too; each is answered once, whatever is
    delivered twice."""
    async with house.bot():
        ts = await house.ask("Which port?")
        await house.answer(ts)
        await house.sandbox.faults(duplicate=20)
        await house.say("asker", "And on Windows?", thread_ts=ts)
        answer = await house.answer(ts, count=2)
        await house.say("asker", "thanks!", thread_ts=ts)
        await house.say("asker", "But which one over IPv6", thread_ts=ts)
        await house.answer(ts, count=3)
        await house.quiet()
        said = [one["text"] for one in await house.answers(ts)]
    assert answer["text"] == "base heard: And on Windows?"
    assert said[1:] == ["base heard: And on Windows?", "base heard: But which one over IPv6"]
    assert len(house.rows(Question)) == len(house.rows(Answer)) == 3
    assert house.failed() == []


async def test_the_bot_stays_out_of_what_people_say_to_each_other(house: House) -> None:
    """Another person's words, an answer to them, and a message to somebody get nothing; a mention
    brings the bot back, for whoever asked."""
    async with house.bot():
        ts = await house.ask("Which port?")
        await house.answer(ts)
        for who, text in (
            ("asker", "<@U0STAFF> is that so?"),
            ("staff", "No, another one."),
            ("asker", "Which one then?"),
            ("asker2", "I wonder too"),
        ):
            await house.say(who, text, thread_ts=ts)
        await house.quiet()
        assert len(await house.answers(ts)) == 1
        await house.ask("So which port?", thread_ts=ts)
        await house.answer(ts, count=2)
        await house.say("asker2", "And mine?", thread_ts=ts)  # asked nothing here before
        await house.say("asker", "And mine?", thread_ts=ts)
        await house.quiet()
        assert len(await house.answers(ts)) == 2
        await house.ask("Once more?", who="asker2", thread_ts=ts)
        await house.answer(ts, count=3)
        await house.say("asker2", "And mine?", thread_ts=ts)
        assert (await house.answer(ts, count=4))["text"] == "base heard: And mine?"


async def test_replies_elsewhere_are_not_stored(house: House) -> None:
    """What is said in threads without the bot never reaches its store."""
    async with house.bot():
        ts = await house.say("asker", "Lunch, anyone?")
        await house.say("staff", "Me!", thread_ts=ts)
        await house.say("asker", "Noon?", thread_ts=ts)
        await house.quiet()
    assert house.rows(InboxEvent) == []


async def test_follow_ups_are_edited_and_deleted_as_questions(house: House) -> None:
    """A follow-up that is edited is answered again in place; deleted, its answer goes along."""
    async with house.bot():
        ts = await house.ask("Which port?")
        await house.answer(ts)
        reply = await house.say("asker", "And on Windows?", thread_ts=ts)
        first = await house.answer(ts, count=2)
        await house.client("asker").chat_update(channel=HELP, ts=reply, text="And on a Mac?")
        await house.quiet()
        again = (await house.answers(ts))[1]
        await house.client("asker").chat_delete(channel=HELP, ts=reply)
        await house.quiet()
        left = await house.answers(ts)
    assert (again["text"], again["ts"]) == ("base heard: And on a Mac?", first["ts"])
    assert len(left) == 1
