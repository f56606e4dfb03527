"""Teaching: what staff approve, correct and take back, and who has no say."""

from __future__ import annotations

import asyncio

import pytest
from sqlmodel import Session

from bot.store.schema import (
    Answer,
    Audit,
    Example,
    ExampleSource,
    ExampleStatus,
    Feedback,
    FeedbackKind,
    InboxEvent,
    Question,
)
from tests.bot.slack.house import HELP, House, Message, until

PORT = "Which port does the console listen on?"


def live(house: House) -> list[tuple[str, str]]:
    """What memory holds."""
    rows = house.rows(Example)
    return [(row.question, row.answer) for row in rows if row.status == ExampleStatus.LIVE]


def mode(message: Message) -> str:
    """Where the words of an answer come from."""
    return str(message["metadata"]["event_payload"]["mode"])


def footer(message: Message) -> str:
    """The receipt that people see."""
    return str(message["blocks"][-2]["elements"][0]["text"])


async def corrected(house: House, question: str, right: str, **where: str) -> tuple[str, str]:
    """Ask, correct the answer as staff; the question's ts and the correction's."""
    asked = await house.ask(question, **where)
    await house.answer(asked, where.get("channel", HELP))
    reply = await house.say("staff", right, thread_ts=asked, **where)
    await house.react("staff", "memo", reply, **where)
    await house.quiet()
    return asked, reply


async def test_approved_answer_is_quoted_next_time(house: House) -> None:
    """✅ by staff on the bot's answer: the same question is quoted, and says who verified it."""
    house.vllm.script = lambda messages, model: "It listens on port 9443."
    async with house.bot():
        first = await house.asked(PORT)
        await house.react("staff", "white_check_mark", first["ts"])
        await house.quiet()
        house.vllm.script = lambda messages, model: "something else"
        second = await house.asked(PORT, who="asker2")
    assert second["text"] == "It listens on port 9443."
    assert (mode(first), mode(second)) == ("closed_book", "quoted")
    assert footer(second).startswith("v1 · sure · quoted, verified by <@U0STAFF> · <https://")
    assert live(house) == [(PORT, "It listens on port 9443.")]


async def test_with_a_quorum_a_second_person_has_to_approve(house: House) -> None:
    """One ✅ is not enough to be quoted, two are, and one that is taken away is one again."""
    house.extra["MYNAH_QUORUM"] = "2"
    house.vllm.script = lambda messages, model: "It listens on port 9443."
    async with house.bot():
        first = await house.asked(PORT)
        modes = []
        for person, act in (
            ("staff", house.react),
            ("staff2", house.react),
            ("staff", house.unreact),
        ):
            await act(person, "white_check_mark", first["ts"])
            await house.quiet()
            modes.append(mode(await house.asked(PORT, who="asker2")))
    assert modes == ["closed_book", "quoted", "closed_book"]


async def test_correction_answers_next_time(house: House) -> None:
    """📝 on one's own reply: its words are quoted, and the bot's answer is the rejected one."""
    async with house.bot():
        asked, reply = await corrected(house, PORT, "Port 9443, since version 2.")
        answer = await house.asked(PORT)
    assert (answer["text"], mode(answer)) == ("Port 9443, since version 2.", "quoted")
    [example] = house.rows(Example)
    assert example.rejected == f"base heard: {PORT}"
    assert {row.ts for row in house.rows(ExampleSource)} == {asked, reply}
    [given] = house.rows(Feedback)
    assert (given.kind, given.user) == (FeedbackKind.CORRECT, "U0STAFF")
    assert given.answer_id == house.rows(Answer)[0].id


async def test_correction_is_of_the_newest_answer_before_it(house: House) -> None:
    """In a thread with two answers the reply corrects the one before it, not the one after."""
    async with house.bot():
        asked = await house.ask("How do I reset the cache?")
        await house.answer(asked)
        reply = await house.say("staff", "Run `cache clear`.", thread_ts=asked)
        await house.ask("And how do I restart it?", thread_ts=asked)
        await house.answer(asked, count=2)
        await house.react("staff", "memo", reply)
        await house.quiet()
    assert live(house) == [("How do I reset the cache?", "Run `cache clear`.")]


async def test_taking_the_reaction_away_revokes(house: House) -> None:
    """Without its ✅ the answer leaves memory at once; put on again, it is back."""
    house.vllm.script = lambda messages, model: "It listens on port 9443."
    async with house.bot():
        first = await house.asked(PORT)
        await house.react("staff", "white_check_mark", first["ts"])
        await house.quiet()
        await house.unreact("staff", "white_check_mark", first["ts"])
        await house.quiet()
        assert live(house) == []
        assert mode(await house.asked(PORT)) == "closed_book"
        await house.react("staff", "white_check_mark", first["ts"])
        await house.quiet()
        assert mode(await house.asked(PORT)) == "quoted"
    assert [row.revoked_at is None for row in house.rows(Feedback)] == [False, True]


