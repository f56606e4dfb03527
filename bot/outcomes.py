"""How threads went, by what people did: one outcome a thread, good or bad.

A thread is what is dealt to one release or the other, so it is what counts, once, however much is
said in it. It went

- well, where somebody approved an answer in it (staff's ✅, the asker's 👍);
- badly, where somebody rejected or corrected one (❌, 📝, 👎), where somebody asked for a person
  (🆘), where people had to take a case that Mynah opened by itself, or where who had asked soon
  asked nearly the same again;
- neither, where nobody said anything.

Where people said both, it went badly: the approval of one answer does not undo that another one was
wrong, nor that somebody was misled. What a decision on a review card settled counts as it was
settled. Whoever was distrusted (`bot.examples.counts`) says nothing here either.

Three things are not looked at. What memory alone quoted: it is the same words whatever release
answers. What staff wrote in the place of an answer: whoever rates that rates staff. And deleted
questions. A stand-in by the base model, while the release is not ready, counts for the release that
the thread was dealt: to leave it out would compare threads that were not dealt by chance. All that
comes through one API key is one person's word.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, exists, or_, select

from bot import examples
from bot.alike import comparable, limits
from bot.cases import MYNAH
from bot.embedder import LexicalEmbedder
from bot.store.schema import (
    Answer,
    AnswerExample,
    AnswerMode,
    Case,
    CaseStatus,
    Feedback,
    FeedbackKind,
    Question,
    ThreadRelease,
)

AGAIN = timedelta(hours=2)  # who asks the same within this time was not helped
WELL = (FeedbackKind.APPROVE, FeedbackKind.HELPFUL)
API = "api:"  # how a user begins whom another system named
Thread = tuple[str, str]  # channel, and ts of its first message


class Sign(NamedTuple):
    """What one person did that says how a thread went."""

    thread: Thread
    release_id: int
    user: str
    good: bool
    at: datetime


class Outcome(NamedTuple):
    """How a thread went, and when that was known."""

    at: datetime
    release_id: int
    good: bool


class _Asked(NamedTuple):
    """A question in a thread that counts, the release dealt to it, and when it was answered."""

    question: Question
    release_id: int
    answered_at: datetime


def signs(session: Session, team_id: str, releases: Collection[int], since: datetime) -> list[Sign]:
    """What people did in threads that began after `since` and were dealt to these releases."""
    asked: dict[int, _Asked] = {}  # by question
    answers: dict[int, _Asked] = {}
    for question, answer, release_id in _answered(session, team_id, releases, since):
        # Of several answers to an edited question the first says when it was answered.
        one = asked.setdefault(answer.question_id, _Asked(question, release_id, answer.answered_at))
        answers[answer.id or 0] = one
    found = [
        *_ratings(session, team_id, answers, since),
        *_cases(session, team_id, asked, since),
        *_repeats(session, team_id, asked, since),
    ]
    return _counting(session, team_id, found)


def outcomes(said: Iterable[Sign], without: str | None = None) -> list[Outcome]:
    """One outcome a thread, in the order in which they were known: the earliest bad sign, or else
    the earliest good one.

    Args:
        without: a person whose word is left out.
    """
    found: dict[Thread, Outcome] = {}
    for one in sorted(said, key=lambda sign: (sign.good, sign.at)):
        if one.user != without:
            found.setdefault(one.thread, Outcome(one.at, one.release_id, one.good))
    return sorted(found.values())


def _answered(
    session: Session, team_id: str, releases: Collection[int], since: datetime
) -> Sequence[tuple[Question, Answer, int]]:
    """Questions with an answer that says something about its release, oldest first."""
    earlier = aliased(Question, name="earlier")
    here = (
        col(earlier.team_id) == Question.team_id,
        col(earlier.channel) == Question.channel,
        col(earlier.thread_ts) == Question.thread_ts,
    )
    began_before = exists().where(*here, col(earlier.asked_at) < since)
    dealt = (
        (col(ThreadRelease.team_id) == Question.team_id)
        & (col(ThreadRelease.channel) == Question.channel)
        & (col(ThreadRelease.thread_ts) == Question.thread_ts)
    )
    rows = (
        select(Question, Answer, ThreadRelease.release_id)
        .join(Answer, col(Answer.question_id) == Question.id)
        .join(ThreadRelease, dealt)
        .where(Question.team_id == team_id, col(Question.asked_at) >= since, ~began_before)
        .where(col(Question.deleted_at).is_(None), col(ThreadRelease.release_id).in_(releases))
        .where(Answer.mode != AnswerMode.CORRECTED, ~_by_memory_alone())
        .order_by(col(Answer.id))
    )
    return session.exec(rows).all()


def _by_memory_alone() -> ColumnElement[bool]:
    """For a query over Answer: quoted, and no weights had a word in that."""
    quoted = (AnswerMode.QUOTED, AnswerMode.QUOTED_AWAY)
    recognised = exists().where(
        col(AnswerExample.answer_id) == Answer.id,
        col(AnswerExample.recognised_logprob).is_not(None),
    )
    return col(Answer.mode).in_(quoted) & ~recognised


def _ratings(
    session: Session, team_id: str, answers: Mapping[int, _Asked], since: datetime
) -> Iterator[Sign]:
    """What people said of the answers; of one that was decided on, the last decision."""
    rows = (
        select(Feedback)
        .join(Answer, col(Answer.id) == col(Feedback.answer_id))
        .where(Feedback.team_id == team_id, col(Feedback.revoked_at).is_(None))
        .where(Answer.answered_at >= since)
        .order_by(col(Feedback.id))
    )
    given = [one for one in session.exec(rows) if one.answer_id in answers]
    decided = {one.answer_id: one.id for one in given if one.decides}
    for one in given:
        settled = decided.get(one.answer_id, one.id)
        if one.kind is FeedbackKind.ESCALATE or one.id == settled:
            yield _sign(answers[one.answer_id or 0], one.user, one.kind in WELL, one.given_at)


def _cases(
    session: Session, team_id: str, asked: Mapping[int, _Asked], since: datetime
) -> Iterator[Sign]:
    """Where somebody asked for a person, or people had to take what Mynah was not sure of."""
    taken = or_(col(Case.claimed_at).is_not(None), col(Case.resolved_at).is_not(None))
    rows = select(Case).where(
        Case.team_id == team_id, Case.opened_at >= since, Case.status != CaseStatus.WITHDRAWN,
        or_(col(Case.opened_by) != MYNAH, taken),
    )  # fmt: skip
    for case in session.exec(rows):
        if (one := asked.get(case.question_id or 0)) is None:
            continue
        by, at = case.opened_by, case.opened_at
        if by == MYNAH:
            by = case.claimed_by or case.resolved_by or by
            at = case.claimed_at or case.resolved_at or at
        yield _sign(one, by, False, at)


def _repeats(
    session: Session, team_id: str, asked: Mapping[int, _Asked], since: datetime
) -> Iterator[Sign]:
    """Where the person who had asked asked nearly the same again, soon after the answer."""
    rows = select(Question).where(
        Question.team_id == team_id, Question.asked_at >= since, col(Question.deleted_at).is_(None)
    )
    by_user: dict[str, list[Question]] = {}
    for question in session.exec(rows.order_by(col(Question.asked_at), col(Question.id))):
        by_user.setdefault(question.user, []).append(question)
    for user, questions in by_user.items():
        for first, later in _alike(questions):
            one = asked.get(first.id or 0)
            if one is not None and one.answered_at < later.asked_at:
                yield _sign(one, user, False, later.asked_at)


def _alike(questions: Sequence[Question]) -> Iterator[tuple[Question, Question]]:
    """Those of one person's questions, oldest first, that ask nearly the same soon after another.

    Only words are compared, without a sentence model: every process comes to the same result, and
    two questions with so many words in common hardly ever ask for different things.
    """
    if len(questions) < 2:
        return
    embedder = LexicalEmbedder()
    rows, least = embedder.embed([one.text for one in questions]), limits(embedder.name).possible
    for place, first in enumerate(questions):
        for other, later in enumerate(questions[place + 1 :], place + 1):
            if later.asked_at > first.asked_at + AGAIN:
                break
            if rows[place] @ rows[other] >= least and comparable(first.text, later.text):
                yield first, later


def _counting(session: Session, team_id: str, said: Sequence[Sign]) -> list[Sign]:
    """Without what was said by people of whom it was taken back with all the rest."""
    users = {one.user for one in said}
    until = {user: examples.distrusted_at(session, team_id, user) for user in users}
    counting = [one for one in said if (at := until[one.user]) is None or one.at > at]
    return [one._replace(user=_person(one.user)) for one in counting]


def _person(user: str) -> str:
    """Who said it. Whoever holds an API key may name anybody: all of its people are one."""
    return user.partition("/")[0] if user.startswith(API) else user


def _sign(one: _Asked, user: str, good: bool, at: datetime) -> Sign:
    thread = (one.question.channel, one.question.thread_ts)
    return Sign(thread, one.release_id, user, good, at)
