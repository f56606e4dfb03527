"""What a file holds: questions with their answers, and where each stands."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from bot.mrkdwn import escape

Source = tuple[str, str]  # channel and ts of a Slack message
Tell = Callable[[str, int, int], None]  # what is done, how much of it, of how much
MOST_NAMED = 5
_USER = re.compile(r"[UW][A-Z0-9]{2,20}")
_CHANNEL = re.compile(r"[CDG][A-Z0-9]{2,20}")


class BadFile(Exception):
    """A file that cannot be read; the message is one line with the place and what is wrong."""

    def __init__(self, place: str, what: str) -> None:
        super().__init__(printable(f"{place}: {what}"))


@dataclass(frozen=True)
class Mark:
    """Somebody's ✅ or 📝 on a message in Slack."""

    kind: Literal["approve", "correct"]
    channel: str
    ts: str
    user: str
    words: str = ""  # what the message says


@dataclass(frozen=True)
class Pair:
    """A question and its answer, in Slack's markup (mrkdwn)."""

    place: str
    question: str
    answer: str
    rejected: str | None = None
    scope: str | None = None  # the only channel in which it may be used
    approver: str | None = None  # whose word it is, where the file says so
    sources: tuple[Source, ...] = ()
    mark: Mark | None = None  # the approval, where it was given in Slack
    refusal: str | None = None  # why it cannot be learned, whatever its words are


@dataclass(frozen=True)
class Contents:
    """What a reader found.

    `notes` are lines for whoever imports: what was passed over, and why.
    """

    kind: str
    pairs: Sequence[Pair]
    notes: Sequence[str] = field(default=())


def pair(
    place: str,
    question: str,
    answer: str,
    *,
    rejected: str | None = None,
    scope: str | None = None,
    approver: str | None = None,
) -> Pair:
    """A pair of plain texts: what looks like Slack's markup in them is none.

    Raises:
        BadFile: `scope` or `approver` is not an id that Slack gives.
    """
    if scope and not is_channel(scope):
        raise BadFile(place, f"channel {short(scope)} is no channel id (C…, G… or D…)")
    if approver and not is_user(approver):
        raise BadFile(place, f"approved_by {short(approver)} is no Slack user id (U… or W…)")
    return Pair(
        place, escape(question), escape(answer), escape(rejected) if rejected else None,
        scope or None, approver or None,
    )  # fmt: skip


def is_user(name: str) -> bool:
    """Whether it is the id of one person in Slack."""
    return _USER.fullmatch(name) is not None


def is_channel(name: str) -> bool:
    """Whether it is the id of a conversation in Slack."""
    return _CHANNEL.fullmatch(name) is not None


def printable(text: str) -> str:
    """A text without what would move a terminal's cursor: names in files are anybody's."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def not_used(what: str, names: Sequence[str]) -> list[str]:
    """A note that names what a reader passed over."""
    shown = [*names[:MOST_NAMED]] + ["…"] * (len(names) > MOST_NAMED)
    return [f"{what} not used: {', '.join(shown)}"] if names else []


def short(text: str) -> str:
    """A text from a file, quoted and cut, for a line that says what is wrong with it."""
    return repr(text if len(text) <= 40 else text[:39] + "…")