async def test_a_rejection_is_recorded_and_refused_as_an_answer_would_be(house: House) -> None:
    """❌ by staff is feedback, and its example obeys what holds for answers."""
    async with house.bot():
        first = await house.asked(PORT)
        await house.react("staff", "x", first["ts"])
        await house.quiet()
    assert [row.kind for row in house.rows(Feedback)] == [FeedbackKind.REJECT]
    [wrong] = house.rows(Example)
    # What the stand-in says asks back, so it is refused as an answer would be.
    assert (wrong.status, wrong.reason) == (
        ExampleStatus.REFUSED, "the answer is a question itself",
    )  # fmt: skip


CONTACTS = "Write to help@house.example, not to jane@home.example."
KEPT = "Write to help@house.example, not to [email]."


@pytest.mark.parametrize("how", ["white_check_mark", "x", "memo", "a person's"])
async def test_contacts_of_the_house_stay(house: House, how: str) -> None:
    """MYNAH_KEEP_CONTACTS names them; all others are taken out of what is learned."""
    house.vllm.script = lambda messages, model: CONTACTS
    async with house.bot(MYNAH_KEEP_CONTACTS="@house.example"):
        if how == "memo":
            await corrected(house, PORT, CONTACTS)
        elif how == "a person's":
            asked = await house.say("asker", PORT)
            reply = await house.say("asker2", CONTACTS, thread_ts=asked)
            await house.react("staff", "white_check_mark", reply)
        else:
            await house.react("staff", how, (await house.asked(PORT))["ts"])
        await house.quiet()
    [example] = house.rows(Example)
    assert (example.answer or example.rejected) == KEPT


async def test_rejecting_takes_the_own_approval_back(house: House) -> None:
    """The newest word of a person counts: ❌ after ✅ leaves nothing in memory."""
    async with house.bot():
        first = await house.asked(PORT)
        await house.react("staff", "white_check_mark", first["ts"])
        await house.quiet()
        await house.react("staff", "x", first["ts"])
        await house.quiet()
    assert live(house) == []


@pytest.mark.parametrize("who", ["asker", "guest", "admin"])
async def test_others_teach_nothing(house: House, who: str) -> None:
    """Reactions of askers, guests and admins who are no staff change nothing."""
    house.extra = {"MYNAH_STAFF": "S0STAFF,U0GUEST"}  # a guest stays a guest, even when named
    async with house.bot():
        asked = await house.ask(PORT)
        answer = await house.answer(asked)
        await house.react(who, "white_check_mark", answer["ts"])
        reply = await house.say(who, "It is 1.", thread_ts=asked)
        await house.react(who, "memo", reply)
        await house.quiet()
    assert house.rows(Feedback) == []
    assert house.rows(Example) == []


async def test_strangers_and_bots_teach_nothing(house: House) -> None:
    """People of another workspace, bots and deactivated people do not teach, even when named."""
    people = [
        {"id": "U9STRANGER", "team": "T9OTHER", "token": "xoxp-stranger"},
        {"id": "U9BOT", "is_bot": True, "token": "xoxb-other"},
    ]
    await house.sandbox.seed(users=people, channels=[_joined("U9STRANGER", "U9BOT")])
    house.extra = {"MYNAH_STAFF": "U9STRANGER,U9BOT"}
    async with house.bot():
        answer = await house.asked(PORT, channel="C9ALL")
        for token in ("xoxp-stranger", "xoxb-other"):
            await house.sandbox.client(token).reactions_add(
                channel="C9ALL", timestamp=answer["ts"], name="white_check_mark"
            )
        await house.quiet()
    assert house.rows(Feedback) == []


def _joined(*users: str) -> dict[str, object]:
    return {"id": "C9ALL", "name": "all", "members": ["U0MYNAH", "U0ASKER", *users]}


async def test_memo_on_anothers_reply_teaches_nothing(house: House) -> None:
    """📝 counts on one's own reply alone."""
    async with house.bot():
        asked = await house.ask(PORT)
        await house.answer(asked)
        reply = await house.say("asker2", "I think it is 80.", thread_ts=asked)
        await house.react("staff", "memo", reply)
        await house.quiet()
    assert house.rows(Feedback) == []


