"""Correcting an answer in place: by 📝, by the shortcut and by 👎, and taking that back."""

from __future__ import annotations

import signal

import pytest
from sqlmodel import Session, select

from bot.corrections import Corrected
from bot.slack import corrected, correcting
from bot.store import answers
from bot.store.schema import (
    Answer,
    AnswerMode,
    Audit,
    Example,
    ExampleStatus,
    Feedback,
    FeedbackKind,
    InboxEvent,
    OutboxMessage,
    Question,
    Status,
)
from tests.bot.slack import hands
from tests.bot.slack.house import BOT, HELP, House, kill, until

PORT = "Which port does the console listen on?"
WRONG = "It listens on port 80, over plain http."
RIGHT = "It listens on port 9443, over plain http."
NEWER = "It listens on port 9444, over https."


@pytest.fixture(autouse=True)
def answers_wrongly(house: House) -> None:
    """The model says what staff will correct."""
    house.vllm.script = lambda messages, model: WRONG


def live(house: House) -> list[tuple[str, str]]:
    """What memory holds."""
    rows = house.rows(Example)
    return [(row.question, row.answer) for row in rows if row.status is ExampleStatus.LIVE]


def current(house: House) -> list[tuple[str, AnswerMode]]:
    """The answers that stand."""
    return [(row.text, row.mode) for row in house.rows(Answer) if row.replaced_at is None]


async def memo(house: House, asked: str, right: str, who: str = "staff") -> str:
    """Correct with a reply and 📝; returns the reply's ts."""
    reply = await house.say(who, right, thread_ts=asked)
    await house.react(who, "memo", reply)
    await house.quiet()
    return reply


async def test_the_shortcut_corrects_in_place(house: House) -> None:
    """The one message reads right, says who corrected it, and what changed; and it is learned."""
    async with house.bot():
        first = await house.asked(PORT)
        await hands.shortcut(house, "staff", first["ts"])
        view = await hands.modal(house, "staff")
        assert hands.filled(view) == {"question": PORT, "answer": WRONG, "reason": None}
        await hands.submit(house, "staff", view, answer=RIGHT, reason="outdated")
        await house.quiet()
        message = await hands.said(house, first["ts"])
        quoted = await house.asked(PORT)
    assert message["text"] == RIGHT
    shown = hands.texts(message)
    assert "Corrected by <@U0STAFF> · it was outdated" in shown
    assert (" 80," in shown, " 9443," in shown) == (True, True)
    assert hands.buttons(message) == ["rate", "undo_correction"]
    assert quoted["text"] == RIGHT
    [given] = house.rows(Feedback)
    assert (given.kind, given.reason, given.correction) == (FeedbackKind.CORRECT, "outdated", RIGHT)
    [example] = house.rows(Example)
    assert (example.question, example.answer, example.rejected) == (PORT, RIGHT, WRONG)
    old, new, _ = house.rows(Answer)
    assert (new.mode, new.correction_id, new.ts) == (AnswerMode.CORRECTED, given.id, old.ts)
    assert given.answer_id == old.id
    assert house.failed() == []


async def test_contacts_of_the_house_stay_in_a_correction(house: House) -> None:
    """As in what is learned by a reaction."""
    async with house.bot(MYNAH_KEEP_CONTACTS="help@house.example"):
        first = await house.asked(PORT)
        await hands.shortcut(house, "staff", first["ts"])
        view = await hands.modal(house, "staff")
        said = "Write to help@house.example or joe@house.example."
        await hands.submit(house, "staff", view, answer=said, reason="outdated")
        await house.quiet()
    assert live(house) == [(PORT, "Write to help@house.example or [email].")]


async def test_an_edited_question_is_the_one_that_is_learned(house: House) -> None:
    """Staff may word the question better than who asked it."""
    async with house.bot():
        first = await house.asked("port???")
        await hands.correct(house, "staff", first["ts"], RIGHT, question=PORT)
    assert live(house) == [(PORT, RIGHT)]


async def test_memo_corrects_in_place_and_undoing_brings_back(house: House) -> None:
    """📝 changes the answer's message; taking it away changes it back, word for word."""
    async with house.bot():
        first = await house.asked(PORT)
        reply = await memo(house, first["thread_ts"], RIGHT)
        assert (await hands.said(house, first["ts"]))["text"] == RIGHT
        await house.unreact("staff", "memo", reply)
        await house.quiet()
        back = await hands.said(house, first["ts"])
    assert hands.texts(back) == hands.texts(first)
    assert (back["text"], hands.buttons(back)) == (WRONG, ["rate"])
    assert live(house) == []
    assert current(house) == [(WRONG, AnswerMode.CLOSED_BOOK)]


