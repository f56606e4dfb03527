"""Threads that were dealt to a release, and what people did in them, as rows of a store."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlmodel import Session, SQLModel, select

from bot.store.schema import (
    Answer,
    AnswerExample,
    AnswerMode,
    Case,
    CaseStatus,
    Example,
    Feedback,
    FeedbackKind,
    Question,
    Release,
    ThreadRelease,
    now,
)
from tests.stores import TEAM

CHANNEL = "C1"
Row = TypeVar("Row", bound=SQLModel)


class Threads:
    """Writes threads one after the other, a second apart, beginning now."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.at = now()
        self.made = 0
        self._releases: dict[int, Release] = {}

    def ask(
        self,
        number: int,
        text: str = "",
        *,
        user: str = "U0ASKER",
        mode: AnswerMode = AnswerMode.CLOSED_BOOK,
        thread_ts: str = "",
        at: datetime | None = None,
        answered_at: datetime | None = None,
        **fields: Any,
    ) -> Answer:
        """A question that began a thread dealt to release v`number`, or went on with one; its
        answer."""
        self.made += 1
        self.at += timedelta(seconds=1)
        ts = f"{self.made}.0"
        question = Question(
            team_id=TEAM, channel=CHANNEL, thread_ts=thread_ts or ts, ts=ts, user=user,
            text=text or f"subject{self.made} of thing{self.made}?", asked_at=at or self.at,
            **fields,
        )  # fmt: skip
        release = self.release(number)
        self._save(question)
        if not thread_ts:
            self._save(
                ThreadRelease(
                    team_id=TEAM, channel=CHANNEL, thread_ts=ts, release_id=release.id or 0
                )
            )
        answer = Answer(
            team_id=TEAM, question_id=question.id or 0, text="So.", mode=mode, channel=CHANNEL,
            release_id=release.id or 0, ts=f"{self.made}.1",
            answered_at=answered_at or at or self.at,
        )  # fmt: skip
        return self._save(answer)

    def say(
        self,
        answer: Answer,
        kind: FeedbackKind = FeedbackKind.APPROVE,
        user: str = "U0STAFF",
        **fields: Any,
    ) -> Feedback:
        """What somebody says of an answer, a second later."""
        self.at += timedelta(seconds=1)
        given = Feedback(
            team_id=TEAM, channel=CHANNEL, target_ts=answer.ts or "", answer_id=answer.id,
            user=user, kind=kind, given_at=self.at, **fields,
        )  # fmt: skip
        return self._save(given)

    def case(self, answer: Answer, opened_by: str, **fields: Any) -> Case:
        """The case of the question that was answered."""
        question = self.session.get_one(Question, answer.question_id)
        case = Case(
            team_id=TEAM, channel=CHANNEL, thread_ts=question.thread_ts, ts=question.ts,
            question_id=question.id, opened_by=opened_by, opened_at=self.at,
            **{"status": CaseStatus.CLAIMED, **fields},
        )  # fmt: skip
        return self._save(case)

    def source(self, answer: Answer, recognised: float | None) -> None:
        """The example that it was quoted from, and how likely the weights found it."""
        example = self._save(
            Example(team_id=TEAM, question="q", answer="a", approved_by="U0STAFF", content_hash="h")
        )
        self._save(
            AnswerExample(
                team_id=TEAM, answer_id=answer.id or 0, example_id=example.id or 0, similarity=0.9,
                recognised_logprob=recognised,
            )
        )  # fmt: skip

    def together(
        self,
        *sides: tuple[int, int, int],
        users: Sequence[str] = ("U1", "U2", "U3", "U4"),
        seed: int = 0,
    ) -> None:
        """Threads of several releases, (release, well, badly) each, mixed by chance, rated by these
        people in turn."""
        dealt = [(number, True) for number, well, _ in sides for _ in range(well)]
        dealt += [(number, False) for number, _, badly in sides for _ in range(badly)]
        random.Random(seed).shuffle(dealt)
        for place, (number, good) in enumerate(dealt):
            kind = FeedbackKind.APPROVE if good else FeedbackKind.REJECT
            self.say(self.ask(number), kind, users[place % len(users)])

    def release(self, number: int) -> Release:
        """The release of this number."""
        if number not in self._releases:
            named = select(Release).where(Release.team_id == TEAM, Release.number == number)
            self._releases[number] = self.session.exec(named).one()
        return self._releases[number]

    def _save(self, row: Row) -> Row:
        self.session.add(row)
        self.session.flush()
        return row
