"""The Home tab: what it looks like. Pure functions.

What people and models wrote stands in rich text: nothing in it is read as markup.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    ConfirmObject,
    ContextBlock,
    DividerBlock,
    HeaderBlock,
    MarkdownTextObject,
    RichTextBlock,
    RichTextElement,
    RichTextElementParts,
    RichTextListElement,
    RichTextQuoteElement,
    RichTextSectionElement,
    SectionBlock,
)
from slack_sdk.models.views import View

from bot import confidence
from bot.store.review import Waiting
from bot.store.schema import AnswerMode, CaseStatus, FeedbackKind
from bot.store.tallies import Ratings

RIGHT, WRONG, MORE, CORRECT = "home:right", "home:wrong", "home:more", "open:correct"
TRAIN, ROLL_BACK, PAUSE, RESUME = "admin:train", "admin:rollback", "admin:pause", "admin:resume"
PAGE = 10
ENOUGH = 5  # ratings, for a rate that says anything
# Slack takes 3,000 characters a section; 3 lines of a question and 6 of an answer are enough here.
SECTION, QUESTION, ANSWER = 3000, 200, 400
ABOUT = (
    "I am *Mynah*. I answer questions about how things are done here, and I learn from the answers "
    "that staff mark as right: at once, by remembering them, and every night, by training.\n"
    "*Ask me* by mentioning me in a channel or a thread, or in a direct message. In a thread with "
    "me you may go on without a mention. `/mynah help` says what else I can do, and `/mynah why` "
    "where an answer came from."
)
_CASES = {CaseStatus.OPEN: "a case is open", CaseStatus.CLAIMED: "somebody works on the case"}


@dataclass(frozen=True)
class Linked:
    """Words, and where they were said."""

    text: str
    link: str | None


@dataclass(frozen=True)
class Review:
    """One page of what waits for review."""

    items: Sequence[tuple[Waiting, str | None]]  # with a link to the answer
    skipped: int
    more: bool


@dataclass(frozen=True)
class Rate:
    """How staff rated what a release answered."""

    name: str  # mrkdwn
    ratings: Ratings


@dataclass(frozen=True)
class Board:
    """What admins look at; lines are mrkdwn."""

    answered: Mapping[int, int]  # how many within the last so many days
    rates: Sequence[Rate]
    cases: int
    gaps: Sequence[tuple[Linked, int]]  # what nobody has taught yet, and how often it was asked
    state: Sequence[str]
    runs: Sequence[str]
    paused: bool


@dataclass(frozen=True)
class Shown:
    """All that one person sees on their Home tab."""

    about: Mapping[str, object]  # kept in the view, for the next press
    own: Sequence[Linked] = ()
    review: Review | None = None
    board: Board | None = None
    notice: str = ""  # mrkdwn: what came of the last press


def view(shown: Shown) -> View:
    """The whole tab."""
    blocks: list[Block] = [_section(f":bell: {shown.notice}")] if shown.notice else []
    blocks.append(_section(ABOUT))
    if shown.board is not None:
        blocks += [DividerBlock(), *board(shown.board)]
    if shown.review is not None:
        blocks += [DividerBlock(), *review(shown.review)]
    blocks += [DividerBlock(), *own(shown.own)]
    return View(type="home", blocks=blocks, private_metadata=json.dumps(shown.about))


def own(questions: Sequence[Linked]) -> list[Block]:
    """A person's own last questions."""
    head = HeaderBlock(text="Your last answers")
    if not questions:
        return [head, _section("I have not answered a question of yours yet. What is it?")]
    return [head, _list([[_words(one)] for one in questions])]


def review(page: Review) -> list[Block]:
    """What waits for staff, each with its buttons."""
    blocks: list[Block] = [HeaderBlock(text="Waiting for review")]
    if not page.items:
        blocks.append(_section("Nothing waits for you. :sparkles:"))
    for waiting, link in page.items:
        blocks += _item(waiting, link)
    turns = [(MORE, "Back to the first", 0)] if page.skipped else []
    if page.more:
        turns.append((MORE, "More", page.skipped + PAGE))
    # One block each: an action id stands once in a block.
    return blocks + [
        ActionsBlock(elements=[_button(action, label, str(skip))]) for action, label, skip in turns
    ]


def board(board: Board) -> list[Block]:
    """How Mynah is doing, and what an admin can do about it."""
    answers = ", ".join(f"{count} in {days} days" for days, count in board.answered.items())
    blocks: list[Block] = [
        HeaderBlock(text="How I am doing"),
        _section(
            "\n".join([*board.state, f"*Answers:* {answers}", f"*Open cases:* {board.cases}"])
        ),
        _section("\n".join(["*Right answers by release*", *map(_rate, board.rates)])),
        _section("\n".join(["*Last runs*", *(f"• {run}" for run in board.runs or ["none yet"])])),
    ]
    if board.gaps:
        blocks.append(_section("*Asked again and again, and taught by nobody*"))
        rows = [[_words(words), _text(f" ({count} times)")] for words, count in board.gaps]
        blocks.append(_list(rows))
    return [*blocks, _levers(paused=board.paused)]


