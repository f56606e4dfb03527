"""Cases: Mynah is not sure, or somebody asks for help; people on call answer, and teach by it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.abstaining import FEWEST
from bot.cases import ASKED, DIRECT_HINT, DIRECT_PROMISE, HINT, MYNAH, PROMISE, UNSURE
from bot.slack.case_card import GONE, NOBODY, STAFF_ONLY, TOLD
from bot.store.schema import (
    Answer,
    AnswerMode,
    Audit,
    Case,
    CaseStatus,
    Example,
    Feedback,
    FeedbackKind,
    InboxEvent,
)
from tests.bot.slack.house import BOT, HELP, House, Message, kill, until
from tests.bot.slack.test_commands import reply
from tests.bot.slack.test_streaming import calls, growing, slow, whole
from tests.bot.slack.test_teaching import PORT, live, mode
from tests.deploy.sandbox.acts import control
from tests.fake_vllm import LOGPROB

ONCALL = {"MYNAH_ONCALL": "S0STAFF"}
PING = "<!subteam^S0STAFF>"
BABBLE = -3.0  # per token: less sure than anything that is shown before ratings are there
RIGHT = "Port 9443, since version 2."


def is_card(message: Message) -> bool:
    """Whether a message is the card of a case."""
    return "case" in message.get("metadata", {}).get("event_payload", {})


async def card(house: House, thread_ts: str) -> Message:
    """The only card of a thread, when all is quiet."""
    await house.quiet()
    [found] = [one for one in await house.answers(thread_ts) if is_card(one)]
    return found


def case(house: House) -> Case:
    """The only case."""
    [found] = house.rows(Case)
    return found


def words(message: Message) -> str:
    """All that a message shows."""
    return json.dumps(message["blocks"], ensure_ascii=False)


def buttons(message: Message) -> list[str]:
    """The buttons of a card."""
    rows = [block["elements"] for block in message["blocks"] if block["type"] == "actions"]
    return [element["action_id"] for row in rows for element in row]


async def press(house: House, who: str, action: str, on: Message, channel: str = HELP) -> None:
    """Press a button and wait for what comes of it."""
    number = str(on["metadata"]["event_payload"]["case"])
    done = await control(
        house.sandbox, "action", token=f"xoxp-{who}", channel=channel, ts=on["ts"],
        action_id=action, value=number,
    )  # fmt: skip
    assert done["ok"], done
    await house.quiet()


async def unsure(house: House, text: str = PORT, *, logprob: float = BABBLE, **where: Any) -> str:
    """Ask what the model babbles about; the question's ts."""
    house.vllm.logprob = logprob
    asked = await house.ask(text, **where)
    await house.answer(asked)
    await house.quiet()
    return asked


async def pings(house: House, channel: str = HELP) -> int:
    """How many messages of the bot notify the people on call."""
    found = await house.sandbox.messages(channel)
    return sum(PING in one.get("text", "") for one in found if one.get("user") == BOT)


async def test_what_mynah_is_unsure_of_is_withheld(house: House) -> None:
    """Babble is not shown: Mynah says so, asks the people on call once, and keeps it nowhere."""
    house.vllm.script = lambda messages, model: "The moon is made of cheese."
    async with house.bot(**ONCALL):
        asked = await unsure(house)
        said, shown = await house.answers(asked)
        assert (said["text"], mode(said)) == (PROMISE, "unsure")
        assert said["blocks"][-1]["elements"][0]["text"] == "v1 · not sure"
        assert is_card(shown)
        assert PING in words(shown)
        assert "<@U0ASKER>" in words(shown)
        assert buttons(shown) == ["case_claim", "case_resolve"]
        why = await reply(house, "why", "asker")
    assert why == (
        "*Release:* v1 (the base model)\n"
        "*Words:* none: Mynah was not sure, and did not show what it would have said\n"
        "*Confidence:* unsure of its words (5% on average for each, where 14% were needed; "
        "log-probability -3.00)"
    )
    [row] = house.rows(Answer)
    assert (row.text, row.mode) == (PROMISE, AnswerMode.UNSURE)
    assert (row.confidence, row.threshold) == (BABBLE, -2.0)
    opened = case(house)
    assert (opened.ts, opened.opened_by, opened.reason) == (asked, MYNAH, UNSURE)
    assert "cheese" not in json.dumps(await house.sandbox.state())
    assert "cheese" not in (house.directory / "mynah.db").read_bytes().decode("latin-1")


