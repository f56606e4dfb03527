"""Disputes: which ratings oppose each other, what is held for them, and how they end."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select

from bot import corrections, disputes, examples, feedback, releases
from bot.disputes import Dispute
from bot.store import answers, holds
from bot.store.database import reading, transaction
from bot.store.schema import (
    Answer,
    AnswerMode,
    Example,
    ExampleStatus,
    Feedback,
    FeedbackKind,
    Question,
    Release,
    now,
)
from tests.bot.taught import TEAM

HERE: dict[str, Any] = {"team_id": TEAM, "channel": "C0HELP"}
APPROVE, REJECT, CORRECT = FeedbackKind.APPROVE, FeedbackKind.REJECT, FeedbackKind.CORRECT


class Thread:
    """One question with its answer, and what people say of it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.quorum = 1
        with transaction(engine) as session:
            releases.ensure_team(session, TEAM)
            question = Question(thread_ts="1.0", ts="1.0", user="U0ASKER", text="Port?", **HERE)
            session.add(question)
            session.flush()
            self.question = question.id or 0
            self.answer = self._answered(session, "It is 80.")

    def _answered(self, session: Session, text: str) -> int:
        release = session.exec(select(Release.id)).one() or 0
        answer = Answer(
            question_id=self.question, text=text, mode=AnswerMode.CLOSED_BOOK, ts="2.0",
            release_id=release, **HERE,
        )  # fmt: skip
        session.add(answer)
        session.flush()
        return answer.id or 0

    def answered_again(self) -> None:
        """The question was edited, and has a new answer."""
        with transaction(self.engine) as session:
            before = answers.current(session, self.question)
            assert before is not None
            before.replaced_at = now()
            session.add(before)
            session.flush()
            self._answered(session, "It runs here.")

    def rate(self, user: str, kind: FeedbackKind, text: str | None = None) -> int:
        """Somebody rates what stands; an approval and a correction make an example."""
        with transaction(self.engine) as session:
            stands = answers.current(session, self.question)
            assert stands is not None
            given, _ = feedback.record(
                session, target_ts="2.0", user=user, kind=kind, answer_id=stands.id,
                correction=text, **HERE,
            )  # fmt: skip
            given_id = given.id or 0
            if kind in (APPROVE, CORRECT):
                examples.add(
                    session, examples.draft("Which port is it?", text or stands.text),
                    team_id=TEAM, feedback_id=given_id, approved_by=user, sources=[],
                    held=holds.WAITING if self.quorum > 1 else None,
                )  # fmt: skip
            if kind is CORRECT:
                corrections.put(session, given)
            self._follow(session)
            return given_id

    def take_back(self, given: int) -> None:
        """Take a rating back."""
        with transaction(self.engine) as session:
            feedback.withdraw(session, session.get_one(Feedback, given), "U0STAFF", "taken back")
            self._follow(session)

    def decide(self, *, right: bool) -> None:
        """Somebody settles the only dispute."""
        with transaction(self.engine) as session:
            [dispute] = disputes.review(session, self.question, self.quorum)
            disputes.decide(session, dispute, right=right, user="U3")
            self._follow(session)

    def open(self) -> list[Dispute]:
        """The disputes that are open."""
        with transaction(self.engine) as session:
            return disputes.review(session, self.question, self.quorum)

    def statuses(self) -> dict[str, str]:
        """What became of each example."""
        with reading(self.engine) as session:
            return {row.answer: row.status.value for row in session.exec(select(Example))}

    def standing(self) -> str:
        """The answer that stands."""
        with reading(self.engine) as session:
            found = answers.current(session, self.question)
            return found.text if found else ""

    def _follow(self, session: Session) -> None:
        corrections.settle(session, self.question, lambda _: [{}])
        disputes.review(session, self.question, self.quorum)


@pytest.fixture
def thread(store: Engine) -> Thread:
    """A thread on each database."""
    return Thread(store)


@pytest.mark.parametrize("against", [REJECT, CORRECT])
def test_one_approves_and_another_does_not(thread: Thread, against: FeedbackKind) -> None:
    """Whichever comes first: what they say is held."""
    thread.rate("U1", APPROVE)
    thread.rate("U2", against, "It is 81." if against is CORRECT else None)
    [dispute] = thread.open()
    assert [one.user for one in dispute.right] == ["U1"]
    assert [one.user for one in dispute.wrong] == ["U2"]
    assert set(thread.statuses().values()) == {"held"}


