"""👍 and 👎 under answers: staff teach with them, whoever asked says whether it helped."""

from __future__ import annotations

import pytest
from sqlmodel import Session, select

from bot.slack import delivery, teaching, thumbs
from bot.slack.workspace import Identity
from bot.store.schema import Example, ExampleStatus, Feedback, FeedbackKind, InboxEvent
from tests.bot.slack import hands
from tests.bot.slack.house import BOT, HELP, House

PORT = "Which port does the console listen on?"
ANSWER = "It listens on port 9443."
HOST = "Which host does the console run on?"


@pytest.fixture(autouse=True)
def answers(house: House) -> None:
    """What the model says."""
    house.vllm.script = lambda messages, model: ANSWER


def kinds(house: House) -> list[FeedbackKind]:
    """The ratings that stand."""
    return [row.kind for row in house.rows(Feedback) if row.revoked_at is None]


def live(house: House) -> list[tuple[str, str]]:
    """What memory holds."""
    rows = house.rows(Example)
    return [(row.question, row.answer) for row in rows if row.status is ExampleStatus.LIVE]


async def test_a_thumb_up_by_staff_approves(house: House) -> None:
    """As ✅ does: the same once more changes nothing, and taking the ✅ away takes it back."""
    async with house.bot():
        first = await house.asked(PORT)
        await hands.press(house, "staff", first["ts"], "rate", "good")
        await house.quiet()
        assert live(house) == [(PORT, ANSWER)]
        await house.react("staff", "white_check_mark", first["ts"])
        await house.quiet()
        assert len(house.rows(Feedback)) == 1
        await house.unreact("staff", "white_check_mark", first["ts"])
        await house.quiet()
    assert live(house) == []


async def test_a_thumb_down_by_staff_rejects_and_opens_the_correction(house: House) -> None:
    """The rejection counts at once, and teaches what not to say; what they submit takes its
    place."""
    async with house.bot():
        first = await house.asked(PORT)
        await hands.press(house, "staff", first["ts"], "rate", "bad")
        view = await hands.modal(house, "staff")
        await house.quiet()
        assert kinds(house) == [FeedbackKind.REJECT]
        [wrong] = house.rows(Example)
        assert (wrong.status, wrong.question, wrong.answer, wrong.rejected) == (
            ExampleStatus.REJECTED, PORT, "", ANSWER,
        )  # fmt: skip
        await hands.submit(house, "staff", view, answer="It is 9444.", reason="wrong")
        await house.quiet()
        assert (await hands.said(house, first["ts"]))["text"] == "It is 9444."
    assert kinds(house) == [FeedbackKind.CORRECT]
    assert live(house) == [(PORT, "It is 9444.")]
    statuses = [row.status for row in house.rows(Example)]
    assert statuses == [ExampleStatus.REVOKED, ExampleStatus.LIVE]


async def test_a_thumb_down_after_a_thumb_up_takes_it_back(house: House) -> None:
    """A person's newest word counts, submitted or not."""
    async with house.bot():
        first = await house.asked(PORT)
        await hands.press(house, "staff", first["ts"], "rate", "good")
        await house.quiet()
        await hands.press(house, "staff", first["ts"], "rate", "bad")
        await house.quiet()
    assert kinds(house) == [FeedbackKind.REJECT]
    assert live(house) == []


async def test_a_press_delivered_again_and_handled_again_is_one_rating(house: House) -> None:
    """Also when the first handling is repeated after what came of it: the newest word stands."""
    async with house.bot():
        first = await house.asked(PORT)
        await house.sandbox.faults(duplicate=100)
        await hands.press(house, "staff", first["ts"], "rate", "bad")
        view = await hands.modal(house, "staff")
        await hands.submit(house, "staff", view, answer="It is 9444.", reason="wrong")
        await house.quiet()
        house.write(_handle_again)
        await house.quiet()
    assert kinds(house) == [FeedbackKind.CORRECT]
    assert len(house.rows(Feedback)) == 2


def _handle_again(session: Session) -> None:
    """As after a crash before the press was marked as handled."""
    rows = session.exec(select(InboxEvent).where(InboxEvent.kind == "action"))
    press = next(row for row in rows if row.lane.startswith("open:"))
    press.status = type(press.status).WAITING
    session.add(press)


