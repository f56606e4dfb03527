"""Feedback: each person's newest rating of an answer counts, once, until it is taken back."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import select

from bot import examples, feedback
from bot.store.database import reading, transaction
from bot.store.schema import (
    Answer,
    AnswerMode,
    Audit,
    Example,
    ExampleStatus,
    Feedback,
    FeedbackKind,
    Question,
    Release,
    now,
)
from tests.bot.taught import TEAM

_clock = count(1)


def _rate(engine: Engine, kind: FeedbackKind, ts: str = "1.1", **more: Any) -> tuple[int, bool]:
    """Record a rating by U0STAFF in #help; approvals and corrections get an example."""
    with transaction(engine) as session:
        fields: dict[str, Any] = {"team_id": TEAM, "channel": "C0HELP", "user": "U0STAFF", **more}
        given, new = feedback.record(session, target_ts=ts, kind=kind, **fields)
        assert given.id is not None
        if new and kind in (FeedbackKind.APPROVE, FeedbackKind.CORRECT):
            draft = examples.draft("Which port is it?", given.correction or f"Port {ts}.")
            examples.add(
                session,
                draft,
                team_id=given.team_id,
                feedback_id=given.id,
                approved_by=given.user,
                sources=[("C0HELP", ts)],
            )
        return given.id, new


def _take_back(engine: Engine, kind: FeedbackKind, ts: str = "1.1", **more: Any) -> Feedback | None:
    with transaction(engine) as session:
        fields: dict[str, Any] = {"team_id": TEAM, "channel": "C0HELP", "user": "U0STAFF", **more}
        return feedback.revoke(session, target_ts=ts, kind=kind, **fields)


def _counts(engine: Engine) -> list[int | None]:
    """The ids of the ratings that count."""
    with reading(engine) as session:
        rows = session.exec(select(Feedback).order_by("id"))
        return [row.id for row in rows if row.revoked_at is None]


def _status(engine: Engine, feedback_id: int) -> ExampleStatus:
    with reading(engine) as session:
        return session.exec(select(Example).where(Example.feedback_id == feedback_id)).one().status


def _answer(engine: Engine) -> int:
    """An answer of the bot, to be rated."""
    with transaction(engine) as session:
        ts = f"9.{next(_clock)}"
        place: dict[str, Any] = {"team_id": TEAM, "channel": "C0HELP"}
        question = Question(thread_ts=ts, ts=ts, user="U0ASKER", text="Which port?", **place)
        release = Release(team_id=TEAM, number=next(_clock))
        session.add_all([question, release])
        session.flush()
        answer = Answer(
            question_id=question.id or 0,
            release_id=release.id or 0,
            mode=AnswerMode.CLOSED_BOOK,
            text="Port 80.",
            **place,
        )
        session.add(answer)
        session.flush()
        assert answer.id is not None
        return answer.id


def test_the_same_rating_twice_is_recorded_once(engine: Engine) -> None:
    """An event delivered again returns the first row, marked as not new."""
    first, new = _rate(engine, FeedbackKind.APPROVE)
    again, newer = _rate(engine, FeedbackKind.APPROVE)
    assert (first, new, newer) == (again, True, False)
    assert _counts(engine) == [first]


def test_two_people_each_have_their_say(engine: Engine) -> None:
    """One person's rating never touches another's."""
    mine, _ = _rate(engine, FeedbackKind.APPROVE)
    theirs, _ = _rate(engine, FeedbackKind.REJECT, user="U0STAFF2")
    elsewhere, _ = _rate(engine, FeedbackKind.REJECT, team_id="T0OTHER")
    assert _counts(engine) == [mine, theirs, elsewhere]
    assert _status(engine, mine) == ExampleStatus.LIVE


def test_a_newer_rating_revokes_the_older_and_its_example(store: Engine) -> None:
    """✅ and then ❌ by the same person: what was learned is unlearned."""
    approved, _ = _rate(store, FeedbackKind.APPROVE)
    rejected, new = _rate(store, FeedbackKind.REJECT)
    assert new
    assert _counts(store) == [rejected]
    assert _status(store, approved) == ExampleStatus.REVOKED


def test_a_correction_replaces_the_approval_of_the_same_answer(store: Engine) -> None:
    """The reply that corrects is another message, but rates the same answer."""
    answer = _answer(store)
    approved, _ = _rate(store, FeedbackKind.APPROVE, answer_id=answer)
    corrected, _ = _rate(
        store, FeedbackKind.CORRECT, "1.2", answer_id=answer, correction="Port 7411."
    )
    assert _counts(store) == [corrected]
    assert _status(store, approved) == ExampleStatus.REVOKED
    assert _status(store, corrected) == ExampleStatus.LIVE


