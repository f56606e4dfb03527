"""What must be true when a storm is over, worked out from what people did alone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from deploy.storm.acts import MENTION, RATING, STAFF, Act, Do, Story

CODE = re.compile(r"\bs\d+v\d+\b")


class Rating(NamedTuple):
    """One person's standing rating of one message."""

    on: str  # the message's name, or "answer:NAME"
    who: str
    kind: str


@dataclass
class Ending:
    """How Slack and the store must look."""

    # By the question's name: its one answer holds one of these codes, of the question's last words
    # or of what staff put in the answer's place.
    answered: dict[str, set[str]] = field(default_factory=dict)
    standing: set[Rating] = field(default_factory=set)

    @property
    def learned(self) -> set[Rating]:
        """The ratings that must have made a live example."""
        return {rating for rating in self.standing if rating.kind != "reject"}


def ending(stories: Iterable[Story]) -> Ending:
    """Where the stories must end."""
    whole = Ending()
    for story in stories:
        one = _Thread()
        for act in story:
            one.see(act)
        one.add_to(whole)
    return whole


class _Thread:
    """A thread as a careful reader sees it who knows everything in its true order."""

    def __init__(self) -> None:
        self._words: dict[str, str] = {}
        self._authors: dict[str, str] = {}
        self._advice: set[str] = set()
        self._asked: set[str] = set()
        self._ratings: dict[tuple[str, str], str] = {}  # (on, who) → kind, the latest one

    def see(self, act: Act) -> None:
        """Take an act into account."""
        if act.do is Do.REACT and self._counts(act):
            self._ratings[act.on, act.who] = RATING[act.words]
        elif act.do is Do.UNREACT and self._ratings.get((act.on, act.who)) == RATING[act.words]:
            del self._ratings[act.on, act.who]
        elif act.do in (Do.SAY, Do.EDIT, Do.DELETE):
            self._write(act)

    def add_to(self, whole: Ending) -> None:
        """Add how it ended."""
        for name, words in self._words.items():
            code = CODE.search(words)
            if name in self._asked and code is not None:
                whole.answered[name] = {code[0]} | self._advice
        whole.standing |= {Rating(on, who, kind) for (on, who), kind in self._ratings.items()}

    def _write(self, act: Act) -> None:
        self._words[act.on] = act.words
        self._authors.setdefault(act.on, act.who)
        if act.who in STAFF:
            self._advice |= set(CODE.findall(act.words))
        if MENTION in act.words:
            self._asked.add(act.on)
        if act.do is not Do.SAY:  # what was rated is not there any more
            about = {act.on, f"answer:{act.on}"}
            self._ratings = {
                key: kind for key, kind in self._ratings.items() if key[0] not in about
            }

    def _counts(self, act: Act) -> bool:
        """Only staff teach; 📝 is for one's own reply."""
        own = self._authors.get(act.on) == act.who
        return act.who in STAFF and (own or RATING[act.words] != "correct")
