"""A day with Mynah, from the first question to the last: what people do, and what they see.

The real bot against the local Slack. It reads top to bottom; each step goes on where the one
before it ended.
"""

from __future__ import annotations

import pytest

from bot.cases import PROMISE
from bot.slack import board, home_view, thumbs
from bot.store.schema import Audit, Example, ExampleStatus, Feedback, FeedbackKind
from tests.bot.slack import hands
from tests.bot.slack.house import HELP, House, Message
from tests.bot.slack.test_cases import case, is_card
from tests.bot.slack.test_home import home, press, words
from tests.bot.slack.test_teaching import footer, mode

PORT = "Which port does the console listen on?"
RIGHT = "It listens on port 9443, over https."
NEWER = "It listens on port 9444, over https."


@pytest.fixture(autouse=True)
def people(house: House) -> None:
    """Staff are on call, and settle what they disagree on in #ops."""
    house.extra = {"MYNAH_ONCALL": "S0STAFF", "MYNAH_REVIEW_CHANNEL": "C0OPS"}


async def test_a_day(house: House) -> None:
    """Asked, unsure, answered by people, learned, quoted, corrected, undone, looked at, forgotten:
    and after all of that nothing was given up."""
    async with house.bot():
        question = await nobody_has_taught_it_yet(house)
        by_staff = await people_answer(house, question)
        quoted = await it_is_known_from_then_on(house, by_staff)
        await staff_correct_it_in_place(house, quoted)
        await and_take_that_back(house, quoted)
        await the_asker_says_that_it_helped(house, quoted)
        await staff_look_at_what_waits(house)
        await an_admin_pauses_and_resumes(house)
        await what_is_deleted_is_forgotten(house, question, by_staff)
    assert house.failed() == []


async def nobody_has_taught_it_yet(house: House) -> str:
    """The model would babble: Mynah says that it is not sure, and pings the people on call."""
    house.vllm.script = lambda messages, model: "The console listens on the moon."
    house.vllm.logprob = -3.0
    question = await house.ask(PORT)
    said, card = await thread(house, question)
    assert said["text"] == PROMISE
    assert "<!subteam^S0STAFF>" in card["text"]
    assert hands.buttons(card) == ["case_claim", "case_resolve"]
    return question


async def people_answer(house: House, question: str) -> str:
    """Somebody claims the case and answers; a colleague's ✅ settles it and teaches the answer."""
    _, card = await thread(house, question)
    await hands.press(house, "staff2", card["ts"], "case_claim", str(case(house).id))
    _, card = await thread(house, question)
    assert ":raising_hand: Claimed by <@U0STAFF2>" in hands.texts(card)
    answer = await house.say("staff2", RIGHT, thread_ts=question)
    await house.react("staff", "white_check_mark", answer)
    _, card = await thread(house, question)
    assert ":white_check_mark: Resolved by <@U0STAFF>" in hands.texts(card)
    assert live(house) == [RIGHT]
    return answer


async def it_is_known_from_then_on(house: House, by_staff: str) -> Message:
    """The next one who asks reads it at once, word for word, with who verified it and where."""
    quoted = await house.asked(PORT, who="asker2")
    assert (quoted["text"], mode(quoted)) == (RIGHT, "quoted")
    assert "sure · quoted, verified by <@U0STAFF>" in footer(quoted)
    assert f"/archives/{HELP}/p{by_staff.replace('.', '')}" in footer(quoted)
    return quoted


async def staff_correct_it_in_place(house: House, quoted: Message) -> None:
    """👎 opens the form; what is filled in takes the answer's place, and Mynah says so there."""
    await hands.press(house, "staff2", quoted["ts"], "rate", "bad")
    form = await hands.modal(house, "staff2")
    assert hands.filled(form) == {"question": PORT, "answer": RIGHT, "reason": None}
    await hands.submit(house, "staff2", form, answer=NEWER, reason="outdated")
    [corrected] = await thread(house, quoted["thread_ts"])
    assert (corrected["ts"], corrected["text"]) == (quoted["ts"], NEWER)
    assert "Corrected by <@U0STAFF2> · it was outdated" in hands.texts(corrected)
    assert live(house) == [NEWER]
    assert house.rows(Feedback)[-1].reason == "outdated"


async def and_take_that_back(house: House, quoted: Message) -> None:
    """It was right after all: Undo brings the answer back, on the page and in memory."""
    await hands.press(house, "staff", quoted["ts"], "undo_correction")
    [back] = await thread(house, quoted["thread_ts"])
    assert (back["text"], footer(back)) == (RIGHT, footer(quoted))
    assert live(house) == [RIGHT]


async def the_asker_says_that_it_helped(house: House, quoted: Message) -> None:
    """They are thanked; it is noted, and it is nobody's approval."""
    await hands.press(house, "asker2", quoted["ts"], "rate", "good")
    await house.quiet()
    assert (await house.responses())[-1] == thumbs.THANKS
    assert house.rows(Feedback)[-1].kind is FeedbackKind.HELPFUL
    assert live(house) == [RIGHT]


async def staff_look_at_what_waits(house: House) -> None:
    """The quoted answer waits for their word on the Home tab; one press, and nothing waits."""
    tab = await home(house, "staff")
    assert PORT in words(tab)
    assert "quoted · sure" in words(tab)
    tab = await press(house, "staff", tab, home_view.RIGHT)
    assert "Noted as right." in words(tab)
    assert "Nothing waits for you" in words(tab)


async def an_admin_pauses_and_resumes(house: House) -> None:
    """The admin's tab tells how Mynah is doing; its levers are told to the other admins, too."""
    tab = await home(house, "admin")
    assert "*Answers:* 1 in 7 days" in words(tab)
    tab = await press(house, "admin", tab, board.PAUSE)
    assert "paused by <@U0ADMIN>" in words(tab)
    tab = await press(house, "admin", tab, board.RESUME)
    assert "paused by" not in words(tab)
    told = [one["text"] for one in await house.sandbox.messages("C0ADMIN")]
    assert [line.split(":")[0] for line in told] == [
        "<@U0ADMIN> paused Mynah", "<@U0ADMIN> resumed Mynah.",
    ]  # fmt: skip
    deeds = [(row.actor, row.action) for row in house.rows(Audit)[-2:]]
    assert deeds == [("U0ADMIN", "team.pause"), ("U0ADMIN", "team.resume")]


async def what_is_deleted_is_forgotten(house: House, question: str, by_staff: str) -> None:
    """A question goes, and with it Mynah's words, the card, and what was learned from it; what was
    approved for somebody else's question goes when the answer that it quoted is deleted."""
    assert live(house) == [RIGHT, RIGHT]
    await house.client("asker").chat_delete(channel=HELP, ts=question)
    assert await thread(house, question) == []
    assert live(house) == [RIGHT]
    await house.client("staff2").chat_delete(channel=HELP, ts=by_staff)
    await house.quiet()
    assert live(house) == []
    house.vllm.logprob = -0.25
    again = await house.asked(PORT, who="asker2")
    assert mode(again) == "closed_book"


async def thread(house: House, ts: str) -> list[Message]:
    """What Mynah says in a thread when all is quiet; the card of a case last."""
    await house.quiet()
    there = [one for one in await house.sandbox.messages() if one.get("thread_ts") == ts]
    said = [one for one in there if one["user"] == "U0MYNAH" and not one.get("deleted")]
    return sorted((one for one in said if not one.get("ephemeral_to")), key=is_card)


def live(house: House) -> list[str]:
    """What memory answers."""
    rows = [row for row in house.rows(Example) if row.status is ExampleStatus.LIVE]
    return [row.answer for row in rows]