async def test_what_staff_said_of_such_answers_decides(house: House) -> None:
    """Answers that were as sure as this one were wrong, twenty times: now it is withheld, and a
    surer one is given."""
    async with house.bot():
        for number in range(FEWEST):
            said = await house.asked(f"Riddle number {number}?")
            await house.react("staff", "x", said["ts"])
        await house.quiet()
    async with house.bot():  # what is asked of the ratings is kept for a minute
        asked = await unsure(house, PORT, logprob=LOGPROB)
        [withheld] = await house.answers(asked)
        why = await reply(house, "why", "asker")
        house.vllm.logprob = -0.1
        given = await house.asked(PORT)
    assert (mode(withheld), withheld["text"]) == ("unsure", HINT)
    assert "78% on average for each, where 78% were needed" in why
    assert mode(given) == "closed_book"


async def test_sure_enough_is_shown(house: House) -> None:
    """What a small model is a little unsure of is still said, and no case is opened."""
    house.vllm.logprob = -1.2
    async with house.bot(**ONCALL):
        said = await house.asked(PORT)
        await house.quiet()
    assert (said["text"], mode(said)) == (f"base heard: {PORT}", "closed_book")
    assert house.rows(Case) == []


async def test_withheld_words_are_never_streamed(house: House) -> None:
    """Babble that takes long is not shown while it is written either."""
    slow(house)
    house.vllm.logprob = BABBLE
    async with house.bot(**ONCALL):
        said = await house.asked("Tell me everything")
        await house.quiet()
        assert await calls(house, "chat.startStream") == 0
    assert said["text"] == PROMISE


async def test_what_was_read_is_not_taken_back(house: House) -> None:
    """An answer whose beginning was so sure that it was shown is given, however it ends."""
    slow(house)
    async with house.bot(**ONCALL):
        asked = await house.ask("Tell me everything")
        await growing(house, asked)
        house.vllm.logprob = -50.0
        said = await whole(house, asked)
    assert mode(said) == "closed_book"
    assert house.rows(Case) == []


async def test_withholding_can_be_turned_off(house: House) -> None:
    """MYNAH_UNSURE=off: everything is said."""
    house.vllm.logprob = BABBLE
    async with house.bot(MYNAH_UNSURE="off", **ONCALL):
        assert (await house.asked(PORT))["text"] == f"base heard: {PORT}"


async def test_with_nobody_on_call_it_says_how_to_get_help(house: House) -> None:
    """Without MYNAH_ONCALL nothing is promised and no case is opened until somebody asks."""
    async with house.bot():
        asked = await unsure(house)
        [said] = await house.answers(asked)
        assert said["text"] == HINT
        assert house.rows(Case) == []
        await house.react("asker", "sos", said["ts"])
        shown = await card(house, asked)
    assert "asked for help" in words(shown)
    assert (case(house).ts, case(house).opened_by) == (asked, "U0ASKER")


@pytest.mark.parametrize("who", ["asker", "asker2", "guest", "staff"])
async def test_everybody_may_ask_for_help(house: House, who: str) -> None:
    """🆘 on an answer opens the case of its question, whoever puts it; it is recorded."""
    async with house.bot(**ONCALL):
        said = await house.asked(PORT)
        await house.react(who, "sos", said["ts"])
        shown = await card(house, said["thread_ts"])
    assert PING in words(shown)
    assert f"<@U0{who.upper()}>" in words(shown)
    opened = case(house)
    assert (opened.ts, opened.reason) == (said["thread_ts"], ASKED)
    assert opened.opened_by == f"U0{who.upper()}"
    [given] = house.rows(Feedback)
    assert (given.kind, given.answer_id) == (FeedbackKind.ESCALATE, house.rows(Answer)[0].id)


