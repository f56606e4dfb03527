"""What people will do in a storm: stories of one thread each, made from a seed.

In every story the end is certain, in whatever order its events arrive: where two acts would race
for it, the second waits for what the first brought about.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from deploy.storm.acts import MENTION, STAFF, Act, Do, Story, Wait

ASKERS = ("asker", "asker2")
CONSONANTS, VOWELS = "bcdfghjklmnprstvwxz", "aeiou"


def plan(seed: int, acts: int) -> list[Story]:
    """As many stories as make `acts` acts."""
    dice = Random(seed)  # noqa: S311 - a storm, not a secret
    stories: list[Story] = []
    left = acts
    while left:
        story = dice.choice(STORIES)(_Author(dice, f"s{len(stories)}"))
        if len(story) > left:  # the last ones only ask
            story = story[:1] if story[0].wait is Wait.NOTHING else story
        stories.append(story)
        left -= len(story)
    return stories


class _Author:
    """Writes one story: each wording of each message has a code of its own, such as `s7v2`."""

    def __init__(self, dice: Random, name: str) -> None:
        self.dice = dice
        self.name = name
        self.asker = dice.choice(ASKERS)
        self.staff = dice.choice(STAFF)
        self.answer = f"answer:{name}"
        self._wordings = 0

    def question(self) -> str:
        """A question in new words, mention and all."""
        return f"{MENTION} {self.plea()}"

    def plea(self) -> str:
        """A question in new words to nobody."""
        return f"{self._word()} {self._word()} {self._word()} {self.code()}?"

    def advice(self) -> str:
        """An answer in new words."""
        return f"{self._word()} {self._word()} {self.code()}."

    def _word(self) -> str:
        # Invented ones: nobody's question is like another's, so that memory matches none to it.
        pairs = (self.dice.choice(CONSONANTS) + self.dice.choice(VOWELS) for _ in range(4))
        return "".join(pairs)

    def code(self) -> str:
        """A word that nothing else says."""
        self._wordings += 1
        return f"{self.name}v{self._wordings}"

    def asks(self, words: str = "") -> Act:
        """The question that begins the thread."""
        return Act(Do.SAY, self.asker, self.name, words or self.question())

    def edits(self, words: str = "", wait: Wait = Wait.NOTHING) -> Act:
        """The question in other words."""
        return Act(Do.EDIT, self.asker, self.name, words or self.question(), wait=wait)

    def deletes(self, wait: Wait = Wait.NOTHING) -> Act:
        """The question taken back."""
        return Act(Do.DELETE, self.asker, self.name, wait=wait)

    def replies(self, who: str, words: str, wait: Wait = Wait.NOTHING) -> Act:
        """A reply of a person, named NAME.reply."""
        return Act(Do.SAY, who, self.reply, words, thread=self.name, wait=wait)

    @property
    def reply(self) -> str:
        """The name of the thread's one reply by a person."""
        return f"{self.name}.reply"

    def rates(self, who: str, emoji: str, on: str) -> list[Act]:
        """A reaction, which may be taken away, and may be put again."""
        times = self.dice.choice((1, 1, 2, 3))
        first = Act(Do.REACT, who, on, emoji, wait=Wait.ANSWERED)
        again = Act(Do.REACT, who, on, emoji)
        return [first, Act(Do.UNREACT, who, on, emoji), again][:times]


def _asked(one: _Author) -> Story:
    return [one.asks()]


def _reworded(one: _Author) -> Story:
    return [one.asks(), *(one.edits() for _ in range(one.dice.choice((1, 2, 3))))]


def _reworded_when_answered(one: _Author) -> Story:
    return [one.asks(), one.edits(wait=Wait.ANSWERED), *one.dice.choice(([], [one.edits()]))]


def _regretted(one: _Author) -> Story:
    return [one.asks(), *one.dice.choice(([], [one.edits()])), one.deletes()]


def _regretted_when_answered(one: _Author) -> Story:
    return [one.asks(), one.deletes(wait=Wait.ANSWERED)]


def _emptied(one: _Author) -> Story:
    return [one.asks(), one.edits(MENTION, one.dice.choice((Wait.NOTHING, Wait.ANSWERED)))]