async def test_deleting_the_correcting_reply_undoes_it(house: House) -> None:
    """Its words are gone from the answer, from memory, and from what is kept of the answer."""
    async with house.bot():
        first = await house.asked(PORT)
        reply = await memo(house, first["thread_ts"], RIGHT)
        await house.client("staff").chat_delete(channel=HELP, ts=reply)
        await house.quiet()
        assert (await hands.said(house, first["ts"]))["text"] == WRONG
    assert live(house) == []
    assert [row.text for row in house.rows(Answer)] == [WRONG, ""]


@pytest.mark.parametrize("who", ["staff2", "admin"])
async def test_undo_is_for_staff_and_admins(house: House, who: str) -> None:
    """Any of them may, once; the asker may not."""
    async with house.bot():
        first = await house.asked(PORT)
        await hands.correct(house, "staff", first["ts"], RIGHT)
        await hands.press(house, "asker", first["ts"], "undo_correction")
        await house.quiet()
        assert current(house) == [(RIGHT, AnswerMode.CORRECTED)]
        await hands.press(house, who, first["ts"], "undo_correction")
        await house.quiet()
        back = await hands.said(house, first["ts"])
        assert correcting.STAFF_ONLY in await house.responses()
    assert (back["text"], hands.buttons(back)) == (WRONG, ["rate"])
    assert live(house) == []
    [given] = house.rows(Feedback)
    assert given.revoked_at is not None
    undone = [row for row in house.rows(Audit) if row.action == "feedback.revoke"]
    assert [row.actor for row in undone] == [f"U0{who.upper()}"]


async def test_the_newer_correction_stands_and_undo_goes_back_one(house: House) -> None:
    """Two people, two corrections: undoing the newer one shows, and teaches, the one before."""
    async with house.bot():
        first = await house.asked(PORT)
        await memo(house, first["thread_ts"], RIGHT)
        await hands.correct(house, "staff2", first["ts"], NEWER)
        assert current(house) == [(NEWER, AnswerMode.CORRECTED)]
        assert live(house) == [(PORT, NEWER)]
        assert house.rows(Example)[1].rejected == WRONG  # the bot's own, not a colleague's
        await hands.press(house, "staff2", first["ts"], "undo_correction")
        await house.quiet()
        message = await hands.said(house, first["ts"])
        assert "Corrected by <@U0STAFF>" in hands.texts(message)
        assert live(house) == [(PORT, RIGHT)]
        await hands.press(house, "staff2", first["ts"], "undo_correction")
        await house.quiet()
        assert (await hands.said(house, first["ts"]))["text"] == WRONG
    assert live(house) == []


async def test_taking_back_an_older_correction_changes_nothing_that_is_shown(house: House) -> None:
    """The newer one was not taken back, so it stands; behind it is the bot's own answer."""
    async with house.bot():
        first = await house.asked(PORT)
        reply = await memo(house, first["thread_ts"], RIGHT)
        await hands.correct(house, "staff2", first["ts"], NEWER)
        await house.unreact("staff", "memo", reply)
        await house.quiet()
        assert current(house) == [(NEWER, AnswerMode.CORRECTED)]
        await hands.press(house, "staff2", first["ts"], "undo_correction")
        await house.quiet()
    assert current(house) == [(WRONG, AnswerMode.CLOSED_BOOK)]


async def test_approving_a_corrected_answer_teaches_the_corrected_words(house: House) -> None:
    """✅ on the message means what it says now; the old words are never learned."""
    async with house.bot():
        first = await house.asked(PORT)
        await memo(house, first["thread_ts"], RIGHT)
        await house.react("staff2", "white_check_mark", first["ts"])
        await house.react("staff", "white_check_mark", first["ts"])  # agreeing takes nothing back
        await house.quiet()
    assert live(house) == [(PORT, RIGHT)] * 3
    assert current(house) == [(RIGHT, AnswerMode.CORRECTED)]


async def test_deleting_the_correction_forgets_its_approvals(house: House) -> None:
    """Who approved the corrected words approved the reply's: with it they go."""
    async with house.bot():
        first = await house.asked(PORT)
        reply = await memo(house, first["thread_ts"], RIGHT)
        await house.react("staff2", "white_check_mark", first["ts"])
        await house.quiet()
        await house.client("staff").chat_delete(channel=HELP, ts=reply)
        await house.quiet()
    assert live(house) == []


async def test_an_edited_question_ends_its_corrections(house: House) -> None:
    """The new answer stands; taking the old correction back then changes nothing."""
    other = "Which host does the console run on?"
    async with house.bot():
        asked = await house.ask(PORT)
        first = await house.answer(asked)
        reply = await memo(house, asked, RIGHT)
        house.vllm.script = lambda messages, model: "It runs on console.example.org."
        await house.client("asker").chat_update(channel=HELP, ts=asked, text=f"<@{BOT}> {other}")
        await house.quiet()
        await house.unreact("staff", "memo", reply)
        await house.quiet()
        message = await hands.said(house, first["ts"])
    assert message["text"] == "It runs on console.example.org."
    assert current(house) == [("It runs on console.example.org.", AnswerMode.CLOSED_BOOK)]
    assert live(house) == []


