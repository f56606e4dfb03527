"""A markdown block as the blocks that Slack's client makes of it, so that pages draw one language.

https://docs.slack.dev/reference/block-kit/blocks/markdown-block
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

from deploy.sandbox.elements import Json

_MARKS = {"strong": "bold", "em": "italic", "s": "strike"}
_POINTED = re.compile(
    r"<@(?P<user>[UW]\w+)(?:\|[^<>]*)?>"
    r"|:(?P<emoji>[a-z0-9_+'-]*[a-z+][a-z0-9_+'-]*):"
    r"|(?P<url>https?://[^\s<>|]*[^\s<>|.,;:!?)\]}'\"`*_~])"
)
# HTML is text, as in Slack.
_READ = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


def to_blocks(text: str) -> list[Json]:
    """Headers, dividers, tables, and rich text for all the rest."""
    return list(_together(_blocks(_READ.parse(text))))


def _together(blocks: Iterable[Json]) -> Iterator[Json]:
    """Rich text that follows rich text is one block."""
    last: Json | None = None
    for block in blocks:
        if last is not None and last["type"] == block["type"] == "rich_text":
            last["elements"] += block["elements"]
            continue
        if last is not None:
            yield last
        last = block
    if last is not None:
        yield last


def _blocks(tokens: Sequence[Token]) -> Iterator[Json]:
    at = 0
    while at < len(tokens):
        token, end = tokens[at], _end(tokens, at)
        inside = tokens[at + 1 : end]
        if token.type == "heading_open":
            said = "".join(one.get("text", "") for one in _words(inside))
            yield {"type": "header", "text": {"type": "plain_text", "text": said}}
        elif token.type == "hr":
            yield {"type": "divider"}
        elif token.type == "table_open":
            yield {"type": "table", "rows": list(_rows(inside))}
        else:
            yield {"type": "rich_text", "elements": list(_rich(token, inside))}
        at = end + 1


def _rich(token: Token, inside: Sequence[Token], indent: int = 0) -> Iterator[Json]:
    if token.type in ("bullet_list_open", "ordered_list_open"):
        yield from _list(token, inside, indent)
    elif token.type in ("fence", "code_block"):
        code = [{"type": "text", "text": token.content.rstrip("\n") or " "}]
        yield {"type": "rich_text_preformatted", "elements": code}
    elif token.type == "blockquote_open":
        yield {"type": "rich_text_quote", "elements": list(_words(inside))}
    else:
        yield {"type": "rich_text_section", "elements": list(_words([token, *inside]))}


def _list(token: Token, inside: Sequence[Token], indent: int) -> Iterator[Json]:
    """A list. What is nested in an item follows it as a part of its own, as in Slack."""
    style = "ordered" if token.type.startswith("ordered") else "bullet"
    number = int(token.attrGet("start") or 1) - 1
    for item in _children(inside):
        own = [one for one in _children(item[1:-1]) if one[0].type == "paragraph_open"]
        words = [token for paragraph in own for token in paragraph]
        shown = {"type": "rich_text_list", "style": style, "indent": indent, "offset": number}
        section = {"type": "rich_text_section", "elements": list(_words(words))}
        yield shown | {"elements": [section]}
        number += 1
        for one in _children(item[1:-1]):
            if one[0].type != "paragraph_open":
                yield from _rich(one[0], one[1:-1], indent + 1)


def _rows(inside: Sequence[Token]) -> Iterator[list[Json]]:
    row: list[Json] = []
    for at, token in enumerate(inside):
        if token.type == "tr_open":
            row = []
        elif token.type in ("th_open", "td_open"):
            section = {"type": "rich_text_section", "elements": list(_words([inside[at + 1]]))}
            row.append({"type": "rich_text", "elements": [section]})
        elif token.type == "tr_close":
            yield row


def _words(tokens: Iterable[Token]) -> Iterator[Json]:
    """All the words in some tokens; paragraphs stand on lines of their own."""
    paragraphs = [token.children or [] for token in tokens if token.type == "inline"]
    for number, children in enumerate(paragraphs):
        if number:
            yield {"type": "text", "text": "\n"}
        yield from _inline(children)


def _inline(tokens: Iterable[Token]) -> Iterator[Json]:
    style: dict[str, bool] = {}
    url = ""
    for token in tokens:
        mark = _MARKS.get(token.tag)
        if mark and token.nesting:
            style = {**style, mark: True} if token.nesting > 0 else _without(style, mark)
        elif token.type == "link_open":
            url = str(token.attrGet("href") or "")
        elif token.type == "link_close":
            url = ""
        elif token.type in ("softbreak", "hardbreak"):
            yield {"type": "text", "text": "\n"}
        elif token.type == "image":
            yield {"type": "link", "url": str(token.attrGet("src")), "text": token.content}
        elif token.type == "code_inline":
            yield _styled({"type": "text", "text": token.content}, {**style, "code": True})
        elif url:
            yield _styled({"type": "link", "url": url, "text": token.content}, style)
        elif token.content:
            yield from (_styled(one, style) for one in _pointed(token.content))


def _pointed(text: str) -> Iterator[Json]:
    """Plain words, with the people, emoji and bare addresses in them."""
    at = 0
    for found in _POINTED.finditer(text):
        if found.start() > at:
            yield {"type": "text", "text": text[at : found.start()]}
        if found["user"]:
            yield {"type": "user", "user_id": found["user"]}
        elif found["emoji"]:
            yield {"type": "emoji", "name": found["emoji"]}
        else:
            yield {"type": "link", "url": found["url"]}
        at = found.end()
    if at < len(text):
        yield {"type": "text", "text": text[at:]}


def _styled(element: Json, style: dict[str, bool]) -> Json:
    return element | ({"style": dict(style)} if style else {})


def _without(style: dict[str, bool], mark: str) -> dict[str, bool]:
    return {name: on for name, on in style.items() if name != mark}


def _children(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """The tokens in pieces, each with what it opens and closes."""
    at = 0
    while at < len(tokens):
        end = _end(tokens, at)
        yield list(tokens[at : end + 1])
        at = end + 1


def _end(tokens: Sequence[Token], at: int) -> int:
    """Where what is opened at `at` closes; `at` itself for what opens nothing."""
    depth = 0
    for place in range(at, len(tokens)):
        depth += tokens[place].nesting
        if depth == 0:
            return place
    return len(tokens) - 1