def _emptied_and_filled(one: _Author) -> Story:
    return [*_emptied(one), one.edits()]


def _filled(one: _Author) -> Story:
    return [one.asks(MENTION), one.edits()]


def _addressed_late(one: _Author) -> Story:
    return [one.asks(one.plea()), one.edits()]


def _approved(one: _Author) -> Story:
    return [one.asks(), *one.rates(one.staff, "white_check_mark", one.answer)]


def _rejected(one: _Author) -> Story:
    return [one.asks(), *one.rates(one.staff, "x", one.answer)]


def _approved_by_two(one: _Author) -> Story:
    both = [one.rates(who, "white_check_mark", one.answer) for who in STAFF]
    return [one.asks(), *both[0], *both[1]]


def _rated_by_nobody(one: _Author) -> Story:
    return [one.asks(), *one.rates(one.asker, "white_check_mark", one.answer),
            *one.rates("guest", "x", one.answer)]  # fmt: skip


def _rated_anew(one: _Author) -> Story:
    wait = one.dice.choice((Wait.NOTHING, Wait.RECORDED))
    second = Act(Do.REACT, one.staff, one.answer, "x", wait=wait)
    first = Act(Do.REACT, one.staff, one.answer, "white_check_mark", wait=Wait.ANSWERED)
    return [one.asks(), first, second]


def _approved_then_reworded(one: _Author) -> Story:
    approves = Act(Do.REACT, one.staff, one.answer, "white_check_mark", wait=Wait.ANSWERED)
    return [one.asks(), approves, one.edits(wait=Wait.RECORDED)]


def _approved_then_regretted(one: _Author) -> Story:
    approves = Act(Do.REACT, one.staff, one.answer, "white_check_mark", wait=Wait.ANSWERED)
    return [one.asks(), approves, one.deletes()]


def _corrected(one: _Author) -> Story:
    corrects = one.rates(one.staff, "memo", one.reply)
    return [one.asks(), one.replies(one.staff, one.advice(), Wait.ANSWERED), *corrects]


def _corrected_after_a_slip(one: _Author) -> Story:
    replies, *corrects = _corrected(one)[1:]
    slip = Act(Do.EDIT, one.staff, one.reply, one.advice())
    return [one.asks(), replies, slip, *corrects]


def _correction_reworded(one: _Author) -> Story:
    corrects = Act(Do.REACT, one.staff, one.reply, "memo", wait=Wait.ANSWERED)
    rewords = Act(Do.EDIT, one.staff, one.reply, one.advice(), wait=Wait.RECORDED)
    return [one.asks(), one.replies(one.staff, one.advice(), Wait.ANSWERED), corrects, rewords]


def _correction_deleted(one: _Author) -> Story:
    corrects = Act(Do.REACT, one.staff, one.reply, "memo", wait=Wait.ANSWERED)
    deletes = Act(Do.DELETE, one.staff, one.reply)
    return [one.asks(), one.replies(one.staff, one.advice(), Wait.ANSWERED), corrects, deletes]


def _followed_up(one: _Author) -> Story:
    more = [
        Act(Do.SAY, who, f"{one.name}.{number}", one.question(), thread=one.name)
        for number, who in enumerate(one.dice.sample(ASKERS, 2))
    ]
    return [one.asks(), *more, one.replies("guest", one.plea())]


def _answered_by_a_person(one: _Author) -> Story:
    helper, approver = one.dice.sample(STAFF, 2)
    says = one.replies(helper, one.advice())
    return [one.asks(one.plea()), says, *one.rates(approver, "white_check_mark", one.reply)]


STORIES: tuple[Callable[[_Author], Story], ...] = (
    _asked, _reworded, _reworded_when_answered, _regretted, _regretted_when_answered, _emptied,
    _emptied_and_filled, _filled, _addressed_late, _approved, _rejected, _approved_by_two,
    _rated_by_nobody, _rated_anew, _approved_then_reworded, _approved_then_regretted, _corrected,
    _corrected_after_a_slip, _correction_reworded, _correction_deleted, _followed_up,
    _answered_by_a_person,
)  # fmt: skip
