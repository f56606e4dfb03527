"""A workspace with a past: the help desk of Fernloft, as people have used it for three weeks.

Askers asked, staff answered in the thread and marked their answers with 📝. The events of it wait
for the app: once a bot connects, it learns from them as from any other human answers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from deploy import helpdesk
from deploy.helpdesk import Fact
from deploy.personas import CHANNEL, REAL_NAMES
from deploy.sandbox.people import User
from deploy.sandbox.state import Clock
from deploy.sandbox.world import Content, World

# The first steps' own (`sandbox/page/first_steps.js`): nobody there has answered it yet.
WALK = "q01"
# Nobody has asked these either: the other ports, which Mynah would quote in answer to it, what it
# would quote in answer to those, and a few more to try.
UNKNOWN = (WALK, "q02", "q03", "q11", "q20", "q46", "o02")
DAYS = 21
TAUGHT = 4  # of each fact's wordings; the last one is for measuring, and never said here
ANSWERED_S = 240  # how long an asker waited for staff
MARKED_S = 20  # … and how long after that the 📝 came
_OPS = (
    (0.1, "admin", "Fernloft 5 is on both servers now. Tell me if something looks odd."),
    (0.4, "staff", "The backup of last night took twice as long, I am looking into it."),
    (0.41, "staff", "It was the new disk. Solved."),
    (0.7, "staff2", "I answer <#C0HELP> this week, Priya is away until Thursday."),
    (0.98, "asker2", "Thank you all for the quick answers this month!"),
)


@dataclass(frozen=True)
class Thread:
    """A question in #help, and what staff answered."""

    asker: str
    question: str
    staff: str
    answer: str


def threads() -> list[Thread]:
    """The past of #help, the oldest first: round by round, each time in other words."""
    known = [f for f in helpdesk.load() if f.kind != "near" and f.id not in UNKNOWN]
    askers, staff = ("asker", "asker2", "guest"), ("staff", "staff2")
    return [
        Thread(askers[number % 3], question, staff[number % 2], answer)
        for number, (question, answer) in enumerate(_rounds(known))
    ]


def plant(world: World) -> None:
    """Let it all have happened, each thing at its own time, and name the people."""
    for name, real in REAL_NAMES.items():
        world.workspace.users[_id(name)].real_name = real
    world.changed("people")
    found = threads()
    moments: list[tuple[float, Callable[[_Past], None]]] = [
        (number / len(found), partial(_ask_and_answer, world, thread))
        for number, thread in enumerate(found)
    ]
    moments += [(share, partial(_chat, world, who, text)) for share, who, text in _OPS]
    with _past(world) as past:
        for share, happens in sorted(moments, key=lambda moment: moment[0]):
            past.at = past.began + share * DAYS * 86400
            happens(past)


@dataclass
class _Past:
    """What time it was."""

    began: float
    at: float = 0.0


@contextmanager
def _past(world: World) -> Iterator[_Past]:
    """Let the workspace's clock go from three weeks ago, as it is told."""
    space, past = world.workspace, _Past(time.time() - DAYS * 86400)
    now, space.clock = space.clock, Clock(lambda: past.at)
    try:
        yield past
    finally:
        space.clock = now


def _ask_and_answer(world: World, thread: Thread, past: _Past) -> None:
    channel = world.workspace.channels[CHANNEL]
    root = world.post(_user(world, thread.asker), channel, Content(thread.question))
    past.at += ANSWERED_S
    reply = world.post(_user(world, thread.staff), channel, Content(thread.answer), root=root)
    past.at += MARKED_S
    world.react(reply.user, channel, reply, "memo", add=True)


def _chat(world: World, who: str, text: str, _past: _Past) -> None:
    world.post(_user(world, who), world.workspace.channels["C0OPS"], Content(text))


def _rounds(known: list[Fact]) -> Iterator[tuple[str, str]]:
    for number in range(TAUGHT):
        for fact in known:
            if number < len(fact.wordings[:TAUGHT]):
                yield fact.wordings[number], fact.answer


def _user(world: World, name: str) -> User:
    return world.workspace.users[_id(name)]


def _id(name: str) -> str:
    return f"U0{name.upper()}"
