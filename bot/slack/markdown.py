"""An answer's words in Slack's markdown block: nothing in them may notify, and long ones are cut.

https://docs.slack.dev/reference/block-kit/blocks/markdown-block
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

# A markdown block takes 12,000 characters, but an update of 11,800 was refused and one of 4,000
# taken: what can be posted must be changeable, too.
PART_CHARS = 3800
_CONTROL = re.compile(r"<(?=@[A-Z0-9]|#[A-Z0-9]|!(?:here|channel|everyone|subteam|date)\b)")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_TABLE_RULE = re.compile(r"[\s:|]*-[\s:|-]*")


def safe(text: str) -> str:
    """The text with Slack's own control sequences broken by a space of no width.

    Only those: `<!DOCTYPE html>` in an answer's code stays as it is.
    """
    return _CONTROL.sub("<\u200b", text)


def unsafe(text: str) -> str:
    """The text as it was before `safe`; for where it is escaped instead."""
    return text.replace("<\u200b", "<")


def split(text: str, limit: int = PART_CHARS) -> list[str]:
    """Cut a Markdown text into parts of at most `limit` characters; at least one.

    Cut between paragraphs where possible. A code block that is too long goes on as a code block,
    and a table begins again with its head.
    """
    parts: list[str] = []
    for block in _blocks(text):
        for piece in _fitting(block, limit):
            if parts and len(parts[-1]) + 2 + len(piece) <= limit:
                parts[-1] += f"\n\n{piece}"
            else:
                parts.append(piece)
    return parts or [""]


def _blocks(text: str) -> Iterator[str]:
    """Paragraphs, lists, tables and whole code blocks: what a blank line outside of code parts."""
    lines: list[str] = []
    fence = ""
    for line in text.splitlines():
        fence = _fence_after(fence, line)
        if line.strip() or fence:
            lines.append(line)
        elif lines:
            yield "\n".join(lines)
            lines = []
    if lines:
        yield "\n".join(lines)


def _fence_after(fence: str, line: str) -> str:
    """The fence that is open after the line; empty when none is."""
    found = _FENCE.match(line)
    if found is None:
        return fence
    if not fence:
        return found[1]
    closes = found[1].startswith(fence) and line.strip() == found[1]
    return "" if closes else fence


def _fitting(block: str, limit: int) -> Iterator[str]:
    """The block, or pieces of it that fit."""
    if len(block) <= limit:
        yield block
        return
    head, inner, foot = _framed(block.split("\n"))
    room = limit - len(head) - len(foot)
    if room < limit // 2:  # a frame as long as that is no frame
        head, inner, foot, room = "", block.split("\n"), "", limit
    for piece in _lines_that_fit(inner, room):
        yield f"{head}{piece}{foot}"


def _framed(lines: Sequence[str]) -> tuple[str, Sequence[str], str]:
    """What each piece of a long block has to begin with, what is to be cut, and how to end."""
    if (fence := _FENCE.match(lines[0])) is not None:
        closed = len(lines) > 1 and not _fence_after(fence[1], lines[-1])
        return f"{lines[0]}\n", lines[1:-1] if closed else lines[1:], f"\n{fence[1]}"
    if len(lines) > 2 and "|" in lines[0] and _TABLE_RULE.fullmatch(lines[1]):
        return f"{lines[0]}\n{lines[1]}\n", lines[2:], ""
    return "", lines, ""


def _lines_that_fit(lines: Sequence[str], limit: int) -> Iterator[str]:
    piece: str | None = None
    for line in lines:
        for bit in _bits(line, limit):
            if piece is not None and len(piece) + 1 + len(bit) <= limit:
                piece += f"\n{bit}"
                continue
            if piece is not None:
                yield piece
            piece = bit
    if piece is not None:
        yield piece


def _bits(line: str, limit: int) -> Iterator[str]:
    """A line, cut at spaces where it is too long."""
    while len(line) > limit:
        space = line.rfind(" ", limit // 2, limit)
        end = space if space > 0 else limit
        yield line[:end]
        line = line[end:].lstrip(" ")
    yield line
