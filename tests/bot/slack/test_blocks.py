"""Messages: within Slack's limits, and harmless whatever the words are."""

from __future__ import annotations

import html

from hypothesis import given
from hypothesis import strategies as st

from bot.answering import Reply
from bot.memory import Match
from bot.slack import blocks
from bot.store.schema import AnswerMode, Release

MATCH = Match(1, "q", "a", 0.9, "U0STAFF")


def reply(text: str, mode: AnswerMode = AnswerMode.CLOSED_BOOK, **more: object) -> Reply:
    """A reply of v2."""
    release = Release(team_id="T", number=2)
    given_: dict[str, object] = {"confidence": None, "match": None, "adapter": "mynah-0", **more}
    return Reply(text, mode, release, **given_)  # type: ignore[arg-type]


@given(st.text(alphabet=st.sampled_from("ab <>&\n!@U0"), max_size=8000))
def test_sections_hold_the_text_and_keep_the_limits(text: str) -> None:
    """Every word is there, escaped, in sections that Slack accepts, and no entity is cut apart."""
    sections = blocks.answer(reply(text))["blocks"][:-1]
    pieces = [section["text"]["text"] for section in sections]
    assert all(0 < len(piece) <= 3000 for piece in pieces)
    assert all("<" not in piece and ">" not in piece for piece in pieces)
    said = "".join(html.unescape(piece) for piece in pieces)
    assert said.replace("\n", "") == text.replace("\n", "")


def test_endless_text_is_cut() -> None:
    """A text beyond all limits is one message with a mark at its end."""
    said = blocks.answer(reply("word " * 20_000))
    assert len(said["blocks"]) <= 50
    assert len(said["text"]) <= 4000
    assert said["blocks"][-2]["text"]["text"].endswith("[…]")


def test_text_without_a_place_to_cut() -> None:
    """One endless word is cut too, and not inside an entity."""
    for length in range(5795, 5805):
        sections = blocks.answer(reply("x" * (length % 7) + "&" * length))["blocks"][:-1]
        for section in sections[:-1]:
            assert section["text"]["text"].endswith(";")


def test_receipts() -> None:
    """The line under an answer says release, origin and who verified it."""
    assert blocks.receipt(reply("a")) == "v2 · not verified"
    quoted = reply("a", AnswerMode.QUOTED, match=MATCH)
    assert blocks.receipt(quoted) == "v2 · quoted, verified by <@U0STAFF>"
    open_book = reply("a", AnswerMode.OPEN_BOOK, match=MATCH)
    assert blocks.receipt(open_book) == "v2 · written from an answer verified by <@U0STAFF>"
    stand_in = reply("a", awaited=3)
    assert blocks.receipt(stand_in) == (
        "v2 · v3 is not ready, so the base model answers · not verified"
    )
