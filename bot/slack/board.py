"""The dashboard for admins on the Home tab: how Mynah is doing, and the levers. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slack_sdk.models.blocks import ActionsBlock, Block, HeaderBlock, RichTextElement

from bot.slack.pieces import Confirm, Linked, bullets, button, linked, section, text
from bot.store.schema import RATINGS
from bot.store.tallies import Ratings

TRAIN, ROLL_BACK, PAUSE, RESUME = "admin:train", "admin:rollback", "admin:pause", "admin:resume"
LEVERS = (TRAIN, ROLL_BACK, PAUSE, RESUME)
ENOUGH = 5  # ratings, for a rate that says anything


@dataclass(frozen=True)
class Rate:
    """How staff rated what a release answered."""

    name: str
    ratings: Ratings


@dataclass(frozen=True)
class Board:
    """What admins look at."""

    answered: Mapping[int, int]  # how many within the last so many days
    rates: Sequence[Rate]
    cases: int
    gaps: Sequence[tuple[Linked, int]]  # what nobody has taught yet, and how often it was asked
    state: Sequence[str]  # mrkdwn
    runs: Sequence[str]
    paused: bool
    back: int | None  # the release that a roll back goes to, if there is one


def blocks(board: Board) -> list[Block]:
    """The whole dashboard."""
    answers = ", ".join(f"{count} in {days} days" for days, count in board.answered.items())
    state = [*board.state, f"*Answers:* {answers}", f"*Open cases:* {board.cases}"]
    return [
        HeaderBlock(text="How I am doing"),
        section("\n".join(state)),
        *_list("Right answers by release", [[text(_rate(rate))] for rate in board.rates]),
        *_list("Last runs", [[text(run)] for run in board.runs] or [[text("none yet")]]),
        *_list("Asked, and taught by nobody yet", [_gap(*gap) for gap in board.gaps]),
        _levers(board),
    ]


def _list(title: str, rows: Sequence[Sequence[RichTextElement]]) -> list[Block]:
    return [section(f"*{title}*"), bullets(rows)] if rows else []


def _rate(rate: Rate) -> str:
    right, wrong, corrected = (rate.ratings.get(kind, 0) for kind in RATINGS)
    total = right + wrong + corrected
    share = f"{right / total:.0%}" if total >= ENOUGH else "not enough ratings"
    return f"{rate.name}: {share} ({right} right, {wrong} wrong, {corrected} corrected)"


def _gap(question: Linked, count: int) -> list[RichTextElement]:
    often = "once" if count == 1 else f"{count} times"
    return [linked(question), text(f" (asked {often})")]


def _levers(board: Board) -> Block:
    """Each button's value is the command that it stands for."""
    asks = Confirm("I learn from the approved answers now. It may take a while.", "Train")
    levers = [button(TRAIN, "Train now", "train", asks)]
    if board.back is not None:
        asks = Confirm(f"v{board.back} answers again, at once and in all threads.", "Roll back")
        value = f"rollback v{board.back}"
        levers.append(button(ROLL_BACK, "Roll back…", value, asks, style="danger"))
    if board.paused:
        asks = Confirm("Training goes on, and releases may go live again.", "Resume")
        return ActionsBlock(elements=[*levers, button(RESUME, "Resume", "resume", asks)])
    asks = Confirm(
        "Nothing is trained and nothing goes live until somebody resumes. I still answer.", "Pause"
    )
    return ActionsBlock(elements=[*levers, button(PAUSE, "Pause", "pause", asks)])
