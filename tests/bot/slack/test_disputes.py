"""Staff who disagree: what they disagree on is held, and one card asks who is right."""

from __future__ import annotations

import pytest

from bot.slack import reviewing
from bot.store.schema import Answer, Example, ExampleStatus, Feedback
from tests.bot.slack import hands
from tests.bot.slack.house import BOT, HELP, House, Message

PORT = "Which port does the console listen on?"
ANSWER = "It listens on port 80."
RIGHT = "It listens on port 9443."
OPS = "C0OPS"


@pytest.fixture(autouse=True)
def reviewed(house: House) -> None:
    """What the model says, and where staff settle what they disagree on."""
    house.vllm.script = lambda messages, model: ANSWER
    house.extra = {"MYNAH_REVIEW_CHANNEL": OPS}


def statuses(house: House) -> dict[str, ExampleStatus]:
    """What became of each approved answer; a rejection approves none."""
    return {row.answer: row.status for row in house.rows(Example) if row.answer}


def standing(house: House) -> list[tuple[str, str, bool]]:
    """The ratings that count: who, what, and whether it decides."""
    rows = [row for row in house.rows(Feedback) if row.revoked_at is None]
    return [(row.user, row.kind.value, row.decides) for row in rows]


async def cards(house: House, channel: str = OPS) -> list[Message]:
    """The review cards."""
    found: list[Message] = await house.sandbox.messages(channel)
    return [one for one in found if one.get("user") == BOT and not one.get("ephemeral_to")]


async def disagree(house: House, how: str, channel: str = HELP) -> Message:
    """✅ by one, and ❌ or a correction by another; the answer's message."""
    first = await house.asked(PORT, channel=channel)
    await house.react("staff", "white_check_mark", first["ts"], channel)
    await house.quiet()
    if how == "reject":
        await house.react("staff2", "x", first["ts"], channel)
        await house.quiet()
    else:
        await hands.correct(house, "staff2", first["ts"], RIGHT, channel)
    return first


async def settle(house: House, who: str, action_id: str, channel: str = OPS) -> None:
    """Press a button of the newest card."""
    await hands.press(
        house, who, (await cards(house, channel))[-1]["ts"], action_id, channel=channel
    )
    await house.quiet()


@pytest.mark.parametrize("how", ["reject", "correct"])
async def test_what_is_disputed_is_held_and_one_card_asks(house: House, how: str) -> None:
    """Out of memory at once; the card says who said what, and links to the answer."""
    async with house.bot():
        first = await disagree(house, how)
        [card] = await cards(house)
        shown = " ".join(hands.texts(card))
        assert set(statuses(house).values()) == {ExampleStatus.HELD}
        again = await house.asked(PORT, who="asker2")
    assert again["metadata"]["event_payload"]["mode"] == "closed_book"
    opinion = "it is wrong" if how == "reject" else f"corrected it (wrong): “{RIGHT}”"
    for part in (PORT, ANSWER, "<@U0STAFF>: it is right", f"<@U0STAFF2>: {opinion}"):
        assert part in shown
    assert f"{HELP}/p{first['ts'].replace('.', '')}" in shown
    assert hands.buttons(card) == ["dispute_right", "dispute_wrong"]
    assert house.failed() == []


async def test_it_is_right_lets_the_approval_count(house: House) -> None:
    """The correction is taken back with its example, and the answer reads as it did."""
    async with house.bot():
        first = await disagree(house, "correct")
        await settle(house, "staff", "dispute_right")
        [card] = await cards(house)
        assert (await hands.said(house, first["ts"]))["text"] == ANSWER
        assert (await house.asked(PORT))["text"] == ANSWER
    assert statuses(house) == {ANSWER: ExampleStatus.LIVE, RIGHT: ExampleStatus.REVOKED}
    assert "<@U0STAFF> says that the answer is right" in card["text"]
    assert (hands.buttons(card), PORT in str(card)) == ([], False)
    assert standing(house) == [("U0STAFF", "approve", False), ("U0STAFF", "approve", True)]


