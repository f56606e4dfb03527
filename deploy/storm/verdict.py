"""What a storm did: Slack and the store as they are, against how they must be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine
from sqlmodel import col, select

from bot.store.database import reading
from bot.store.schema import Example, ExampleStatus, Feedback, FeedbackKind, InboxEvent, Status
from deploy.storm.acts import RATING, Story
from deploy.storm.ending import Ending, Rating, ending
from deploy.storm.people import Message, People, shown


@dataclass
class Verdict:
    """Every deviation, in words, by what it counts as."""

    lost: list[str] = field(default_factory=list)  # a question unanswered, a rating not recorded
    duplicate_answers: list[str] = field(default_factory=list)
    unwanted_answers: list[str] = field(default_factory=list)  # to what was deleted or reworded
    wrong_feedback: list[str] = field(default_factory=list)  # it stands, or teaches, and must not
    given_up: list[str] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """How many of each."""
        return {name: len(found) for name, found in vars(self).items()}

    def lines(self) -> list[str]:
        """All of them, one a line."""
        return [f"{name}: {line}" for name, found in vars(self).items() for line in found]


def judge(stories: Sequence[Story], people: People, engine: Engine) -> Verdict:
    """Compare what is with what must be."""
    verdict, whole = Verdict(), ending(stories)
    for story in stories:
        judge_answers(verdict, ending([story]), people.answers(story[0].on))
    names = {ts: name for name, ts in people.ts.items()}
    judge_ratings(verdict, whole, names, engine)
    verdict.given_up = _given_up(engine)
    return verdict


def judge_answers(verdict: Verdict, wanted: Ending, answers: Sequence[Message]) -> None:
    """Add what is wrong with one thread's answers."""
    right: list[Message] = []
    for name, codes in wanted.answered.items():
        found = shown(answers, codes)
        right += found
        if not found:
            said = [one["text"] for one in answers]
            verdict.lost.append(f"{name} has no answer to {sorted(codes)}; there is {said}")
        elif len(found) > 1:
            verdict.duplicate_answers.append(f"{name} is answered {len(found)} times")
    verdict.unwanted_answers += [one["text"] for one in answers if one not in right]


def judge_ratings(
    verdict: Verdict, wanted: Ending, names: Mapping[str, str], engine: Engine
) -> None:
    """Add what is wrong with the ratings. `names` are those of messages, by ts."""
    stand, learned = standing(engine, names)
    verdict.lost += [f"not recorded: {_line(one)}" for one in wanted.standing - stand]
    wrong = {
        "must not stand": stand - wanted.standing,
        "must not be live": learned - wanted.learned,
        "taught nothing": (wanted.learned & stand) - learned,
    }
    for what, ratings in wrong.items():
        verdict.wrong_feedback += [f"{what}: {_line(one)}" for one in sorted(ratings)]


def standing(engine: Engine, names: Mapping[str, str]) -> tuple[set[Rating], set[Rating]]:
    """The ratings that stand, and those with a live example.

    Args:
        names: of messages, by ts.
    """
    with reading(engine) as session:
        given = session.exec(select(Feedback).where(col(Feedback.revoked_at).is_(None))).all()
        live = select(Feedback).join(Example, col(Example.feedback_id) == col(Feedback.id))
        taught = session.exec(live.where(Example.status == ExampleStatus.LIVE)).all()
    return _ratings(given, names), _ratings(taught, names)


def _ratings(rows: Iterable[Feedback], names: Mapping[str, str]) -> set[Rating]:
    return {
        Rating(names.get(row.target_ts, row.target_ts), row.user[2:].lower(), row.kind.value)
        for row in rows
        if row.kind in (FeedbackKind(kind) for kind in RATING.values())
    }


def _given_up(engine: Engine) -> list[str]:
    with reading(engine) as session:
        rows = session.exec(select(InboxEvent).where(InboxEvent.status == Status.FAILED))
        return [f"inbox row {row.id} ({row.kind}): {row.error}" for row in rows]


def _line(rating: Rating) -> str:
    return f"{rating.kind} by {rating.who} of {rating.on}"


def figures(verdict: Verdict, **more: Any) -> dict[str, Any]:
    """What the report holds."""
    return {**more, **verdict.counts(), "deviations": verdict.lines()}