async def test_help_for_a_message_that_was_not_for_mynah(house: House) -> None:
    """🆘 on a person's message in a thread: the case is of that message, the card in the thread."""
    async with house.bot(**ONCALL):
        first = await house.say("asker", "The console does not start.")
        message = await house.say("asker2", "Same here, since today.", thread_ts=first)
        await house.react("asker2", "sos", message)
        await card(house, first)
    opened = case(house)
    assert (opened.thread_ts, opened.ts, opened.question_id) == (first, message, None)


async def test_bots_and_cards_open_no_cases(house: House) -> None:
    """A bot's 🆘 is nobody's; 🆘 on a bot's message, or on a card, is about nothing."""
    await house.sandbox.seed(
        users=[{"id": "U9BOT", "name": "other", "is_bot": True, "token": "xoxb-other"}]
    )
    other = house.sandbox.client("xoxb-other")
    await other.conversations_join(channel=HELP)
    async with house.bot(**ONCALL):
        said = await house.asked(PORT)
        await other.reactions_add(channel=HELP, timestamp=said["ts"], name="sos")
        noise = await other.chat_postMessage(channel=HELP, text="Disk full")
        await house.react("asker", "sos", str(noise["ts"]))
        await house.quiet()
        assert house.rows(Case) == []
        await house.react("asker", "sos", said["ts"])
        shown = await card(house, said["thread_ts"])
        await house.react("asker2", "sos", shown["ts"])
        await house.quiet()
    assert len(house.rows(Case)) == 1


async def test_a_message_has_one_case(house: House) -> None:
    """However many ask, on question and answer, and however often Slack delivers: one card."""
    await house.sandbox.faults(duplicate=20, drop_ack=6, ack_s=0.3)
    async with house.bot(**ONCALL):
        said = await house.asked(PORT)
        await house.react("asker", "sos", said["ts"])
        await house.react("asker2", "sos", said["ts"])
        await house.react("guest", "sos", said["thread_ts"])
        await card(house, said["thread_ts"])
    assert len(house.rows(Case)) == 1
    assert await pings(house) == 1


async def test_a_thread_has_one_open_case(house: House) -> None:
    """While a thread's case is open, no second one is; once it is resolved, the next pings no more
    within the hour."""
    async with house.bot(**ONCALL):
        asked = await unsure(house)
        house.vllm.logprob = -0.25
        await house.ask("And which one on Windows?", thread_ts=asked)
        second = await house.answer(asked, count=3)
        await house.react("asker", "sos", second["ts"])
        shown = await card(house, asked)
        await press(house, "staff", "case_resolve", shown)
        await house.react("asker2", "sos", second["ts"])
        await house.quiet()
        assert [one.status for one in house.rows(Case)] == [CaseStatus.RESOLVED, CaseStatus.OPEN]
        cards = [one for one in await house.answers(asked) if is_card(one)]
    assert len(cards) == 2
    assert sum(PING in words(one) for one in cards) == 0  # a card that changed pings nobody either


async def test_one_person_cannot_keep_everybody_awake(house: House) -> None:
    """After five cases within the hour a person's further ones are opened without a ping."""
    async with house.bot(**ONCALL):
        for number in range(7):
            ts = await house.say("asker", f"Help with thing {number}!")
            await house.react("asker", "sos", ts)
            await card(house, ts)
    assert len(house.rows(Case)) == 7
    assert await pings(house) == 5


async def test_staff_claim_and_resolve(house: House) -> None:
    """The card follows in place: open, claimed, resolved; everything is in the audit table."""
    async with house.bot(**ONCALL):
        asked = await unsure(house)
        shown = await card(house, asked)
        await press(house, "staff", "case_claim", shown)
        claimed = await card(house, asked)
        assert "Claimed by <@U0STAFF>" in words(claimed)
        assert (buttons(claimed), PING in words(claimed)) == (["case_resolve"], False)
        await press(house, "staff2", "case_resolve", claimed)
        resolved = await card(house, asked)
    assert claimed["ts"] == resolved["ts"] == shown["ts"]
    assert "Resolved by <@U0STAFF2>" in words(resolved)
    assert buttons(resolved) == []
    closed = case(house)
    assert (closed.claimed_by, closed.resolved_by) == ("U0STAFF", "U0STAFF2")
    deeds = [(row.actor, row.action) for row in house.rows(Audit) if row.subject == "case:1"]
    assert deeds == [
        (MYNAH, "case.open"), ("U0STAFF", "case.claim"), ("U0STAFF2", "case.resolve")
    ]  # fmt: skip