@pytest.mark.parametrize(
    "ratings",
    [
        [("U1", APPROVE), ("U2", APPROVE)],
        [("U1", REJECT), ("U2", REJECT)],
        [("U1", APPROVE), ("U1", REJECT)],
        [("U1", CORRECT), ("U2", CORRECT)],
        [("U1", CORRECT), ("U2", APPROVE)],
        [("U1", REJECT), ("U2", CORRECT)],
        [("U1", APPROVE), ("U2", FeedbackKind.UNHELPFUL)],
        [("U1", APPROVE), ("U2", FeedbackKind.ESCALATE)],
    ],
)
def test_what_is_no_dispute(thread: Thread, ratings: list[tuple[str, FeedbackKind]]) -> None:
    """People who agree, one person alone, the newer correction, and what is no word of staff."""
    for number, (user, kind) in enumerate(ratings):
        thread.rate(user, kind, f"It is 9{number}." if kind is CORRECT else None)
    assert thread.open() == []
    assert ExampleStatus.HELD not in thread.statuses().values()


def test_rejecting_a_correction_opposes_who_corrected(thread: Thread) -> None:
    """Settled as wrong, the correction is gone; settled as right, it counts again."""
    thread.rate("U1", CORRECT, "It is 81.")
    thread.rate("U2", REJECT)
    assert thread.statuses() == {"It is 81.": "held"}
    thread.decide(right=True)
    assert (thread.standing(), thread.statuses()) == ("It is 81.", {"It is 81.": "live"})
    thread.rate("U2", REJECT)  # against the decision, too
    thread.decide(right=False)
    assert (thread.standing(), thread.statuses()) == ("It is 80.", {"It is 81.": "revoked"})


def test_a_correction_that_is_in_two_disputes_is_held_for_both(thread: Thread) -> None:
    """Approved by one what it corrected, rejected by another: both have to end."""
    approved = thread.rate("U1", APPROVE)
    thread.rate("U2", CORRECT, "It is 81.")
    rejected = thread.rate("U3", REJECT)
    assert len(thread.open()) == 2
    thread.take_back(rejected)
    assert thread.statuses() == {"It is 80.": "held", "It is 81.": "held"}
    thread.take_back(approved)
    assert thread.open() == []
    assert thread.statuses() == {"It is 80.": "revoked", "It is 81.": "live"}


@pytest.mark.parametrize("right", [True, False])
def test_a_decision_takes_the_other_side_back(thread: Thread, right: bool) -> None:
    """Right: the approval counts and the answer is as it was. Wrong: the correction counts."""
    thread.rate("U1", APPROVE)
    thread.rate("U2", CORRECT, "It is 81.")
    thread.decide(right=right)
    wins, loses = ("It is 80.", "It is 81.") if right else ("It is 81.", "It is 80.")
    assert thread.statuses() == {wins: "live", loses: "revoked"}
    assert thread.standing() == wins
    assert thread.open() == []


def test_a_word_against_the_decision_is_a_new_dispute(thread: Thread) -> None:
    """A decision is somebody's word too."""
    thread.rate("U1", APPROVE)
    thread.rate("U2", REJECT)
    thread.decide(right=True)
    thread.rate("U4", REJECT)
    [dispute] = thread.open()
    assert {one.user for one in dispute.right} == {"U1", "U3"}
    assert thread.statuses() == {"It is 80.": "held"}


def test_an_answer_to_other_words_is_not_disputed(thread: Thread) -> None:
    """The question was edited: what was said of its old answer opposes nothing any more."""
    thread.rate("U1", APPROVE)
    thread.rate("U2", REJECT)
    assert len(thread.open()) == 1
    thread.answered_again()
    assert thread.open() == []


@pytest.fixture
def strict(thread: Thread) -> Thread:
    """Two of the staff have to say the same."""
    thread.quorum = 2
    return thread


def reasons(thread: Thread) -> set[str | None]:
    """Why the examples stand as they do."""
    with reading(thread.engine) as session:
        return {row.reason for row in session.exec(select(Example))}


@pytest.mark.parametrize("first", [APPROVE, CORRECT])
def test_one_of_two_is_not_enough(strict: Thread, first: FeedbackKind) -> None:
    """What one says is held until another says the same, and again when one takes it back."""
    strict.rate("U1", first, "It is 81." if first is CORRECT else None)
    assert (set(strict.statuses().values()), reasons(strict)) == ({"held"}, {holds.WAITING})
    second = strict.rate("U2", APPROVE)
    assert set(strict.statuses().values()) == {"live"}
    strict.take_back(second)
    with reading(strict.engine) as session:
        kept = session.exec(select(Example).where(Example.status != ExampleStatus.REVOKED)).all()
    assert [(one.status, one.reason) for one in kept] == [(ExampleStatus.HELD, holds.WAITING)]


