"""The facts of the Home tab and of follow-ups, on both databases."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import Session

from bot import examples, feedback, inbox, releases
from bot.store import holds, review, tallies, threads
from bot.store.asked import most_asked
from bot.store.database import reading, transaction
from bot.store.schema import (
    Answer,
    AnswerMode,
    Case,
    CaseStatus,
    ChannelKind,
    ExampleStatus,
    FeedbackKind,
    Question,
    now,
)

TEAM, OTHER = "T0MYNAH", "T0OTHER"
HELP, DIRECT = "C0HELP", "D0ASKER"


class Told:
    """Questions and answers, put into a store one after the other."""

    def __init__(self, session: Session, team_id: str = TEAM) -> None:
        self.session = session
        self.team_id = team_id
        releases.ensure_team(session, team_id)
        self._release = releases.live(session, team_id).id or 0
        self._count = 0

    def answered(self, *, user: str = "U1", channel: str = HELP, **answer: Any) -> Answer:
        """A question, and its answer as Slack shows it."""
        self._count += 1
        kind = ChannelKind.IM if channel.startswith("D") else ChannelKind.PUBLIC
        question = Question(
            team_id=self.team_id, channel=channel, channel_kind=kind, user=user, text="Which port?",
            thread_ts=f"{self._count}.0", ts=f"{self._count}.0",
        )  # fmt: skip
        self._add(question)
        given: dict[str, Any] = {"mode": AnswerMode.CLOSED_BOOK, "confidence": -0.5, **answer}
        made = Answer(
            team_id=self.team_id, question_id=question.id or 0, release_id=self._release,
            channel=channel, ts=given.pop("ts", f"{self._count}.1"), text="9443", **given,
        )  # fmt: skip
        self._add(made)
        return made

    def rated(self, answer: Answer, kind: FeedbackKind, user: str = "U0STAFF") -> int:
        """Staff's word on an answer."""
        given, _ = feedback.record(
            self.session, team_id=self.team_id, channel=answer.channel, user=user, kind=kind,
            target_ts=answer.ts or "", answer_id=answer.id,
        )  # fmt: skip
        return given.id or 0

    def taught(self, answer: Answer, status: ExampleStatus) -> None:
        """An approval whose example is in this state."""
        made = examples.add(
            self.session, examples.draft("Which port is it?", "It is port 9443."),
            team_id=self.team_id, approved_by="U0STAFF", sources=[], embedding=None, embedder=None,
            feedback_id=self.rated(answer, FeedbackKind.APPROVE),
        )  # fmt: skip
        made.status = status
        self.session.add(made)

    def case(self, answer: Answer, status: CaseStatus) -> None:
        """A case about the answer's question."""
        ts = f"{answer.question_id}.0"
        self._add(
            Case(
                team_id=self.team_id, channel=answer.channel, thread_ts=ts, ts=ts,
                question_id=answer.question_id, opened_by="mynah", status=status,
            )
        )  # fmt: skip

    def _add(self, row: Any) -> None:
        self.session.add(row)
        self.session.flush()


def waiting(session: Session, *channels: str, skip: int = 0, most: int = 50) -> list[int | None]:
    """The ids of the answers in the queue."""
    rows = review.queue(session, TEAM, channels, skip=skip, most=most)
    return [row.answer.id for row in rows]


def test_the_queue(store: Engine) -> None:
    """Disagreements, then what was not sure, then the rest by confidence, unknown ones first; a
    page of it; nothing that is rated, solved, old, gone, corrected or not in Slack yet."""
    with transaction(store) as session:
        told = Told(session)
        quoted = told.answered(mode=AnswerMode.QUOTED, confidence=0.9)
        wild, sure = told.answered(confidence=-2.0), told.answered(confidence=-0.1)
        unknown = told.answered(confidence=None)
        unsure = told.answered(mode=AnswerMode.UNSURE)
        held = told.answered()
        told.taught(held, ExampleStatus.HELD)
        told.case(unsure, CaseStatus.CLAIMED)
        told.taught(told.answered(), ExampleStatus.LIVE)
        told.rated(told.answered(), FeedbackKind.REJECT)
        told.case(told.answered(mode=AnswerMode.UNSURE), CaseStatus.RESOLVED)
        told.answered(answered_at=now() - timedelta(days=31))
        told.answered(mode=AnswerMode.CORRECTED)
        told.answered(ts=None)
        told.answered(replaced_at=now())
        told.answered(deleted_at=now())
        helped = told.answered(confidence=-0.05)
        told.rated(helped, FeedbackKind.HELPFUL)
        Told(session, OTHER).answered()
        order = [held, unsure, unknown, wild, sure, helped, quoted]
        ids = [answer.id for answer in order]
    with reading(store) as session:
        assert waiting(session, HELP) == ids
        assert waiting(session, HELP, skip=2, most=3) == ids[2:5]
        assert waiting(session, "C0OTHER") == []
        first, second, third, *_ = review.queue(session, TEAM, [HELP], skip=0, most=9)
        assert [row.held for row in (first, second, third)] == [holds.DISPUTED, None, None]
        assert [row.case for row in (first, second, third)] == [None, CaseStatus.CLAIMED, None]
        assert review.standing(session, TEAM, ids[0] or 0) is not None
        assert review.standing(session, OTHER, ids[0] or 0) is None


