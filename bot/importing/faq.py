"""A FAQ in Markdown: headings with the text beneath them, or lines that begin with Q: and A:.

A heading without further headings beneath is a question, and so is any other that ends with a
question mark; the rest divide the page, and what is said beneath them is named as not used.
https://spec.commonmark.org
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

from bot.importing.pairs import BadFile, Contents, Pair, not_used, pair, short

_INLINE = MarkdownIt("commonmark")
# Only headings are read word by word: the text beneath is kept as it stands.
_BLOCKS = MarkdownIt("commonmark").enable("table").disable("inline")
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n.*?^---[ \t]*$\n?", re.DOTALL | re.MULTILINE)
_SAYS = r" {{0,3}}(?P<mark>\*\*|__)?{}(?: ?\d+)?(?P<closed>(?P=mark))? ?:(?P<text>.*)"
_Q = re.compile(_SAYS.format("(?:Q|Question)"), re.IGNORECASE)
_A = re.compile(_SAYS.format("(?:A|Answer)"), re.IGNORECASE)


@dataclass
class _Section:
    """A heading and what lies beneath it."""

    level: int
    title: str
    line: int  # of the heading, from 0
    start: int  # its first line of text
    end: int = 0  # the line after its own text, before any heading beneath
    last: int = 0  # the line after all that lies beneath
    parts: list[_Section] = field(default_factory=list)


@dataclass(frozen=True)
class _Page:
    name: str
    lines: Sequence[str]
    code: frozenset[int]  # lines in which Q: says nothing
    hidden: frozenset[int]  # comments

    def text(self, start: int, end: int) -> str:
        shown = (self.lines[at] for at in range(start, end) if at not in self.hidden)
        return "\n".join(shown)

    def place(self, line: int) -> str:
        return f"{self.name}, line {line + 1}"


def read_faq(name: str, text: str) -> Contents:
    """Read Markdown.

    Raises:
        BadFile: it holds no heading and no Q:.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    front = _FRONT_MATTER.match(text)
    if front is not None:  # kept as empty lines, so that places stay right
        text = "\n" * front[0].count("\n") + text[front.end() :]
    tokens = _BLOCKS.parse(text)
    page = _page(name, text, tokens)
    top = _sections(tokens, len(page.lines))
    unused: list[str] = []
    pairs = list(_pairs(page, top, unused))
    if not pairs:
        raise BadFile(name, "no headings with text beneath and no lines that begin with Q:")
    return Contents("Markdown", pairs, not_used("text that answers no question is", unused))


def _page(name: str, text: str, tokens: Sequence[Token]) -> _Page:
    code: set[int] = set()
    hidden: set[int] = set()
    for token in tokens:
        if token.map and token.type in ("fence", "code_block"):
            code.update(range(*token.map))
        if token.map and token.type == "html_block" and _is_comment(token):
            hidden.update(range(*token.map))
    return _Page(name, text.split("\n"), frozenset(code | hidden), frozenset(hidden))


def _is_comment(token: Token) -> bool:
    bare = token.content.strip()
    return bare.startswith("<!--") and bare.endswith("-->")


def _sections(tokens: Sequence[Token], length: int) -> _Section:
    """The page's headings as a tree."""
    top = _Section(0, "", 0, 0)
    path = [top]
    for at, token in enumerate(tokens):
        if token.type != "heading_open" or token.level != 0 or token.map is None:
            continue
        begin, start = token.map
        path[-1].end = path[-1].end or begin
        level = int(token.tag[1:])
        while path[-1].level >= level:
            path.pop().last = begin
        section = _Section(level, _words(tokens[at + 1].content), begin, start)
        path[-1].parts.append(section)
        path.append(section)
    path[-1].end = path[-1].end or length
    for section in path:
        section.last = length
    return top


def _words(heading: str) -> str:
    """A heading's words without its markup."""
    breaks = {"softbreak": " ", "hardbreak": " "}
    words = _INLINE.parseInline(heading)[0].children or ()
    return "".join(breaks.get(one.type, one.content) for one in words).strip()


def _is_question(title: str) -> bool:
    return title.endswith(("?", "？"))


def _pairs(page: _Page, section: _Section, unused: list[str]) -> Iterator[Pair]:
    """
    Args:
        unused: takes the places of text that answers no question.
    """
    starts = _starts(page, section)
    asks = _is_question(section.title)
    below = bool(starts) or any(_asks(page, part) for part in section.parts)
    if asks and not below:
        yield pair(
            page.place(section.line), section.title, page.text(section.start, section.last).strip()
        )
        return
    text = page.text(section.start, starts[0] if starts else section.end).strip()
    if section.title and (asks or not (section.parts or starts)):
        if text or (asks and not starts):
            yield pair(page.place(section.line), section.title, text)
    elif text:
        unused.append(f"{page.place(section.line)} {short(section.title)}".removesuffix(" ''"))
    yield from _questions(page, section)
    for part in section.parts:
        yield from _pairs(page, part, unused)


def _asks(page: _Page, section: _Section) -> bool:
    """Whether a question stands in the section or beneath."""
    if _is_question(section.title) or _starts(page, section):
        return True
    return any(_asks(page, part) for part in section.parts)


def _questions(page: _Page, section: _Section) -> Iterator[Pair]:
    """What Q: and A: say in a section's own text."""
    for start, end in pairwise([*_starts(page, section), section.end]):
        answers = (at for at in range(start, end) if _said(page, at, _A) is not None)
        turn = next(answers, end)
        question = _after(page, start, turn, _Q)
        yield pair(page.place(start), question, _after(page, turn, end, _A) if turn < end else "")


def _starts(page: _Page, section: _Section) -> list[int]:
    """The lines of a section's own text that begin with Q:."""
    return [at for at in range(section.start, section.end) if _said(page, at, _Q) is not None]


def _said(page: _Page, line: int, what: re.Pattern[str]) -> str | None:
    """What stands after Q: or A: on a line; None when the line does not begin so."""
    found = what.fullmatch(page.lines[line]) if line not in page.code else None
    if found is None:
        return None
    text, mark = found["text"].strip(), found["mark"]
    if not mark or found["closed"]:  # Q: … or **Q**: …
        return text
    if text.startswith(mark):  # **Q:** …
        return text.removeprefix(mark).strip()
    return text.removesuffix(mark).strip()  # **Q: …**


def _after(page: _Page, start: int, end: int, what: re.Pattern[str]) -> str:
    first = _said(page, start, what) or ""
    return f"{first}\n{page.text(start + 1, end)}".strip()