async def test_a_form_for_words_that_were_edited_meanwhile_is_refused(house: House) -> None:
    """What staff wrote answers another question: it is not shown, not learned, and they hear so."""
    async with house.bot():
        asked = await house.ask(PORT)
        first = await house.answer(asked)
        await hands.shortcut(house, "staff", first["ts"])
        view = await hands.modal(house, "staff")
        await house.client("asker").chat_update(
            channel=HELP, ts=asked, text=f"<@{BOT}> Which host?"
        )
        await house.quiet()
        await hands.submit(house, "staff", view, answer=RIGHT, reason="wrong")
        await house.quiet()
        assert await house.responses() == [correcting.CHANGED]
    assert house.rows(Feedback) == []


async def test_the_same_correction_again_changes_nothing(house: House) -> None:
    """Delivered three times, and written once more by a colleague: one rating, one change."""
    async with house.bot():
        first = await house.asked(PORT)
        await hands.shortcut(house, "staff", first["ts"])
        view = await hands.modal(house, "staff")
        await house.sandbox.faults(duplicate=100)
        await hands.submit(house, "staff", view, answer=RIGHT, reason="wrong")
        await house.quiet()
        await house.sandbox.faults(duplicate=0)
        await hands.correct(house, "staff2", first["ts"], RIGHT)
        assert await house.responses() == [correcting.SAME]
    assert len(house.rows(Feedback)) == len(house.rows(Example)) == 1
    changes = [row for row in house.rows(OutboxMessage) if row.follows_id is not None]
    assert len(changes) == 1


@pytest.mark.parametrize("who", ["asker", "guest", "admin"])
async def test_only_staff_correct(house: House, who: str) -> None:
    """Others get a friendly line, and no form; a guest does so even when named as staff."""
    house.extra = {"MYNAH_STAFF": "S0STAFF,U0GUEST"}
    async with house.bot():
        first = await house.asked(PORT)
        await hands.shortcut(house, who, first["ts"])
        await house.quiet()
        assert await house.responses() == [correcting.STAFF_ONLY]
        assert await hands.modals(house) == {}
    assert house.rows(Feedback) == []


async def test_a_role_that_was_lost_while_the_form_was_open_counts(house: House) -> None:
    """Who submits is checked again: the form was opened by one who was staff then."""
    async with house.bot():
        first = await house.asked(PORT)
        await hands.shortcut(house, "staff", first["ts"])
        view = await hands.modal(house, "staff")
    async with house.bot(MYNAH_STAFF="U0STAFF2"):
        await hands.submit(house, "staff", view, answer=RIGHT, reason="wrong")
        await house.quiet()
        assert await house.responses() == [correcting.STAFF_ONLY]
    assert house.rows(Feedback) == []


async def test_the_shortcut_on_something_else_says_so(house: House) -> None:
    """A person's message is no answer of the bot's."""
    async with house.bot():
        first = await house.asked(PORT)
        await hands.shortcut(house, "staff", first["thread_ts"])
        await house.quiet()
        assert await house.responses() == [correcting.NO_ANSWER]


async def test_a_form_that_could_not_open_is_a_line(house: House) -> None:
    """When the trigger has died in the queue, the person hears that alone."""
    async with house.bot():
        first = await house.asked(PORT)
        await house.quiet()
    # Nobody is there to open it: the press waits at Slack, and its trigger dies.
    house.write(lambda session: _press_from_the_past(session, first["ts"], house.sandbox.url))
    async with house.bot():
        await house.quiet()
    row = house.rows(OutboxMessage)[-1]
    assert row.payload["text"] == correcting.TOO_LATE


def _press_from_the_past(session: Session, ts: str, url: str) -> None:
    payload = {
        "type": "message_action", "callback_id": "correct_answer", "trigger_id": "1.2.3",
        "user": {"id": "U0STAFF"}, "channel": {"id": HELP}, "message": {"ts": ts, "user": BOT},
        "response_url": f"{url}/gone",
    }  # fmt: skip
    session.add(
        InboxEvent(
            team_id="T0MYNAH", event_id="1.2.3", kind="shortcut", lane="shortcut:1.2.3",
            payload=payload,
        )
    )  # fmt: skip