def _rate(rate: Rate) -> str:
    approved, rejected, corrected = (
        rate.ratings.get(kind, 0)
        for kind in (FeedbackKind.APPROVE, FeedbackKind.REJECT, FeedbackKind.CORRECT)
    )
    total = approved + rejected + corrected
    share = f"{approved / total:.0%}" if total >= ENOUGH else "not enough ratings"
    return f"• {rate.name}: {share} ({approved} right, {rejected} wrong, {corrected} corrected)"


def _levers(*, paused: bool) -> Block:
    train = _button(TRAIN, "Train now", "train", "Learn from the approved answers now?", "Train")
    back = _button(
        ROLL_BACK, "Roll back…", "rollback",
        "The release before the live one answers again, at once and in all threads.", "Roll back",
        style="danger",
    )  # fmt: skip
    if paused:
        text = "Trains again, and lets releases go live."
        return ActionsBlock(
            elements=[train, back, _button(RESUME, "Resume", "resume", text, "Resume")]
        )
    text = (
        "Nothing is trained and nothing goes live until somebody resumes. Questions are answered."
    )
    return ActionsBlock(elements=[train, back, _button(PAUSE, "Pause", "pause", text, "Pause")])


def _item(waiting: Waiting, link: str | None) -> list[Block]:
    answer, number = waiting.answer, str(waiting.answer.id)
    asked = _text(_cut(waiting.question.text, QUESTION), bold=True)
    words: list[RichTextElement] = [RichTextSectionElement(elements=[asked])]
    buttons = [_button(CORRECT, "Correct…", number)]
    if answer.mode is not AnswerMode.UNSURE:  # else there is nothing to read, nor to rate
        words.append(RichTextQuoteElement(elements=[_text(_cut(answer.text, ANSWER))]))
        rate = ((RIGHT, ":+1: Right"), (WRONG, ":-1: Wrong"))
        buttons = [*(_button(action, label, number) for action, label in rate), *buttons]
    return [
        RichTextBlock(elements=words),
        ContextBlock(elements=[MarkdownTextObject(text=_standing(waiting, link))]),
        ActionsBlock(elements=buttons),
    ]


def _standing(waiting: Waiting, link: str | None) -> str:
    """The line under an answer: where it is, how sure, and why it waits."""
    answer = waiting.answer
    unsure = answer.mode is AnswerMode.UNSURE
    parts = [
        f"<#{answer.channel}>",
        "*staff disagree*" if waiting.held else "",
        "not sure, so it was not answered" if unsure else answer.mode.value.replace("_", " "),
        confidence.word(answer.mode, answer.confidence),
        _CASES.get(waiting.case, "") if waiting.case else "",
        f"<{link}|see it>" if link else "",
    ]
    return " · ".join(part for part in parts if part)


def _button(
    action: str, label: str, value: str, asks: str = "", does: str = "", style: str | None = None
) -> ButtonElement:
    """A button; with `asks` Slack asks that back first, and `does` is the word to agree by."""
    confirm = (
        ConfirmObject(title=label.rstrip("…"), text=MarkdownTextObject(text=asks), confirm=does)
        if asks
        else None
    )
    return ButtonElement(action_id=action, text=label, value=value, style=style, confirm=confirm)


def _words(words: Linked) -> RichTextElement:
    text = _cut(words.text, QUESTION)
    return RichTextElementParts.Link(url=words.link, text=text) if words.link else _text(text)


def _text(text: str, *, bold: bool = False) -> RichTextElement:
    style = RichTextElementParts.TextStyle(bold=True) if bold else None
    return RichTextElementParts.Text(text=text, style=style)


def _list(rows: Sequence[Sequence[RichTextElement]]) -> Block:
    items = [RichTextSectionElement(elements=row) for row in rows]
    return RichTextBlock(elements=[RichTextListElement(style="bullet", elements=items)])


def _section(mrkdwn: str) -> Block:
    text = mrkdwn if len(mrkdwn) <= SECTION else mrkdwn[: SECTION - 1] + "…"
    return SectionBlock(text=MarkdownTextObject(text=text))


def _cut(text: str, most: int) -> str:
    """In one line, and no longer than `most`; never empty: Slack refuses that."""
    line = " ".join(text.split())
    return (line if len(line) <= most else line[: most - 1] + "…") or "…"