async def test_persons_answer_is_joined(house: House) -> None:
    """✅ on a person's answer: their messages up to there, without questions asked back."""
    async with house.bot():
        asked = await house.say("asker", "The upload hangs at 99 %. What can I do?")
        await house.say("asker2", "Which version?", thread_ts=asked)
        added = await house.say("asker", "2.1", thread_ts=asked)
        one = await house.say("asker2", "Raise the proxy's time-out to 60 s,", thread_ts=asked)
        await house.say("staff2", "Same here, by the way.", thread_ts=asked)
        two = await house.say("asker2", "then restart the proxy.", thread_ts=asked)
        await house.say("asker2", "You are welcome!", thread_ts=asked)
        await house.react("staff", "white_check_mark", two)
        await house.quiet()
    assert live(house) == [
        (
            "The upload hangs at 99 %. What can I do?\n2.1",  # what they added before the answer
            "Raise the proxy's time-out to 60 s,\nthen restart the proxy.",
        )
    ]
    assert {row.ts for row in house.rows(ExampleSource)} == {asked, added, one, two}


async def test_reaction_on_a_reply_takes_its_turn_in_the_thread(house: House) -> None:
    """A reaction is handled in the lane of its thread, after what happened there before it."""
    async with house.bot():
        asked = await house.say("asker", "The upload hangs at 99 %. What can I do?")
        reply = await house.say("asker2", "Raise the time-out.", thread_ts=asked)
        await house.react("staff", "white_check_mark", reply)
        await house.quiet()
    assert [row.lane for row in house.rows(InboxEvent)] == [f"{HELP}:{asked}"]
    assert len(live(house)) == 1


async def test_own_answer_of_the_asker_is_refused_with_a_reason(house: House) -> None:
    """Who answers the own question gives no example, and the reason is kept."""
    async with house.bot():
        asked = await house.say("asker", "The upload hangs at 99 %. What can I do?")
        reply = await house.say("asker", "Solved it: raise the time-out.", thread_ts=asked)
        await house.react("staff", "white_check_mark", reply)
        await house.quiet()
    [example] = house.rows(Example)
    assert example.status == ExampleStatus.REFUSED
    assert example.reason == "the answer is by the person who asked"


async def test_approving_a_question_teaches_nothing(house: House) -> None:
    """✅ on a thread's first message, or on a message outside of threads, is no answer."""
    async with house.bot():
        asked = await house.say("asker", "The upload hangs at 99 %. What can I do?")
        await house.react("staff", "white_check_mark", asked)
        await house.quiet()
    assert house.rows(Feedback) == []


async def test_private_channel_is_walled_in(house: House) -> None:
    """What was approved in a private channel answers there and nowhere else."""
    house.vllm.script = lambda messages, model: "It listens on port 9443."
    async with house.bot():
        first = await house.asked(PORT, channel="C0PRIV")
        await house.react("staff", "white_check_mark", first["ts"], "C0PRIV")
        await house.quiet()
        assert mode(await house.asked(PORT)) == "closed_book"
        assert mode(await house.asked(PORT, channel="C0PRIV")) == "quoted"
    assert [row.scope for row in house.rows(Example)] == ["C0PRIV"]


async def test_widened_channel_is_not(house: House) -> None:
    """MYNAH_WIDEN_CHANNELS opens a private channel's answers to the workspace."""
    house.extra = {"MYNAH_WIDEN_CHANNELS": "C0PRIV"}
    house.vllm.script = lambda messages, model: "It listens on port 9443."
    async with house.bot():
        first = await house.asked(PORT, channel="C0PRIV")
        await house.react("staff", "white_check_mark", first["ts"], "C0PRIV")
        await house.quiet()
        assert mode(await house.asked(PORT)) == "quoted"


async def test_a_source_is_linked_for_who_may_read_it(house: House) -> None:
    """What a private channel approved for all is quoted for all; its link is for its members."""
    house.extra = {"MYNAH_WIDEN_CHANNELS": "C0PRIV"}
    house.vllm.script = lambda messages, model: "It listens on port 9443."
    async with house.bot():
        first = await house.asked(PORT, channel="C0PRIV")
        await house.react("staff", "white_check_mark", first["ts"], "C0PRIV")
        await house.quiet()
        member, other = await house.asked(PORT), await house.asked(PORT, who="asker2")
    assert mode(member) == mode(other) == "quoted"
    assert f"/archives/C0PRIV/p{first['ts'].replace('.', '')}" in footer(member)
    assert footer(other) == "v1 · sure · quoted, verified by <@U0STAFF>"


async def test_something_like_it_is_hinted_at_for_who_may_read_it(house: House) -> None:
    """An example that fits too badly for the prompt is linked above the receipt, without its words;
    whoever cannot read its channel sees nothing of it."""
    house.extra = {"MYNAH_WIDEN_CHANNELS": "C0PRIV"}
    house.vllm.script = lambda messages, model: "It listens on port 9443."
    async with house.bot():
        first = await house.asked(PORT, channel="C0PRIV")
        await house.react("staff", "white_check_mark", first["ts"], "C0PRIV")
        await house.quiet()
        house.vllm.script = lambda messages, model: "I do not know."
        far = "Who paid for the games console upstairs?"
        member, other = await house.asked(far), await house.asked(far, who="asker2")
    assert mode(member) == mode(other) == "closed_book"
    assert footer(member) == footer(other)
    [hint] = member["blocks"][1]["elements"]
    assert f"/archives/C0PRIV/p{first['ts'].replace('.', '')}" in hint["text"]
    assert hint["text"].startswith("A <https://")
    assert hint["text"].endswith("|similar question> was answered.")
    assert len(other["blocks"]) == len(member["blocks"]) - 1