async def test_a_private_answer_is_corrected_for_its_channel_alone(house: House) -> None:
    """The modal keeps the walls: what was corrected in private is used there."""
    async with house.bot():
        first = await house.asked(PORT, channel="C0PRIV")
        await hands.correct(house, "staff", first["ts"], RIGHT, "C0PRIV")
        assert (await hands.said(house, first["ts"], "C0PRIV"))["text"] == RIGHT
    assert [row.scope for row in house.rows(Example)] == ["C0PRIV"]


async def test_an_answer_that_never_reached_slack_is_said_corrected(house: House) -> None:
    """Where there is no message to change, the corrected answer is said as a new one."""
    async with house.bot():
        asked = await house.ask(PORT)
        first = await house.answer(asked)
        await house.quiet()
        reply = await house.say("staff", RIGHT, thread_ts=asked)
        house.write(_fail_first)
        await house.react("staff", "memo", reply)
        await house.quiet()
        found = await house.answers(asked)
    assert [one["text"] for one in found] == [first["text"], RIGHT]
    assert house.rows(Answer)[1].ts == found[1]["ts"]


def _fail_first(session: Session) -> None:
    [question] = session.exec(select(Question)).all()
    said = answers.shown(session, question)
    assert said is not None
    said.status = Status.FAILED
    session.add(said)


@pytest.mark.parametrize("how", ["correct", "undo"])
async def test_a_kill_between_any_two_steps_loses_nothing(house: House, how: str) -> None:
    """Killed right after a correction (an undo) was taken in, the next bot finishes it, once."""
    child = await house.process()
    first = await house.asked(PORT)
    await house.quiet()
    reply = await house.say("staff", RIGHT, thread_ts=first["thread_ts"])
    if how == "undo":
        await house.react("staff", "memo", reply)
        await house.quiet()
    before = len(house.rows(InboxEvent))
    await (house.react if how == "correct" else house.unreact)("staff", "memo", reply)
    await until(lambda: len(house.rows(InboxEvent)) > before)
    await kill(child, signal.SIGKILL)
    child = await house.process()
    await house.quiet()
    await kill(child)
    wanted = RIGHT if how == "correct" else WRONG
    assert (await hands.said(house, first["ts"]))["text"] == wanted
    assert len(house.rows(Feedback)) == 1
    assert len(house.rows(Answer)) == 2
    assert [text for text, _ in current(house)] == [wanted]


def test_the_difference_is_short_and_literal() -> None:
    """Word by word; long texts keep what changed, with a little around it."""
    assert corrected.diff("port 80 now", "port 9443 now") == [
        ("kept", "port"), ("gone", " 80"), ("new", " 9443"), ("kept", " now"),
    ]  # fmt: skip
    long = " ".join(f"word{number}" for number in range(200))
    shown = corrected.diff(f"{long} old {long}", f"{long} <!channel> {long}")
    assert ("new", " <!channel>") in shown
    assert sum(len(words) for _, words in shown) < 200
    whole = corrected.diff("all of it", "another thing " * 200)
    assert sum(len(words) for _, words in whole) <= corrected.DIFF_CHARS + 20


def test_a_corrected_message_cannot_notify() -> None:
    """What staff wrote is shown as text; in rich text it is literal anyway."""
    [message] = corrected.messages(Corrected(1, "old", "Ask <!channel> & <@U1>", "U0STAFF", "tone"))
    assert message["text"] == "Ask &lt;!channel&gt; &amp; &lt;@U1&gt;"
    assert "<!" not in message["blocks"][0]["text"]
    quote = next(block for block in message["blocks"] if block["type"] == "rich_text")
    assert {part["type"] for part in quote["elements"][0]["elements"]} == {"text"}


async def test_a_long_answer_gives_way_to_a_short_one_and_comes_back_whole(house: House) -> None:
    """Its further messages are deleted when it is corrected, and said again when that is undone.

    The thumbs stand under the last one: they are of the same answer.
    """
    long = "\n\n".join(f"Step {number}: " + "turn the key. " * 40 for number in range(12))
    house.vllm.script = lambda messages, model: long
    async with house.bot(MYNAH_MAX_TOKENS="4096"):
        asked = await house.ask(PORT)
        last = await house.answer(asked, count=2)
        whole = [one["text"] for one in await house.answers(asked)]
        await hands.press(house, "staff", last["ts"], "rate", "bad")
        view = await hands.modal(house, "staff")
        assert hands.filled(view)["answer"] is None  # too long to be edited there
        await hands.submit(house, "staff", view, answer=RIGHT, reason="tone")
        await house.quiet()
        assert [one["text"] for one in await house.answers(asked)] == [RIGHT]
        [first] = await house.answers(asked)
        for undo in range(2):
            await hands.press(house, "staff", first["ts"], "undo_correction")
            await house.quiet()
            assert [one["text"] for one in await house.answers(asked)] == whole
            if undo == 0:
                await hands.correct(house, "staff", first["ts"], RIGHT)
    assert house.failed() == []