async def test_whoever_asked_says_whether_it_helped(house: House) -> None:
    """A weak signal: it is recorded, thanked for, and teaches nothing."""
    async with house.bot():
        first = await house.asked(PORT)
        await hands.press(house, "asker", first["ts"], "rate", "good")
        await house.quiet()
        assert kinds(house) == [FeedbackKind.HELPFUL]
        await hands.press(house, "asker", first["ts"], "rate", "bad")
        await house.quiet()
        assert await house.responses() == [thumbs.THANKS] * 2
        assert await hands.modals(house) == {}
    assert kinds(house) == [FeedbackKind.UNHELPFUL]
    assert house.rows(Example) == []


@pytest.mark.parametrize("value", ["good", "bad"])
@pytest.mark.parametrize("who", ["asker2", "guest", "admin"])
async def test_a_thumb_by_anybody_else_is_passed_over(house: House, who: str, value: str) -> None:
    """They hear whose thumbs count; a guest's does not, even when named as staff."""
    house.extra = {"MYNAH_STAFF": "S0STAFF,U0GUEST"}
    async with house.bot():
        first = await house.asked(PORT)
        await hands.press(house, who, first["ts"], "rate", value)
        await house.quiet()
        assert await house.responses() == [thumbs.NOT_YOURS]
    assert house.rows(Feedback) == []


async def test_a_guest_and_a_stranger_may_say_whether_their_answer_helped(house: House) -> None:
    """They asked, so it is heard; it teaches nothing, even when they are named as staff."""
    stranger = {"id": "U9STRANGER", "team": "T9OTHER", "token": "xoxp-stranger"}
    channel = {"id": "C9ALL", "name": "all", "members": [BOT, "U0GUEST", "U9STRANGER"]}
    await house.sandbox.seed(users=[stranger], channels=[channel])
    house.extra = {"MYNAH_STAFF": "U9STRANGER,U0GUEST"}
    async with house.bot():
        for who in ("guest", "stranger"):
            answer = await house.asked(PORT, who=who, channel="C9ALL")
            await hands.press(house, who, answer["ts"], "rate", "good", "C9ALL")
            await house.quiet()
    assert kinds(house) == [FeedbackKind.HELPFUL] * 2
    assert house.rows(Example) == []


async def test_a_rating_of_words_that_were_replaced_does_not_count(house: House) -> None:
    """✅ and 👍 given before an edit's new answer was shown, and handled after it: they meant the
    old words. Given anew, they count."""
    async with house.bot():
        asked = await house.ask(PORT)
        first = await house.answer(asked)
        await house.quiet()
        await house.react("staff", "white_check_mark", first["ts"])
        await hands.press(house, "staff2", first["ts"], "rate", "good")
        await house.quiet()
        house.vllm.script = lambda messages, model: "It runs on console.example.org."
        await house.client("asker").chat_update(channel=HELP, ts=asked, text=f"<@{BOT}> {HOST}")
        await house.quiet()
        assert live(house) == []
        house.write(_deliver_late)
        await house.quiet()
        assert (live(house), kinds(house)) == ([], [])
        assert set(await house.responses()) == {teaching.UNREAD, thumbs.CHANGED}
        await hands.press(house, "staff2", first["ts"], "rate", "good")
        await house.quiet()
    assert live(house) == [(HOST, "It runs on console.example.org.")]


def _deliver_late(session: Session) -> None:
    """What was done before the edit is delivered once more, as if only now."""
    for row in list(session.exec(select(InboxEvent))):
        kind = row.payload.get("event", {}).get("type")
        if kind == "reaction_added" or row.kind == "action":
            late = row.model_dump(include={"team_id", "kind", "lane", "payload"})
            session.add(InboxEvent(**late, event_id=f"{row.event_id}:late"))


def test_a_thumb_down_has_no_time_to_wait() -> None:
    """It takes a lane of its own, because it opens a modal; 👍 takes its thread's."""

    def lane(value: str) -> str:
        body = {
            "type": "block_actions", "trigger_id": "1.2", "channel": {"id": HELP},
            "container": {"message_ts": "3.4", "thread_ts": "3.0"},
            "actions": [{"action_id": "rate", "value": value}],
        }  # fmt: skip
        found = delivery.read(body, Identity("T0MYNAH", BOT, "B0MYNAH"))
        assert found is not None
        return found.lane

    assert (lane("bad"), lane("good")) == ("open:1.2", f"{HELP}:3.0")