@pytest.mark.parametrize("who", ["asker", "guest", "admin"])
async def test_others_are_refused_in_private(house: House, who: str) -> None:
    """Who is not staff changes nothing, and alone reads why."""
    async with house.bot(**ONCALL):
        asked = await unsure(house)
        shown = await card(house, asked)
        for action in ("case_claim", "case_resolve"):
            await press(house, who, action, shown)
        assert await card(house, asked) == shown
        told = [one for one in await house.sandbox.messages() if one.get("ephemeral_to")]
    assert [(one["ephemeral_to"], one["text"]) for one in told] == [
        (f"U0{who.upper()}", STAFF_ONLY)
    ] * 2
    assert case(house).status is CaseStatus.OPEN


async def test_who_comes_too_late_is_told(house: House) -> None:
    """A button of a card that has not changed yet before one's eyes does no harm."""
    async with house.bot(**ONCALL):
        asked = await unsure(house)
        shown = await card(house, asked)
        await house.sandbox.faults(
            fail={"method": "chat.update", "n": 1, "error": "cant_update_message"}
        )
        await press(house, "staff", "case_claim", shown)
        await press(house, "staff2", "case_claim", shown)
        assert case(house).claimed_by == "U0STAFF"
        assert "Claimed by <@U0STAFF>" in (await house.responses())[-1]
        house.write(lambda session: session.delete(session.get_one(Case, 1)))
        await press(house, "staff2", "case_claim", shown)
        assert (await house.responses())[-1] == GONE


async def test_help_can_be_called_off(house: House) -> None:
    """Without its 🆘 an unclaimed case is withdrawn, unless somebody else still asks; put on
    again, it is open again, in place and without a ping."""
    async with house.bot(**ONCALL):
        said = await house.asked(PORT)
        await house.react("asker", "sos", said["ts"])
        await house.react("asker2", "sos", said["thread_ts"])
        await house.quiet()
        await house.unreact("asker", "sos", said["ts"])
        await house.quiet()
        assert case(house).status is CaseStatus.OPEN
        await house.unreact("asker2", "sos", said["thread_ts"])
        gone = await card(house, said["thread_ts"])
        assert "Withdrawn by <@U0ASKER2>" in words(gone)
        assert buttons(gone) == []
        await house.react("asker", "sos", said["ts"])
        back = await card(house, said["thread_ts"])
    assert buttons(back) == ["case_claim", "case_resolve"]
    assert PING not in words(back)
    assert (case(house).status, case(house).opened_by) == (CaseStatus.OPEN, "U0ASKER")


async def test_claimed_or_unsure_cases_are_not_called_off(house: House) -> None:
    """Who takes their 🆘 away does not end what somebody works on, or what Mynah opened."""
    async with house.bot(**ONCALL):
        asked = await unsure(house)
        await house.react("asker", "sos", asked)
        await house.quiet()
        await house.unreact("asker", "sos", asked)
        shown = await card(house, asked)
        assert case(house).status is CaseStatus.OPEN
        await press(house, "staff", "case_claim", shown)
        await house.react("asker", "sos", asked)
        await house.quiet()
        await house.unreact("asker", "sos", asked)
        await house.quiet()
    assert case(house).status is CaseStatus.CLAIMED


async def test_deleted_question_takes_its_card_along(house: House) -> None:
    """The case is closed, and neither answer nor card is left."""
    async with house.bot(**ONCALL):
        asked = await unsure(house)
        await house.client("asker").chat_delete(channel=HELP, ts=asked)
        await house.quiet()
        state = await house.sandbox.messages()
    assert case(house).status is CaseStatus.WITHDRAWN
    assert [one for one in state if one.get("user") == BOT and not one.get("deleted")] == []
    assert house.failed() == []


