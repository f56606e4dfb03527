"""Pieces of views: small Block Kit builders.

What people and models wrote goes into rich text, where nothing is read as markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from slack_sdk.models.blocks import (
    Block,
    ButtonElement,
    ConfirmObject,
    MarkdownTextObject,
    RichTextBlock,
    RichTextElement,
    RichTextElementParts,
    RichTextListElement,
    RichTextSectionElement,
    SectionBlock,
)

SECTION = 3000  # Slack takes so many characters
QUESTION = 200  # of a question are enough to know it by


@dataclass(frozen=True)
class Linked:
    """Words, and where they were said."""

    text: str
    link: str | None


@dataclass(frozen=True)
class Confirm:
    """What Slack asks back before a press counts, and the word to agree by."""

    text: str
    word: str


def button(
    action_id: str, label: str, value: str, confirm: Confirm | None = None, style: str | None = None
) -> ButtonElement:
    """A button."""
    asks = _asks(confirm) if confirm else None
    return ButtonElement(action_id=action_id, text=label, value=value, style=style, confirm=asks)


def section(mrkdwn: str) -> Block:
    """A paragraph, cut where Slack would refuse it."""
    text = mrkdwn if len(mrkdwn) <= SECTION else mrkdwn[: SECTION - 1] + "…"
    return SectionBlock(text=MarkdownTextObject(text=text))


def linked(words: Linked) -> RichTextElement:
    """Words that lead to where they were said."""
    line = cut(words.text, QUESTION)
    return RichTextElementParts.Link(url=words.link, text=line) if words.link else text(line)


def text(words: str, *, bold: bool = False) -> RichTextElement:
    """Words as they are."""
    style = RichTextElementParts.TextStyle(bold=True) if bold else None
    return RichTextElementParts.Text(text=words, style=style)


def bullets(rows: Sequence[Sequence[RichTextElement]]) -> Block:
    """A list."""
    items = [RichTextSectionElement(elements=row) for row in rows]
    return RichTextBlock(elements=[RichTextListElement(style="bullet", elements=items)])


def cut(words: str, most: int) -> str:
    """In one line, and no longer than `most`; never empty: Slack refuses that."""
    line = " ".join(words.split())
    return (line if len(line) <= most else line[: most - 1] + "…") or "…"


def _asks(confirm: Confirm) -> ConfirmObject:
    return ConfirmObject(
        title=f"{confirm.word}?", text=MarkdownTextObject(text=confirm.text), confirm=confirm.word
    )