async def test_it_is_wrong_revokes_the_approval(house: House) -> None:
    """The correction stands and is learned; the card says who settled it."""
    async with house.bot():
        first = await disagree(house, "correct")
        await settle(house, "staff2", "dispute_wrong")
        [card] = await cards(house)
        assert (await hands.said(house, first["ts"]))["text"] == RIGHT
        assert (await house.asked(PORT))["text"] == RIGHT
    assert statuses(house) == {ANSWER: ExampleStatus.REVOKED, RIGHT: ExampleStatus.LIVE}
    assert "<@U0STAFF2> says that the answer is wrong" in card["text"]
    assert standing(house) == [("U0STAFF2", "correct", False), ("U0STAFF2", "reject", True)]


@pytest.mark.parametrize("who", ["staff", "staff2"])
async def test_taking_a_rating_back_ends_it(house: House, who: str) -> None:
    """The hold ends when nobody disagrees any more, and the card says so."""
    async with house.bot():
        first = await disagree(house, "reject")
        await house.unreact(who, {"staff": "white_check_mark", "staff2": "x"}[who], first["ts"])
        await house.quiet()
        [card] = await cards(house)
    assert card["text"].startswith("*No longer disputed:*")
    assert hands.buttons(card) == []
    wanted = ExampleStatus.REVOKED if who == "staff" else ExampleStatus.LIVE
    assert statuses(house) == {ANSWER: wanted}


async def test_undoing_the_correction_ends_it(house: House) -> None:
    """What the correction had retired counts again."""
    async with house.bot():
        first = await disagree(house, "correct")
        await hands.press(house, "staff2", first["ts"], "undo_correction")
        await house.quiet()
        [card] = await cards(house)
    assert card["text"].startswith("*No longer disputed:*")
    assert statuses(house) == {ANSWER: ExampleStatus.LIVE, RIGHT: ExampleStatus.REVOKED}


async def test_disagreeing_anew_is_a_new_card(house: House) -> None:
    """A card that is over stays so: nobody would look at it again."""
    async with house.bot():
        first = await disagree(house, "reject")
        await house.unreact("staff2", "x", first["ts"])
        await house.quiet()
        await house.react("staff2", "x", first["ts"])
        await house.quiet()
        old, new = await cards(house)
        await settle(house, "staff", "dispute_right")
        await hands.press(house, "staff", old["ts"], "dispute_right")
    assert (hands.buttons(old), len(hands.buttons(new))) == ([], 2)
    assert statuses(house) == {ANSWER: ExampleStatus.LIVE}


async def test_a_third_opinion_is_written_on_the_same_card(house: House) -> None:
    """The card changes in place while it is open."""
    async with house.bot(MYNAH_STAFF="S0STAFF,U0ADMIN"):
        first = await disagree(house, "reject")
        await house.react("admin", "x", first["ts"])
        await house.quiet()
        [card] = await cards(house)
    assert "<@U0ADMIN>: it is wrong" in " ".join(hands.texts(card))


async def test_one_person_does_not_disagree_with_themselves(house: House) -> None:
    """A person's newest word counts: ✅ and then ❌ is no dispute."""
    async with house.bot():
        first = await house.asked(PORT)
        await house.react("staff", "white_check_mark", first["ts"])
        await house.quiet()
        await house.react("staff", "x", first["ts"])
        await house.quiet()
        assert await cards(house) == []


async def test_two_corrections_are_no_dispute(house: House) -> None:
    """The newer one stands, and nobody is asked."""
    async with house.bot():
        first = await house.asked(PORT)
        await hands.correct(house, "staff", first["ts"], "It is 9000.")
        await hands.correct(house, "staff2", first["ts"], RIGHT)
        assert await cards(house) == []
    assert statuses(house) == {"It is 9000.": ExampleStatus.RETIRED, RIGHT: ExampleStatus.LIVE}


async def test_rejecting_a_correction_is_a_dispute_with_who_corrected(house: House) -> None:
    """Who corrects says that the corrected answer is right; settled as wrong, it is undone."""
    async with house.bot():
        first = await house.asked(PORT)
        await hands.correct(house, "staff", first["ts"], RIGHT)
        await house.react("staff2", "x", first["ts"])
        await house.quiet()
        assert statuses(house) == {RIGHT: ExampleStatus.HELD}
        await settle(house, "staff2", "dispute_wrong")
        assert (await hands.said(house, first["ts"]))["text"] == ANSWER
    assert statuses(house) == {RIGHT: ExampleStatus.REVOKED}