def test_the_same_person_twice_is_one_voice(strict: Thread) -> None:
    """Approving one's own correction makes nobody else agree."""
    strict.rate("U1", CORRECT, "It is 81.")
    strict.rate("U1", APPROVE)
    assert set(strict.statuses().values()) == {"held"}


def test_who_is_alone_takes_nothing_from_what_was_agreed(strict: Thread) -> None:
    """Elsewhere one person answers the same question otherwise: what two agreed on counts, until
    another says so there, too."""
    strict.rate("U1", APPROVE)
    strict.rate("U2", APPROVE)
    for user, agreed, alone in (("U3", "live", "held"), ("U4", "retired", "live")):
        _approve_elsewhere(strict.engine, user)
        assert strict.statuses() == {"It is 80.": agreed, "It is 81.": alone}


def _approve_elsewhere(engine: Engine, user: str) -> None:
    """✅ on a person's answer in another thread, where two have to say so."""
    with transaction(engine) as session:
        given, _ = feedback.record(session, target_ts="5.0", user=user, kind=APPROVE, **HERE)
        examples.add(
            session, examples.draft("Which port is it?", "It is 81."), team_id=TEAM,
            feedback_id=given.id or 0, approved_by=user, sources=[], held=holds.WAITING,
        )  # fmt: skip
        disputes.review_person(session, given, 2)


def test_a_dispute_goes_before_the_quorum(strict: Thread) -> None:
    """Two agree and one does not: it is disputed; settled as right, it counts."""
    strict.rate("U1", APPROVE)
    strict.rate("U2", APPROVE)
    strict.rate("U4", REJECT)
    assert reasons(strict) == {holds.DISPUTED}
    strict.decide(right=True)
    assert set(strict.statuses().values()) == {"live"}


def test_whoever_settles_a_dispute_is_a_voice(strict: Thread) -> None:
    """One approved, one did not, and a third says that it is right: these are two."""
    strict.rate("U1", APPROVE)
    strict.rate("U2", REJECT)
    strict.decide(right=True)
    assert set(strict.statuses().values()) == {"live"}


def test_a_persons_answer_needs_two_as_well(store: Engine) -> None:
    """Who wrote it does not matter: a second ✅ on the same message frees what both taught."""
    with transaction(store) as session:
        releases.ensure_team(session, TEAM)
    seen = []
    for user in ("U1", "U2"):
        _approve_elsewhere(store, user)
        with reading(store) as session:
            seen.append({str(row.status) for row in session.exec(select(Example))})
    assert seen == [{"held"}, {"live"}]
    with transaction(store) as session:
        revoked = feedback.revoke(session, target_ts="5.0", user="U1", kind=APPROVE, **HERE)
        assert revoked is not None
        disputes.review_person(session, revoked, 2)
        assert [str(row.status) for row in session.exec(select(Example).order_by("id"))] == [
            "revoked",
            "held",
        ]


def test_whom_nobody_trusts_is_no_voice(strict: Thread) -> None:
    """Neither what they approved before nor what they rejected counts, until they are trusted."""
    strict.rate("U1", APPROVE)
    _approve_elsewhere(strict.engine, "U1")
    with transaction(strict.engine) as session:
        examples.distrust(session, TEAM, "U1", "operator")
    strict.rate("U2", APPROVE)
    _approve_elsewhere(strict.engine, "U2")
    assert set(strict.statuses().values()) == {"held"}
    with transaction(strict.engine) as session:
        examples.trust(session, TEAM, "U1", "operator")
    strict.open()
    assert strict.statuses()["It is 80."] == "live"


def test_what_the_distrusted_rejected_is_held_too(store: Engine) -> None:
    """And is back with trust."""
    with transaction(store) as session:
        releases.ensure_team(session, TEAM)
        given, _ = feedback.record(session, target_ts="5.0", user="U1", kind=REJECT, **HERE)
        one = examples.add(
            session, examples.wrong("Which port is it?", "It is 81."), team_id=TEAM,
            feedback_id=given.id or 0, approved_by="U1", sources=[],
        )  # fmt: skip
        assert examples.distrust(session, TEAM, "U1", "operator") == [one]
        assert one.status.value == "held"
        examples.trust(session, TEAM, "U1", "operator")
        assert one.status.value == "rejected"