@pytest.mark.parametrize("which", ["question", "correction"])
@pytest.mark.parametrize("how", ["edit", "delete"])
async def test_edit_and_delete_forget(house: House, which: str, how: str) -> None:
    """When a message that an example came from is edited or deleted, the example is gone."""
    async with house.bot():
        asked, reply = await corrected(house, PORT, "Port 9443, since version 2.")
        who, ts = ("asker", asked) if which == "question" else ("staff", reply)
        if how == "edit":
            await house.client(who).chat_update(channel=HELP, ts=ts, text="Never mind, all of you")
        else:
            await house.client(who).chat_delete(channel=HELP, ts=ts)
        await house.quiet()
        assert mode(await house.asked(PORT)) == "closed_book"
    [example] = house.rows(Example)
    assert (example.status, example.question, example.answer) == (ExampleStatus.REVOKED, "", "")
    assert any(row.action == "example.revoke" for row in house.rows(Audit))
    first = next(row for row in house.rows(Question) if row.ts == asked)
    assert (first.deleted_at is not None) == (which == "question" and how == "delete")


async def test_deleting_the_source_of_a_quote_forgets_what_came_of_it(house: House) -> None:
    """A quoted answer that was approved for another wording goes with the correction it quotes."""
    async with house.bot():
        _, reply = await corrected(house, PORT, "Port 9443, since version 2.")
        again = await house.asked("Which port does the console listen on now?")
        assert mode(again) == "quoted"
        await house.react("staff2", "white_check_mark", again["ts"])
        await house.quiet()
        assert len(live(house)) == 2
        await house.client("staff").chat_delete(channel=HELP, ts=reply)
        await house.quiet()
    assert live(house) == []


async def test_question_deleted_before_its_answer_gets_none(house: House) -> None:
    """A question that is deleted while the model writes is not answered."""
    house.vllm.delay_s = 1.0
    async with house.bot():
        asked = await house.ask(PORT)
        await until(lambda: bool(house.vllm.asked))
        await house.client("asker").chat_delete(channel=HELP, ts=asked)
        await house.quiet()
        await asyncio.sleep(1.2)
    assert house.rows(Answer) == []


async def test_feedback_delivered_three_times_counts_once(house: House) -> None:
    """A reaction whose acknowledgement is lost comes again and again, and is one feedback."""
    async with house.bot():
        first = await house.asked(PORT)
        await house.quiet()
        await house.sandbox.faults(duplicate=1, drop_ack=3, ack_s=0.3)
        await house.react("staff", "white_check_mark", first["ts"])
        await house.quiet()
    assert len(house.rows(Feedback)) == len(house.rows(Example)) == 1


async def test_removal_that_overtakes_counts(house: House) -> None:
    """When the removal is delivered before the reaction, nothing stays in memory."""
    async with house.bot():
        first = await house.asked(PORT)
        await house.quiet()
        await house.react("staff", "white_check_mark", first["ts"])
        await house.quiet()
        await house.unreact("staff", "white_check_mark", first["ts"])
        await house.quiet()
        house.write(_deliver_again)
        await house.quiet()
    assert live(house) == []
    assert [row.revoked_at is None for row in house.rows(Feedback)] == [False]


def _deliver_again(session: Session) -> None:
    """Put a late copy of the reaction into the inbox, under another event id."""
    from sqlmodel import select

    rows = session.exec(select(InboxEvent)).all()
    added = [row for row in rows if row.payload.get("event", {}).get("type") == "reaction_added"]
    old = added[-1]
    late = old.model_dump(include={"team_id", "kind", "lane", "payload"})
    session.add(InboxEvent(**late, event_id="Ev9LATE"))


async def test_words_that_changed_after_their_memo_teach_nothing(house: House) -> None:
    """📝 was for the words before: handled after an edit, or twice, it learns no new ones."""
    async with house.bot():
        ts = await house.ask("Which port?")
        await house.answer(ts)
        await house.quiet()
    reply = await house.say("staff", "It is port 9443.", thread_ts=ts)
    await house.react("staff", "memo", reply)
    await house.client("staff").chat_update(channel=HELP, ts=reply, text="It is port 1.")
    async with house.bot():
        await house.quiet()
        assert [row for row in house.rows(Feedback) if row.revoked_at is None] == []
        assert [row for row in house.rows(Example) if row.status is ExampleStatus.LIVE] == []
    assert house.failed() == []
