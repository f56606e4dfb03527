"""The Home tab: what it looks like. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ContextBlock,
    DividerBlock,
    HeaderBlock,
    MarkdownTextObject,
    RichTextBlock,
    RichTextElement,
    RichTextQuoteElement,
    RichTextSectionElement,
)
from slack_sdk.models.views import View

from bot import confidence
from bot.mrkdwn import escape
from bot.slack import board
from bot.slack.pieces import QUESTION, Linked, bullets, button, cut, linked, section, text
from bot.store.callers import is_caller, name_of
from bot.store.review import Pending
from bot.store.schema import AnswerMode, CaseStatus, Feedback, FeedbackKind

RIGHT, WRONG, MORE, CORRECT = "home:right", "home:wrong", "home:more", "open:correct"
PAGE = 10
COMMENT = 200  # characters of what somebody wrote who was not helped
ANSWER = 400  # characters of an answer: its beginning
ABOUT = (
    "I am *Mynah*. I answer questions about how things are done here, and I learn from the answers "
    "that staff mark as right: at once, by remembering them, and every night, by training.\n"
    "*Ask me* by mentioning me in a channel or a thread, or in a direct message. In a thread with "
    "me you may go on without a mention. `/mynah help` says what else I can do, and `/mynah why` "
    "where an answer came from."
)
_CASES = {CaseStatus.OPEN: "a case is open", CaseStatus.CLAIMED: "somebody works on the case"}


@dataclass(frozen=True)
class Review:
    """One page of what waits for review."""

    items: Sequence[tuple[Pending, str | None]]  # with a link to the answer
    skipped: int
    more: bool


@dataclass(frozen=True)
class Shown:
    """All that one person sees on their Home tab."""

    about: Mapping[str, object]  # kept in the view, for the next press
    own: Sequence[Linked] = ()
    review: Review | None = None
    board: board.Board | None = None
    notice: str = ""  # mrkdwn: what came of the last press


def view(shown: Shown) -> View:
    """The whole tab."""
    blocks = [section(f":bell: {shown.notice}")] if shown.notice else []
    blocks.append(section(ABOUT))
    if shown.board is not None:
        blocks += [DividerBlock(), *board.blocks(shown.board)]
    if shown.review is not None:
        blocks += [DividerBlock(), *_review(shown.review)]
    blocks += [DividerBlock(), *_own(shown.own)]
    return View(type="home", blocks=blocks, private_metadata=json.dumps(shown.about))


def _own(questions: Sequence[Linked]) -> list[Block]:
    head = HeaderBlock(text="Your last answers")
    if not questions:
        return [head, section("I have not answered a question of yours yet. What is it?")]
    return [head, bullets([[linked(one)] for one in questions])]


def _review(page: Review) -> list[Block]:
    blocks: list[Block] = [HeaderBlock(text="Waiting for review")]
    if not page.items:
        blocks.append(section("Nothing waits for you. :sparkles:"))
    for waiting, link in page.items:
        blocks += _item(waiting, link)
    turns = [("Back to the first", 0)] if page.skipped else []
    if page.more:
        turns.append(("More", page.skipped + PAGE))
    # A block each: an action id stands once in a block.
    return blocks + [
        ActionsBlock(elements=[button(MORE, label, str(skip))]) for label, skip in turns
    ]


def _item(waiting: Pending, link: str | None) -> list[Block]:
    answer, number = waiting.answer, str(waiting.answer.id)
    asked = text(cut(waiting.question.text, QUESTION), bold=True)
    words: list[RichTextElement] = [RichTextSectionElement(elements=[asked])]
    buttons = [button(CORRECT, "Correct…", number)]
    if answer.mode is not AnswerMode.UNSURE:  # else there is nothing to read, nor to rate
        words.append(RichTextQuoteElement(elements=[text(cut(answer.text, ANSWER))]))
        rate = ((RIGHT, ":+1: Right"), (WRONG, ":-1: Wrong"))
        buttons = [*(button(action, label, number) for action, label in rate), *buttons]
    return [
        RichTextBlock(elements=words),
        ContextBlock(elements=[MarkdownTextObject(text=_standing(waiting, link))]),
        ActionsBlock(elements=buttons),
    ]


def _thumbs(thumbs: Sequence[Feedback]) -> list[str]:
    """What those who asked said, and of the last one who was not helped, why."""
    helped = [one for one in thumbs if one.kind is FeedbackKind.HELPFUL]
    others = [one for one in thumbs if one.kind is FeedbackKind.UNHELPFUL]
    said = [f"{len(helped)} helped"] if helped else []
    if others:
        why = [others[-1].reason or "", others[-1].comment or ""]
        words = escape(cut(": ".join(part for part in why if part), COMMENT))
        said.append(f"{len(others)} not helped" + (f" (“{words}”)" if words else ""))
    return said


def _place(channel: str) -> str:
    """Where a question was asked."""
    return f"API: {name_of(channel)}" if is_caller(channel) else f"<#{channel}>"


def _standing(waiting: Pending, link: str | None) -> str:
    """The line under an answer: where it is, how sure, and why it waits."""
    answer = waiting.answer
    unsure = answer.mode is AnswerMode.UNSURE
    parts = [
        _place(answer.channel),
        f"*{waiting.held}*" if waiting.held else "",
        "not sure, so it was not answered" if unsure else answer.mode.value.replace("_", " "),
        confidence.word(answer.mode, answer.confidence),
        _CASES.get(waiting.case, "") if waiting.case else "",
        f"<{link}|see it>" if link else "",
        *_thumbs(waiting.thumbs),
    ]
    return " · ".join(part for part in parts if part)
