"""What people do in Slack, one thing at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from deploy.personas import BOT

MENTION = f"<@{BOT}>"
RATING = {"white_check_mark": "approve", "x": "reject", "memo": "correct"}
STAFF = ("staff", "staff2")


class Do(StrEnum):
    """The kinds of acts."""

    SAY = "say"
    EDIT = "edit"
    DELETE = "delete"
    REACT = "react"
    UNREACT = "unreact"


class Wait(StrEnum):
    """What a person sees before they act."""

    NOTHING = "nothing"
    ANSWERED = "answered"  # the thread's questions are answered, to their words as they are then
    RECORDED = "recorded"  # the ratings so far have been handled


@dataclass(frozen=True)
class Act:
    """One act. Messages have names, for they get a ts only when they are said.

    `on` names the message; "answer:NAME" is the bot's answer to the question NAME.
    """

    do: Do
    who: str  # a persona
    on: str
    words: str = ""  # of a message; of a reaction, its name
    thread: str = ""  # the name of the thread's first message, for a reply
    wait: Wait = Wait.NOTHING


Story = Sequence[Act]  # the acts of one thread, in their order
