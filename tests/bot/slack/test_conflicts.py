"""Answers that contradict each other: one card shows what was replaced, and one press undoes it."""

from __future__ import annotations

import pytest

from bot.slack import conflict_card, conflicting
from bot.store.schema import Conflict, ConflictStatus, Example, ExampleStatus
from tests.bot.slack import hands
from tests.bot.slack.house import BOT, HELP, House, Message

PORT = "Which port does the web page use?"
PORT_TOO = "please tell me: which port does the web page use?"
OPS = "C0OPS"
OLD, NEW = "It listens on port 80.", "It listens on port 9443."


@pytest.fixture(autouse=True)
def reviewed(house: House) -> None:
    """Where staff settle what contradicts itself."""
    house.extra = {"MYNAH_REVIEW_CHANNEL": OPS, "MYNAH_QUOTE": "off"}


def statuses(house: House) -> dict[str, ExampleStatus]:
    """What became of each approved answer."""
    return {row.answer: row.status for row in house.rows(Example)}


async def cards(house: House) -> list[Message]:
    """The review cards."""
    found: list[Message] = await house.sandbox.messages(OPS)
    return [one for one in found if one.get("user") == BOT and not one.get("ephemeral_to")]


async def approve(house: House, question: str, answer: str, channel: str = HELP) -> Message:
    """Have the bot answer so, and approve it as staff."""
    house.vllm.script = lambda messages, model: answer
    said = await house.asked(question, channel=channel)
    await house.react("staff", "white_check_mark", said["ts"], channel)
    await house.quiet()
    return said


async def contradict(house: House, channel: str = HELP) -> tuple[Message, Message]:
    """Two answers to one question in other words; the messages with them."""
    return await approve(house, PORT, OLD, channel), await approve(house, PORT_TOO, NEW, channel)


async def press(house: House, who: str, action_id: str) -> None:
    """Press a button of the newest card."""
    await hands.press(house, who, (await cards(house))[-1]["ts"], action_id, channel=OPS)
    await house.quiet()


async def test_a_card_shows_what_was_replaced_and_keeps_both(house: House) -> None:
    """Both answers are on it, with who said so; "Keep both" puts the older one back."""
    async with house.bot():
        await contradict(house)
        assert statuses(house) == {OLD: ExampleStatus.RETIRED, NEW: ExampleStatus.LIVE}
        [card] = await cards(house)
        shown = " ".join(hands.texts(card))
        assert all(words in shown for words in (conflict_card.REPLACED, OLD, NEW, "<@U0STAFF>"))
        await press(house, "staff2", conflict_card.BOTH)
        [card] = await cards(house)
    assert statuses(house) == {OLD: ExampleStatus.LIVE, NEW: ExampleStatus.LIVE}
    assert hands.buttons(card) == []
    assert "<@U0STAFF2> says that both answers count" in " ".join(hands.texts(card))
    assert not any(words in str(card) for words in (OLD, NEW))


async def test_putting_the_older_back_is_one_press(house: House) -> None:
    """Delivered three times it counts once."""
    async with house.bot():
        await contradict(house)
        await house.sandbox.faults(duplicate=100)
        await press(house, "staff", conflict_card.OLDER)
        assert await house.responses(OPS) == []
    assert statuses(house) == {OLD: ExampleStatus.LIVE, NEW: ExampleStatus.RETIRED}
    assert [row.status for row in house.rows(Conflict)] == [ConflictStatus.OLDER]


async def test_events_delivered_three_times_make_one_card(house: House) -> None:
    """However often the approval comes, there is one conflict and one card."""
    await house.sandbox.faults(duplicate=100)
    async with house.bot():
        await contradict(house)
        assert len(await cards(house)) == 1
    assert len(house.rows(Conflict)) == 1


async def test_only_staff_settle(house: House) -> None:
    """Others get a line, and nothing changes."""
    async with house.bot():
        await contradict(house)
        await press(house, "asker", conflict_card.BOTH)
        assert await house.responses(OPS) == [conflicting.STAFF_ONLY]
    assert statuses(house) == {OLD: ExampleStatus.RETIRED, NEW: ExampleStatus.LIVE}


async def test_a_second_press_finds_it_settled(house: House) -> None:
    """Whoever presses later on an old screen is told so."""
    async with house.bot():
        await contradict(house)
        value = str(next(row.id for row in house.rows(Example) if row.answer == NEW))
        await press(house, "staff", conflict_card.BOTH)
        [card] = await cards(house)
        await hands.press(house, "staff2", card["ts"], conflict_card.OLDER, value, channel=OPS)
        await house.quiet()
    assert statuses(house) == {OLD: ExampleStatus.LIVE, NEW: ExampleStatus.LIVE}


async def test_taking_the_newer_back_closes_the_card(house: House) -> None:
    """The older one counts again, and the card asks nothing any more."""
    async with house.bot():
        _, newer = await contradict(house)
        await house.unreact("staff", "white_check_mark", newer["ts"])
        await house.quiet()
        [card] = await cards(house)
    assert statuses(house) == {OLD: ExampleStatus.LIVE, NEW: ExampleStatus.REVOKED}
    assert hands.buttons(card) == []


async def test_deleting_the_question_empties_the_card(house: House) -> None:
    """Nothing that was deleted stays to be read."""
    async with house.bot():
        _, newer = await contradict(house)
        await house.client("asker").chat_delete(channel=HELP, ts=newer["thread_ts"])
        await house.quiet()
        [card] = await cards(house)
    assert not any(words in str(card) for words in (PORT_TOO, OLD, NEW))
    assert hands.buttons(card) == []


async def test_a_private_answer_is_a_link_alone(house: House) -> None:
    """What a private channel said is not repeated where others read."""
    async with house.bot():
        _, newer = await contradict(house, "C0PRIV")
        [card] = await cards(house)
    assert not any(words in str(card) for words in (PORT, OLD, NEW))
    assert f"C0PRIV/p{newer['ts'].replace('.', '')}" in str(card)


async def test_where_nobody_can_be_told_nothing_is_replaced(house: House) -> None:
    """Without a review channel and an admins' channel both answers count."""
    house.extra = {"MYNAH_QUOTE": "off", "MYNAH_REVIEW_CHANNEL": "", "MYNAH_ADMIN_CHANNEL": ""}
    async with house.bot():
        await contradict(house)
    assert statuses(house) == {OLD: ExampleStatus.LIVE, NEW: ExampleStatus.LIVE}
    assert [row.status for row in house.rows(Conflict)] == [ConflictStatus.POSSIBLE]