def test_the_channels_to_ask_after(store: Engine) -> None:
    """The busiest first, so many at most, and of direct messages only one's own."""
    with transaction(store) as session:
        told = Told(session)
        for channel in ("C0A", HELP, HELP, "C0B", "C0B", "C0B"):
            told.answered(channel=channel)
        told.answered(channel=DIRECT, user="U1")
    with reading(store) as session:
        assert review.channels(session, TEAM, "U0STAFF", 9) == ["C0B", HELP, "C0A"]
        assert review.channels(session, TEAM, "U1", 9) == ["C0B", HELP, "C0A", DIRECT]
        assert review.channels(session, TEAM, "U1", 2) == ["C0B", HELP]


def test_own_answers(store: Engine) -> None:
    """The newest first; nobody else's, and none that is not to be seen."""
    with transaction(store) as session:
        told = Told(session)
        first, second = told.answered(), told.answered(channel=DIRECT)
        told.answered(user="U2")
        told.answered(ts=None)
        ids = [second.id, first.id]
    with reading(store) as session:
        assert [answer.id for _, answer in review.own(session, TEAM, "U1", 9)] == ids
        assert [answer.id for _, answer in review.own(session, TEAM, "U1", 1)] == ids[:1]
        assert review.own(session, OTHER, "U1", 9) == []


def test_tallies(store: Engine) -> None:
    """Answers within days, ratings that count by release, open cases: of this team alone. "Not
    sure" is no answer, and approving what staff wrote is no praise of a release."""
    with transaction(store) as session:
        told = Told(session)
        rows = [told.answered(answered_at=now() - timedelta(days=days)) for days in (0, 6, 8, 40)]
        told.rated(rows[0], FeedbackKind.APPROVE)
        told.rated(rows[0], FeedbackKind.REJECT)  # the same person thought again
        told.rated(rows[0], FeedbackKind.APPROVE, user="U0STAFF2")
        told.rated(rows[1], FeedbackKind.APPROVE)
        told.rated(rows[1], FeedbackKind.HELPFUL, user="U1")
        told.rated(told.answered(mode=AnswerMode.CORRECTED), FeedbackKind.APPROVE)
        told.answered(mode=AnswerMode.UNSURE)
        for row, status in zip(rows, [*CaseStatus], strict=False):
            told.case(row, status)
        Told(session, OTHER).answered()
    with reading(store) as session:
        assert [tallies.answered(session, TEAM, days) for days in (7, 30, 90)] == [3, 4, 5]
        counts = {FeedbackKind.APPROVE: 2, FeedbackKind.REJECT: 1}
        assert tallies.ratings(session, TEAM, [1, 2]) == {1: counts, 2: {}}
        assert tallies.open_cases(session, TEAM) == 2
        assert tallies.open_cases(session, OTHER) == 0


def test_threads_with_mynah(store: Engine) -> None:
    """A thread is known by a question that stands, or by what still waits to be handled there."""
    with transaction(store) as session:
        Told(session).answered()
        inbox.receive(session, team_id=TEAM, event_id="1", kind="event", lane="C1:9.0", payload={})
    with reading(store) as session:
        assert threads.takes_part(session, TEAM, HELP, "1.0")
        assert threads.has_asked(session, TEAM, HELP, "1.0", "U1")
        assert not threads.has_asked(session, TEAM, HELP, "1.0", "U2")
        assert threads.is_waited_for(session, TEAM, "C1:9.0")
        for team_id, channel, ts in ((OTHER, HELP, "1.0"), (TEAM, "C1", "1.0"), (TEAM, HELP, "2")):
            assert not threads.takes_part(session, team_id, channel, ts)
            assert not threads.is_waited_for(session, team_id, f"{channel}:{ts}")
        assert most_asked(session, TEAM, 4) == []
    with transaction(store) as session:
        question = session.get_one(Question, 1)
        question.deleted_at = now()
        session.add(question)
    with reading(store) as session:
        assert not threads.takes_part(session, TEAM, HELP, "1.0")


@pytest.mark.parametrize("approved", [1, 4])
def test_most_asked_are_open_to_all(store: Engine, approved: int) -> None:
    """Only live examples of the whole workspace are proposed."""
    with transaction(store) as session:
        told = Told(session)
        for status in [ExampleStatus.LIVE, ExampleStatus.REVOKED, ExampleStatus.HELD][:approved]:
            told.taught(told.answered(), status)
    with reading(store) as session:
        assert [row.question for row in most_asked(session, TEAM, 4)] == ["Which port is it?"]
