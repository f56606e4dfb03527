"""Markdown as blocks: what Slack's client would show of it."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.sandbox.blocks import check_blocks
from deploy.sandbox.markdown import to_blocks


def parts(text: str) -> list[dict[str, Any]]:
    """The parts of the one rich text that comes of it."""
    (block,) = to_blocks(text)
    assert block["type"] == "rich_text"
    return list(block["elements"])


def said(part: dict[str, Any]) -> str:
    """All the words of a part."""
    if "elements" in part:
        return "".join(said(one) for one in part["elements"])
    return str(part.get("text") or part.get("name") or part.get("user_id") or part.get("url"))


def test_styles_and_links() -> None:
    """Bold, italic, struck, code and links keep their words and their kind."""
    (section,) = parts("a **b _c_** ~~d~~ `e*` [f](https://g.h) https://i.j/k.")
    shown = [(one["type"], said(one), one.get("style")) for one in section["elements"]]
    assert shown == [
        ("text", "a ", None),
        ("text", "b ", {"bold": True}),
        ("text", "c", {"bold": True, "italic": True}),
        ("text", " ", None),
        ("text", "d", {"strike": True}),
        ("text", " ", None),
        ("text", "e*", {"code": True}),
        ("text", " ", None),
        ("link", "f", None),
        ("text", " ", None),
        ("link", "https://i.j/k", None),
        ("text", ".", None),
    ]


def test_people_and_emoji() -> None:
    """A mention and an emoji are found; a time of day is none."""
    (section,) = parts("<@U0STAFF> at 10:30:00 :tada:")
    kinds = [(one["type"], said(one)) for one in section["elements"]]
    assert kinds == [
        ("user", "U0STAFF"), ("text", " at 10:30:00 "), ("emoji", "tada"),
    ]  # fmt: skip


def test_lists_keep_their_numbers_and_depths() -> None:
    """An ordered list that begins at 3 goes on from there; what is nested is deeper."""
    found = [
        (part["style"], part["indent"], part["offset"], said(part))
        for part in parts("3. three\n4. four\n   - inner\n")
    ]
    assert found == [
        ("ordered", 0, 2, "three"),
        ("ordered", 0, 3, "four"),
        ("bullet", 1, 0, "inner"),
    ]


def test_blocks_of_their_own() -> None:
    """Headers, dividers, tables, code and quotes."""
    text = "# Head *ing*\n\n---\n\n| a | b |\n| - | - |\n| 1 | **2** |\n\n```py\nx < 1\n```\n> q\n"
    header, divider, table, rich = to_blocks(text)
    assert header["text"]["text"] == "Head ing"
    assert divider == {"type": "divider"}
    assert [[said(cell) for cell in row] for row in table["rows"]] == [["a", "b"], ["1", "2"]]
    assert [(part["type"], said(part)) for part in rich["elements"]] == [
        ("rich_text_preformatted", "x < 1"),
        ("rich_text_quote", "q"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "<b onclick=x>hi</b>\n\n<script>x</script>",
        "[x](javascript:alert(1)) ![y](data:text/html,z)",
        "- \n- - a\n  > b\n\n[a]: <b>\n",
        "**never closed `nor this\n\n|a|\n|-|",
        "#\n\n>\n\n```",
    ],
)
def test_whatever_it_is_it_can_be_drawn(text: str) -> None:
    """Odd and hostile Markdown gives blocks that Slack would take; HTML stays text."""
    blocks = [one for one in to_blocks(text) if one["type"] != "header"]
    check_blocks(blocks)
    assert "javascript" not in [one.get("url", "")[:10] for one in _all(blocks)]
    if "<script>" in text:
        assert "<script>x</script>" in [said(part) for part in blocks[0]["elements"]]


def _all(item: Any) -> list[dict[str, Any]]:
    if isinstance(item, list):
        return [found for one in item for found in _all(one)]
    if isinstance(item, dict):
        return [item, *(found for one in item.values() for found in _all(one))]
    return []