@pytest.mark.parametrize("who", ["asker", "admin"])
async def test_only_staff_settle(house: House, who: str) -> None:
    """Others who see the card get a line, and nothing changes."""
    async with house.bot():
        await disagree(house, "reject")
        await settle(house, who, "dispute_right")
        assert await house.responses(OPS) == [reviewing.STAFF_ONLY]
    assert statuses(house) == {ANSWER: ExampleStatus.HELD}


async def test_a_second_press_finds_it_settled(house: House) -> None:
    """Two people press at the same moment, each delivered three times: the first one counts."""
    async with house.bot():
        await disagree(house, "reject")
        [card] = await cards(house)
        await house.sandbox.faults(duplicate=100)
        await hands.press(house, "staff", card["ts"], "dispute_right", channel=OPS)
        await _press_old_button(house, card)
        await house.quiet()
        responses = await house.responses(OPS)
    assert responses in ([], [reviewing.SETTLED])
    assert [row for row in standing(house) if row[2]] == [("U0STAFF", "approve", True)]


async def _press_old_button(house: House, card: Message) -> None:
    """The other one's client may still show the buttons; or not, and then it refuses."""
    await hands.press(house, "staff2", card["ts"], "dispute_wrong", channel=OPS)


async def test_a_private_answer_is_a_link_alone(house: House) -> None:
    """The review channel reads nothing of it; who cannot read it there cannot settle it."""
    third = {"id": "U0STAFF3", "name": "staff3", "token": "xoxp-staff3"}
    room = {"id": "C9REVIEW", "name": "review", "members": [BOT, "U0STAFF", "U0STAFF3"]}
    await house.sandbox.seed(users=[third], channels=[room])
    house.extra = {"MYNAH_REVIEW_CHANNEL": "C9REVIEW", "MYNAH_STAFF": "S0STAFF,U0STAFF3"}
    async with house.bot():
        first = await disagree(house, "correct", "C0PRIV")
        [card] = await cards(house, "C9REVIEW")
        said = str(card)
        await settle(house, "staff3", "dispute_right", "C9REVIEW")
        assert await house.responses("C9REVIEW") == [reviewing.UNREADABLE]
        assert set(statuses(house).values()) == {ExampleStatus.HELD}
        await settle(house, "staff", "dispute_right", "C9REVIEW")
    assert not any(words in said for words in (PORT, ANSWER, RIGHT))
    assert f"C0PRIV/p{first['ts'].replace('.', '')}" in said
    assert statuses(house)[ANSWER] is ExampleStatus.LIVE


async def test_deleting_the_question_ends_it_and_empties_the_card(house: House) -> None:
    """Nothing that was asked stays to be read."""
    async with house.bot():
        first = await disagree(house, "reject")
        await house.client("asker").chat_delete(channel=HELP, ts=first["thread_ts"])
        await house.quiet()
        [card] = await cards(house)
    assert PORT not in str(card)
    assert hands.buttons(card) == []
    left = {(row.question, row.answer, row.rejected, row.status) for row in house.rows(Example)}
    assert left == {("", "", None, ExampleStatus.REVOKED)}


async def test_without_a_review_channel_the_admin_channel_asks(house: House) -> None:
    """It is always asked somewhere, where admins can see it."""
    async with house.bot(MYNAH_REVIEW_CHANNEL=""):
        await disagree(house, "reject")
        assert len(await cards(house, "C0ADMIN")) == 1


async def test_a_dispute_is_held_until_it_is_settled_even_across_a_restart(house: House) -> None:
    """What is held is in the store, not in a process."""
    async with house.bot():
        await disagree(house, "correct")
    async with house.bot():
        await settle(house, "staff", "dispute_wrong")
    assert statuses(house) == {ANSWER: ExampleStatus.REVOKED, RIGHT: ExampleStatus.LIVE}
    assert len([row for row in house.rows(Answer) if row.replaced_at is None]) == 1