async def test_edited_question_that_mynah_knows_needs_nobody(house: House) -> None:
    """The new answer takes the place of "not sure", and the case that nobody claimed is closed; an
    edit back opens it again."""
    async with house.bot(**ONCALL):
        asked = await unsure(house, "Wich prot?")
        house.vllm.logprob = -0.25
        await house.client("asker").chat_update(channel=HELP, ts=asked, text=f"<@{BOT}> {PORT}")
        await until(lambda: len(house.rows(Answer)) == 2)
        gone = await card(house, asked)
        assert (await house.answers(asked))[0]["text"] == f"base heard: {PORT}"
        assert "Withdrawn: no help" in words(gone)
        house.vllm.logprob = BABBLE
        await house.client("asker").chat_update(channel=HELP, ts=asked, text=f"<@{BOT}> Prot?")
        await until(lambda: len(house.rows(Answer)) == 3)
        assert "case_claim" in buttons(await card(house, asked))
    assert case(house).status is CaseStatus.OPEN


async def test_approved_answer_of_a_person_settles_the_case(house: House) -> None:
    """✅ on a colleague's answer teaches it to the question that Mynah was unsure of, and resolves
    the case; "not sure" is nobody's wrong answer."""
    async with house.bot(**ONCALL):
        asked = await unsure(house)
        answer = await house.say("staff2", RIGHT, thread_ts=asked)
        await house.react("staff", "white_check_mark", answer)
        shown = await card(house, asked)
        assert "Resolved by <@U0STAFF>" in words(shown)
        assert live(house) == [(PORT, RIGHT)]
        again = await house.asked(PORT, who="asker2")
    assert (again["text"], mode(again)) == (RIGHT, "quoted")
    assert [row.rejected for row in house.rows(Example)] == [None]
    assert case(house).status is CaseStatus.RESOLVED


async def test_own_answer_marked_settles_the_case(house: House) -> None:
    """📝 on one's own reply to "not sure" teaches it, without a rejected answer."""
    async with house.bot(**ONCALL):
        asked = await unsure(house)
        answer = await house.say("staff", RIGHT, thread_ts=asked)
        await house.react("staff", "memo", answer)
        assert "Resolved by <@U0STAFF>" in words(await card(house, asked))
    assert live(house) == [(PORT, RIGHT)]
    assert [row.rejected for row in house.rows(Example)] == [None]


async def test_answer_is_to_the_question_that_was_escalated(house: House) -> None:
    """In a longer thread ✅ teaches the question in its middle, not the thread's first message."""
    async with house.bot(**ONCALL):
        first = await house.say("asker", "We are moving the console to a new machine.")
        await house.say("staff2", "Good luck with that.", thread_ts=first)
        await unsure_in(house, first, PORT)
        answer = await house.say("staff2", RIGHT, thread_ts=first)
        await house.react("staff", "white_check_mark", answer)
        await card(house, first)
    assert live(house) == [(PORT, RIGHT)]
    assert case(house).status is CaseStatus.RESOLVED


async def unsure_in(house: House, thread_ts: str, text: str) -> None:
    """Ask in a thread what the model babbles about."""
    house.vllm.logprob = BABBLE
    await house.ask(text, thread_ts=thread_ts)
    await house.answer(thread_ts)
    await house.quiet()


async def test_rating_not_sure_says_nothing(house: House) -> None:
    """✅ and ❌ on "not sure" are no ratings: there is nothing to be right or wrong."""
    async with house.bot(**ONCALL):
        asked = await unsure(house)
        [said, _] = await house.answers(asked)
        await house.react("staff", "white_check_mark", said["ts"])
        await house.react("staff2", "x", said["ts"])
        await house.quiet()
    assert (house.rows(Feedback), house.rows(Example)) == ([], [])
    assert case(house).status is CaseStatus.OPEN


async def test_neither_card_nor_not_sure_reaches_the_model(house: House) -> None:
    """A follow-up's prompt holds what people said, and nothing of Mynah's own business."""
    async with house.bot(**ONCALL):
        asked = await unsure(house)
        await house.say("staff", "Have a look at the manual.", thread_ts=asked)
        await house.ask("Which page?", thread_ts=asked)
        await house.answer(asked, count=3)
    turns = [one["content"] for one in house.vllm.asked[-1]["messages"][1:]]
    assert turns == [PORT, "Have a look at the manual.", "Which page?"]


