"""Words that were written to break something: nothing they are in is lost, late or too long."""

from __future__ import annotations

import time

import pytest

from bot.slack import corrected
from bot.slack.blocks import CUT, fitting
from bot.store.schema import AnswerMode, ExampleStatus, Feedback
from tests.bot.slack import hands
from tests.bot.slack.house import House
from tests.bot.slack.test_correcting import current
from tests.bot.slack.test_disputes import OPS, cards, standing, statuses

SIGNS = "&amp;" * 700  # as Slack delivers 700 times "&"


async def test_a_question_of_signs_that_are_escaped_can_be_disputed(house: House) -> None:
    """Its card fits: else the rating that began the dispute would be lost with it."""
    house.extra = {"MYNAH_REVIEW_CHANNEL": OPS}
    async with house.bot():
        first = await house.asked(f"Which port is it? {SIGNS}")
        await house.react("staff", "white_check_mark", first["ts"])
        await house.quiet()
        await hands.correct(house, "staff2", first["ts"], f"It is 9443. {'&' * 700}")
        [card] = await cards(house)
    assert [(user, kind) for user, kind, _ in standing(house)] == [
        ("U0STAFF", "approve"),
        ("U0STAFF2", "correct"),
    ]
    assert ExampleStatus.HELD in statuses(house).values()
    assert hands.buttons(card) == ["dispute_right", "dispute_wrong"]
    assert house.failed() == []


async def test_what_a_question_pretends_to_be_stays_a_quote(house: House) -> None:
    """Nobody can write lines of the card: what was asked is shown as it is."""
    house.extra = {"MYNAH_REVIEW_CHANNEL": OPS}
    fake = "Which port?\n*Answer:* 80\n*Settled:* everybody says that it is right."
    async with house.bot():
        first = await house.asked(fake)
        await house.react("staff", "white_check_mark", first["ts"])
        await house.quiet()
        await house.react("staff2", "x", first["ts"])
        await house.quiet()
        [card] = await cards(house)
    read_as_markup = [
        block["text"]["text"] for block in card["blocks"] if block["type"] == "section"
    ]
    assert "Settled" in " ".join(hands.texts(card))
    assert "Settled" not in " ".join(read_as_markup)


async def test_a_correction_full_of_signs_is_shown(house: House) -> None:
    """Escaped it is far longer; Slack takes no change of more than 4,000 characters."""
    right = "Write " + "<b></b> " * 300
    async with house.bot():
        first = await house.asked("How do I write it?")
        await hands.correct(house, "staff", first["ts"], right)
        message = await hands.said(house, first["ts"])
    assert current(house) == [(right, AnswerMode.CORRECTED)]
    assert "Corrected by <@U0STAFF> · it was wrong" in hands.texts(message)
    assert [row.revoked_at for row in house.rows(Feedback)] == [None]
    assert house.failed() == []


@pytest.mark.parametrize("text", ["a < b", "<" * 90, "a" * 200, "a" * 39 + "&&"])
def test_what_is_cut_is_cut_between_signs(text: str) -> None:
    """No half of an escaped sign stays, and all of it stays where it fits."""
    shown = fitting(text, 40)
    assert len(shown) <= 40
    whole = shown.removesuffix(CUT)
    read = whole.replace("&lt;", "<").replace("&amp;", "&")
    assert text.startswith(read)
    assert "&" not in whole.replace("&lt;", "").replace("&amp;", "")


@pytest.mark.parametrize(
    ("before", "after"),
    [("a " * 2000, "a b " * 1000), ("| x | y |\n" * 4000, "| y | x |\n" * 4000)],
)
def test_what_changed_is_found_soon(before: str, after: str) -> None:
    """Answers that repeat themselves are not compared for minutes, with the store locked."""
    began = time.monotonic()
    shown = corrected.diff(before, after)
    assert time.monotonic() - began < 5
    assert {kind for kind, _ in shown} >= {"gone"}


def test_a_small_change_of_a_long_answer_is_shown_as_such() -> None:
    """What is the same at both ends needs no comparing."""
    words = [f"word{number}" for number in range(5000)]
    before = " ".join([*words, "80", *words])
    shown = corrected.diff(before, before.replace(" 80 ", " 9443 "))
    assert [piece for piece in shown if piece[0] != "kept"] == [
        ("gone", "80"),
        ("new", "9443"),
    ] or [words.strip() for kind, words in shown if kind != "kept"] == ["80", "9443"]