def test_a_changed_correction_is_a_new_rating(engine: Engine) -> None:
    """The same message with other words replaces what was learned from it before."""
    first, _ = _rate(engine, FeedbackKind.CORRECT, correction="Port 80 it is.")
    second, new = _rate(engine, FeedbackKind.CORRECT, correction="Port 7411 it is.")
    assert new
    assert _counts(engine) == [second]
    assert _status(engine, first) == ExampleStatus.REVOKED


def test_asking_for_help_is_no_rating(engine: Engine) -> None:
    """🆘 beside ✅ takes nothing back."""
    approved, _ = _rate(engine, FeedbackKind.APPROVE)
    escalated, _ = _rate(engine, FeedbackKind.ESCALATE)
    assert _counts(engine) == [approved, escalated]
    assert _status(engine, approved) == ExampleStatus.LIVE


@pytest.mark.parametrize("kind", [FeedbackKind.APPROVE, FeedbackKind.CORRECT])
def test_taking_a_rating_back_revokes_its_example(engine: Engine, kind: FeedbackKind) -> None:
    """Removing the reaction unlearns; giving it again is a new rating."""
    first, _ = _rate(engine, kind)
    taken = _take_back(engine, kind)
    assert taken is not None
    assert taken.id == first
    assert _counts(engine) == []
    assert _status(engine, first) == ExampleStatus.REVOKED
    second, new = _rate(engine, kind)
    assert (new, _counts(engine)) == (True, [second])
    assert _status(engine, second) == ExampleStatus.LIVE


def test_only_ones_own_rating_of_that_kind_is_taken_back(store: Engine) -> None:
    """Another person's, another message's or another kind's rating stays, and None says so."""
    given, _ = _rate(store, FeedbackKind.APPROVE)
    assert _take_back(store, FeedbackKind.REJECT) is None
    assert _take_back(store, FeedbackKind.APPROVE, "1.2") is None
    assert _take_back(store, FeedbackKind.APPROVE, user="U0STAFF2") is None
    assert _take_back(store, FeedbackKind.APPROVE, team_id="T0OTHER") is None
    assert _counts(store) == [given]


def test_every_rating_and_every_taking_back_is_audited(engine: Engine) -> None:
    """Who said what of which answer can be read afterwards."""
    _rate(engine, FeedbackKind.APPROVE)
    _take_back(engine, FeedbackKind.APPROVE)
    with reading(engine) as session:
        rows = session.exec(select(Audit).order_by("id"))
        said = [(row.actor, row.action, row.subject) for row in rows]
    assert said[0] == ("U0STAFF", "feedback.approve", "feedback:1")
    assert ("U0STAFF", "feedback.revoke", "feedback:1") in said
    assert ("U0STAFF", "example.revoke", "example:1") in said


def _corrected(engine: Engine, given: int, answer: int) -> int:
    """The answer that a correction put in the place of another."""
    with transaction(engine) as session:
        wrong = session.get_one(Answer, answer)
        wrong.replaced_at = now()
        session.add(wrong)
        session.flush()
        made = Answer(
            team_id=TEAM, channel="C0HELP", question_id=wrong.question_id, text="Port 9443.",
            release_id=wrong.release_id, mode=AnswerMode.CORRECTED, correction_id=given,
        )  # fmt: skip
        session.add(made)
        session.flush()
        return made.id or 0


def test_approving_ones_own_correction_agrees_and_rejecting_it_takes_it_back(store: Engine) -> None:
    """✅ on the corrected answer leaves the correction; ❌ on it does not."""
    wrong = _answer(store)
    correction = {"correction": "Port 9443.", "answer_id": wrong}
    given, _ = _rate(store, FeedbackKind.CORRECT, "1.1", **correction)
    right = _corrected(store, given, wrong)
    approved, _ = _rate(store, FeedbackKind.APPROVE, "1.1", answer_id=right)
    assert _counts(store) == [given, approved]
    assert not _rate(store, FeedbackKind.CORRECT, "1.1", **{**correction, "answer_id": right})[1]
    rejected, _ = _rate(store, FeedbackKind.REJECT, "1.2", answer_id=right)
    assert _counts(store) == [rejected]


def test_a_decision_is_no_reaction(engine: Engine) -> None:
    """Taking one's ✅ away leaves what one settled on a review card."""
    answer = _answer(engine)
    approved, _ = _rate(engine, FeedbackKind.APPROVE, answer_id=answer)
    with transaction(engine) as session:
        rated = session.get_one(Answer, answer)
        rated.ts = "1.1"
        decision = feedback.decide(session, rated, FeedbackKind.APPROVE, "U0STAFF").id
    taken = _take_back(engine, FeedbackKind.APPROVE)
    assert taken is not None
    assert taken.id == approved
    assert _counts(engine) == [decision]