async def test_direct_message_stays_private(house: House) -> None:
    """The card of a direct message is in the review channel, without a private word, and asker and
    staff are told of each other."""
    opened = await house.client("asker").conversations_open(users=BOT)
    channel = opened["channel"]["id"]
    house.vllm.logprob = BABBLE
    async with house.bot(MYNAH_REVIEW_CHANNEL="C0PRIV", **ONCALL):
        asked = await house.say("asker", "Why was my salary cut?", channel=channel)
        said = await house.answer(asked, channel)
        await house.quiet()
        assert said["text"] == DIRECT_PROMISE
        [shown] = [one for one in await house.sandbox.messages("C0PRIV") if one["user"] == BOT]
        assert PING in words(shown)
        assert "<@U0ASKER>" in words(shown)
        assert "salary" not in json.dumps(shown)
        await press(house, "staff", "case_claim", shown, "C0PRIV")
        told = await house.answer(asked, channel, count=2)
        assert "<@U0STAFF> takes care of it" in told["text"]
        await press(house, "staff", "case_resolve", shown, "C0PRIV")
    assert case(house).status is CaseStatus.RESOLVED


async def test_help_in_a_direct_message(house: House) -> None:
    """🆘 on an answer in a direct message reaches the admin channel, where no review channel is."""
    opened = await house.client("asker").conversations_open(users=BOT)
    channel = opened["channel"]["id"]
    async with house.bot(**ONCALL):
        said = await house.asked("Where are the logs?", channel=channel)
        # `asked` mentions the bot, which a direct message may do too.
        await house.react("asker", "sos", said["ts"], channel)
        told = await house.answer(said["thread_ts"], channel, count=2)
        await house.quiet()
        [shown] = [one for one in await house.sandbox.messages("C0ADMIN") if one["user"] == BOT]
    assert told["text"] == TOLD
    assert "<@U0ASKER> needs a person" in words(shown)
    assert "logs" not in json.dumps(shown)


async def test_direct_message_that_reaches_nobody(house: House) -> None:
    """Without a channel for cards nothing is promised, and 🆘 says where to ask."""
    opened = await house.client("asker").conversations_open(users=BOT)
    channel = opened["channel"]["id"]
    house.vllm.logprob = BABBLE
    async with house.bot(MYNAH_ADMIN_CHANNEL="", **ONCALL):
        asked = await house.say("asker", "Where are the logs?", channel=channel)
        said = await house.answer(asked, channel)
        await house.react("asker", "sos", said["ts"], channel)
        told = await house.answer(asked, channel, count=2)
    assert (said["text"], told["text"]) == (DIRECT_HINT, NOBODY)
    assert house.rows(Case) == []


async def test_killed_while_people_ask_for_help(house: House) -> None:
    """kill -9 with answers, calls for help and presses under way: one case, one card each, one
    ping each."""
    house.vllm.logprob = BABBLE
    child = await house.process(**ONCALL)
    asked = [await house.ask(f"Riddle number {number}?") for number in range(4)]
    message = await house.say("asker", "Nothing works.")
    await house.react("asker", "sos", message)
    await until(lambda: len(house.rows(Case)) >= 2)
    await kill(child)
    async with house.bot(**ONCALL):
        for ts in asked:
            shown = await card(house, ts)
            assert len(await house.answers(ts)) == 2
        await card(house, message)
        number = str(shown["metadata"]["event_payload"]["case"])
        await control(
            house.sandbox, "action", token="xoxp-staff", channel=HELP, ts=shown["ts"],
            action_id="case_claim", value=number,
        )  # fmt: skip
        await until(lambda: any(row.kind == "action" for row in house.rows(InboxEvent)))
    async with house.bot(**ONCALL):
        await house.quiet()
        assert "Claimed by <@U0STAFF>" in words(await card(house, asked[-1]))
    assert len(house.rows(Case)) == 5
    assert house.failed() == []
