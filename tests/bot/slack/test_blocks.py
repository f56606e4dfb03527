"""Messages: within Slack's limits, and harmless whatever the words are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bot.composing import Reply
from bot.memory import Match
from bot.slack import blocks
from bot.slack.markdown import PART_CHARS
from bot.store.schema import AnswerMode, Release

MATCH = Match(1, "q", "a", 0.9, "U0STAFF")


def reply(text: str, mode: AnswerMode = AnswerMode.CLOSED_BOOK, **more: object) -> Reply:
    """A reply of v2."""
    release = Release(team_id="T", number=2)
    given_: dict[str, object] = {"confidence": None, "match": None, "adapter": "mynah-0", **more}
    return Reply(text, mode, release, **given_)  # type: ignore[arg-type]


@given(st.text(alphabet=st.sampled_from("ab <>&\n!@U0`|-"), max_size=9000).filter(str.strip))
def test_every_message_can_be_posted_and_changed(text: str) -> None:
    """Whatever the words, each message keeps Slack's limits, and none of them notifies anybody."""
    for message in blocks.answer(reply(text)):
        shown = "".join(block["text"] for block in message["blocks"] if block["type"] == "markdown")
        assert len(shown) <= PART_CHARS
        assert len(message["text"]) <= 4000
        assert "<" not in message["text"]
        assert "<@U0" not in shown


def test_long_answer_has_one_receipt() -> None:
    """A long answer is several messages; the last one says where it comes from."""
    said = blocks.answer(reply("word " * 2_000))
    assert len(said) == 3
    assert [len(message["blocks"]) for message in said] == [1, 1, 3]
    assert {message["metadata"]["event_payload"]["release"] for message in said} == {"v2"}


def test_endless_text_is_cut() -> None:
    """A text beyond all measure is a few messages with a mark at the end."""
    said = blocks.answer(reply("word " * 20_000))
    assert len(said) == blocks.MOST_PARTS
    assert said[-1]["blocks"][0]["text"].endswith("[…]")


def test_a_hint_stands_above_the_receipt() -> None:
    """Something like the question was answered: a link to it, also below a withheld answer."""
    for mode in (AnswerMode.CLOSED_BOOK, AnswerMode.UNSURE):
        [message] = blocks.answer(reply("a", mode, hint="https://s/p1"))
        _, hint, receipt, *_ = message["blocks"]
        assert hint["elements"][0]["text"] == "A <https://s/p1|similar question> was answered."
        assert receipt["elements"][0]["text"].startswith("v2")


def test_receipts() -> None:
    """The line under an answer says release, origin and who verified it."""
    assert blocks.receipt(reply("a")) == "v2 · not verified"
    quoted = reply("a", AnswerMode.QUOTED, match=MATCH)
    assert blocks.receipt(quoted) == "v2 · quoted, verified by <@U0STAFF>"
    open_book = reply("a", AnswerMode.OPEN_BOOK, match=MATCH)
    assert blocks.receipt(open_book) == "v2 · written from an answer verified by <@U0STAFF>"
    known = reply("a", AnswerMode.KNOWN, match=MATCH, adapter="mynah-1")
    assert blocks.receipt(known) == "v2 · learned from an answer verified by <@U0STAFF>"
    invented = reply("port 8080", AnswerMode.OPEN_BOOK, match=MATCH, confidence=-0.1, source="S")
    assert blocks.receipt(invented) == "v2 · not verified · <S|a similar question>"
    taught = reply("a", adapter="mynah-1", confidence=-0.1)
    assert blocks.receipt(taught) == "v2 · sure · not verified"
    linked = reply("a", AnswerMode.QUOTED, match=MATCH, confidence=0.95, source="https://s/p1")
    assert blocks.receipt(linked) == (
        "v2 · sure · quoted, verified by <@U0STAFF> · <https://s/p1|source>"
    )
    stand_in = reply("a", awaited=3)
    assert blocks.receipt(stand_in) == (
        "v2 · v3 is not ready, so the base model answers · not verified"
    )
