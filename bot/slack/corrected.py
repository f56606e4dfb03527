"""A corrected answer: its words, who corrected it, what changed, and a way back. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any

from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    ContextBlock,
    MarkdownTextObject,
    RichTextBlock,
    RichTextElementParts,
    RichTextQuoteElement,
)

from bot.corrections import Corrected
from bot.slack import blocks
from bot.slack.rating import thumbs
from bot.store.schema import AnswerMode

UNDO = "undo_correction"
REASONS = {
    "wrong": "It is wrong",
    "outdated": "It is outdated",
    "unsafe": "It is unsafe",
    "incomplete": "It is incomplete",
    "tone": "Its tone is off",
}
DIFF_CHARS = 600
MOST_WORDS = 400  # are compared: the time that it takes grows with their number cubed
KEPT_CHARS = 40  # of what stayed the same, on each side of a change
Piece = tuple[str, str]  # "kept", "gone" or "new", and the words
_STYLES = {"gone": {"strike": True}, "new": {"bold": True}, "kept": {}}


def messages(corrected: Corrected) -> list[dict[str, Any]]:
    """The messages of an answer that staff corrected, as `chat.update` takes them."""
    undo = ButtonElement(action_id=UNDO, text="Undo", value=str(corrected.feedback_id))
    under = [
        ContextBlock(elements=[MarkdownTextObject(text=byline(corrected))]),
        thumbs(),
        *_changes(corrected),
        ActionsBlock(elements=[undo]),
    ]
    return blocks.messages(corrected.text, under, {"mode": AnswerMode.CORRECTED.value})


def byline(corrected: Corrected) -> str:
    """Who corrected the answer, and why, in mrkdwn."""
    was = ""
    if corrected.reason in REASONS:
        tone = corrected.reason == "tone"
        was = " · its tone was off" if tone else f" · it was {corrected.reason}"
    return f"Corrected by <@{corrected.by}>{was}"


def diff(before: str, after: str) -> list[Piece]:
    """What changed, word by word, with a little of what stayed; nothing when all of it did."""
    pieces = [piece for piece in _compared(before, after) if piece[1]]
    if not any(kind == "kept" and words.strip() for kind, words in pieces):
        pieces = [("gone", before), ("new", f" {after}")]
    shown = [_shortened(piece, at, len(pieces)) for at, piece in enumerate(pieces)]
    return list(_up_to(DIFF_CHARS, shown))


def _compared(before: str, after: str) -> Iterator[Piece]:
    """All pieces, in order. Where too much differs, all between both ends counts as changed."""
    old, new = _words(before), _words(after)
    head = _same(old, new)
    tail = _same(old[head:][::-1], new[head:][::-1])
    yield "kept", "".join(old[:head])
    yield from _between(old[head : len(old) - tail], new[head : len(new) - tail])
    yield "kept", "".join(old[len(old) - tail :])


def _same(old: Sequence[str], new: Sequence[str]) -> int:
    """How many words both begin with."""
    pairs = enumerate(zip(old, new, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(old), len(new)))


def _between(old: Sequence[str], new: Sequence[str]) -> Iterator[Piece]:
    if len(old) + len(new) > MOST_WORDS:
        yield "gone", "".join(old)
        yield "new", "".join(new)
        return
    for what, start, end, new_start, new_end in SequenceMatcher(
        None, old, new, False
    ).get_opcodes():
        if what == "equal":
            yield "kept", "".join(old[start:end])
            continue
        if end > start:
            yield "gone", "".join(old[start:end])
        if new_end > new_start:
            yield "new", "".join(new[new_start:new_end])


def _words(text: str) -> list[str]:
    """Words with the space behind them: joined they are the text."""
    return re.findall(r"\s*\S+\s*?(?=\s|$)|\s+", text)


def _shortened(piece: Piece, at: int, count: int) -> Piece:
    kind, words = piece
    if kind != "kept" or len(words) <= 2 * KEPT_CHARS:
        return piece
    head = "" if at == 0 else words[:KEPT_CHARS]
    tail = "" if at == count - 1 else words[-KEPT_CHARS:]
    return kind, f"{head} … {tail}"


def _up_to(limit: int, pieces: list[Piece]) -> Iterator[Piece]:
    for kind, words in pieces:
        if limit <= 0:
            yield "kept", " …"
            return
        yield kind, words if len(words) <= limit else words[:limit] + "…"
        limit -= len(words)


def _changes(corrected: Corrected) -> list[Block]:
    """The diff as rich text, in which words are literal: nothing in them can mention or link."""
    pieces = diff(corrected.before, corrected.text)
    parts = [
        RichTextElementParts.Text(text=words, style=_STYLES[kind] or None)
        for kind, words in pieces
        if words
    ]
    return [RichTextBlock(elements=[RichTextQuoteElement(elements=parts)])] if parts else []
