"""Abstaining: from where on an answer can be trusted, learned from what staff said."""

from __future__ import annotations

import math
from datetime import timedelta
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlmodel import select

from bot import feedback, releases
from bot.abstaining import DEFAULTS, FEWEST, RECENT, TARGET, Abstaining, Rated, calibrated, score
from bot.store.database import transaction
from bot.store.schema import (
    Answer,
    AnswerExample,
    AnswerMode,
    Example,
    Feedback,
    FeedbackKind,
    Question,
    Release,
    now,
)

TEAM = "T0MYNAH"
CLOSED, OPEN = AnswerMode.CLOSED_BOOK, AnswerMode.OPEN_BOOK
DEFAULT = DEFAULTS[CLOSED]
_clock = count(1)


def rated(*, right: list[float], wrong: list[float]) -> list[Rated]:
    """Ratings with these scores."""
    return [Rated(one, True) for one in right] + [Rated(one, False) for one in wrong]


def test_few_ratings_change_nothing() -> None:
    """One rating less than FEWEST, all of them wrong: the default stands."""
    assert calibrated(rated(right=[], wrong=[-0.1] * (FEWEST - 1)), DEFAULT) == DEFAULT
    assert calibrated(rated(right=[], wrong=[-0.1] * FEWEST), DEFAULT) > -0.1


def test_threshold_is_where_most_are_right() -> None:
    """Twelve right ones and three wrong ones above the rest: that is where the line is drawn."""
    found = rated(right=[-0.2] * 11 + [-0.5], wrong=[-0.3] * 3 + [-0.9] * 5)
    assert calibrated(found, DEFAULT) == -0.5


def test_what_is_right_often_enough_is_not_made_stricter() -> None:
    """With four in five right nothing speaks for more than the default, and right answers below it
    speak for less."""
    assert calibrated(rated(right=[-0.2] * 16, wrong=[-0.3] * 4), DEFAULT) == DEFAULT
    assert calibrated(rated(right=[-0.2] * 15 + [-2.6], wrong=[-0.3] * 4), DEFAULT) == -2.6


SCORES = st.integers(-12, 0).map(lambda quarters: quarters / 4)
RATED = st.builds(Rated, SCORES, st.booleans())


@given(found=st.lists(RATED, min_size=FEWEST, max_size=50), default=SCORES)
def test_it_is_the_lowest_threshold_that_reaches_the_target(
    found: list[Rated], default: float
) -> None:
    """Against trying every threshold: no lower one reaches the target, and this one does."""

    def reaches(limit: float) -> bool:
        above = [one.right for one in found if one.score >= limit]
        return not above or sum(above) / len(above) >= TARGET

    threshold = calibrated(found, default)
    lowest = min(one.score for one in found)
    if reaches(lowest):
        assert threshold == min(default, lowest)
        return
    assert threshold > lowest
    assert reaches(threshold)
    assert not any(reaches(one.score) for one in found if one.score < threshold)


def test_a_worse_match_needs_surer_words() -> None:
    """With an approved answer in the prompt, its similarity counts too."""
    assert score(-0.5, None) == -0.5
    assert score(-0.5, 0.9) > score(-0.5, 0.5) > score(-0.5, 0.0)


class Past:
    """What a team was told before, and what staff said of it."""

    def __init__(self, engine: Engine, team_id: str = TEAM) -> None:
        self.engine = engine
        self.team_id = team_id
        with transaction(engine) as session:
            releases.ensure_team(session, team_id)
            newest = select(Release.id).where(Release.team_id == team_id)
            self.release_id = session.exec(newest).one() or 0
            example = Example(
                team_id=team_id, question="q", answer="a", approved_by="U9", content_hash="x"
            )
            session.add(example)
            session.flush()
            assert example.id is not None
            self.example_id = example.id

    def add(
        self,
        confidence: float | None,
        kind: FeedbackKind,
        *,
        mode: AnswerMode = CLOSED,
        similarity: float | None = None,
        times: int = 1,
    ) -> list[Feedback]:
        """Store answers with a rating each."""
        return [self._add(confidence, kind, mode, similarity) for _ in range(times)]

    def _add(
        self, confidence: float | None, kind: FeedbackKind, mode: AnswerMode, like: float | None
    ) -> Feedback:
        ts = f"1700000000.{next(_clock):06d}"
        with transaction(self.engine) as session:
            asked = Question(
                team_id=self.team_id, channel="C1", thread_ts=ts, ts=ts, user="U1", text="?"
            )
            session.add(asked)
            session.flush()
            answer = Answer(
                team_id=self.team_id, question_id=asked.id or 0, mode=mode, channel="C1",
                confidence=confidence, release_id=self.release_id,
            )  # fmt: skip
            session.add(answer)
            session.flush()
            assert answer.id is not None
            if like is not None:
                used = AnswerExample(
                    answer_id=answer.id, example_id=self.example_id, team_id=self.team_id,
                    similarity=like,
                )  # fmt: skip
                session.add(used)
            given, _ = feedback.record(
                session, team_id=self.team_id, channel="C1", target_ts=ts, user="U9", kind=kind,
                answer_id=answer.id,
            )  # fmt: skip
            return given

    def change(self, given: list[Feedback], **values: object) -> None:
        """Change stored ratings."""
        with transaction(self.engine) as session:
            for one in given:
                row = session.get_one(Feedback, one.id)
                for name, value in values.items():
                    setattr(row, name, value)


def test_what_staff_said_decides(store: Engine) -> None:
    """Unsure answers that staff rejected and corrected are withheld from then on; the sure ones
    are still said, to the very score that was right."""
    past = Past(store)
    past.add(-0.3, FeedbackKind.APPROVE, times=12)
    past.add(-0.9, FeedbackKind.REJECT, times=5)
    abstaining = Abstaining(store, fresh_s=0)
    assert abstaining.missed(TEAM, CLOSED, -0.9, None) is None  # too few yet
    past.add(-0.9, FeedbackKind.CORRECT, times=5)
    assert abstaining.missed(TEAM, CLOSED, -0.9, None) == -0.3
    assert abstaining.missed(TEAM, CLOSED, -0.3, None) is None


@pytest.mark.parametrize("kind", [FeedbackKind.UNHELPFUL, FeedbackKind.ESCALATE])
def test_others_do_not_decide(store: Engine, kind: FeedbackKind) -> None:
    """Thumbs down and calls for help, however many, make Mynah no quieter."""
    Past(store).add(-0.9, kind, times=30)
    assert Abstaining(store).threshold(TEAM, CLOSED) == DEFAULT


def test_only_what_is_comparable_decides(store: Engine) -> None:
    """Another team's, another mode's, revoked and old ratings, and quoted answers, do not count."""
    past = Past(store)
    Past(store, "T0OTHER").add(-0.9, FeedbackKind.REJECT, times=FEWEST)
    past.add(-0.9, FeedbackKind.REJECT, mode=OPEN, similarity=0.5, times=FEWEST)
    past.add(0.9, FeedbackKind.REJECT, mode=AnswerMode.QUOTED, times=FEWEST)
    past.add(-0.9, FeedbackKind.REJECT, mode=AnswerMode.UNSURE, times=FEWEST)
    past.change(past.add(-0.9, FeedbackKind.REJECT, times=FEWEST), revoked_at=now())
    old = past.add(-0.9, FeedbackKind.REJECT, times=FEWEST)
    past.change(old, given_at=now() - RECENT - timedelta(minutes=1))
    abstaining = Abstaining(store)
    assert abstaining.threshold(TEAM, CLOSED) == DEFAULT
    assert abstaining.threshold(TEAM, OPEN) > score(-0.9, 0.5)


def test_who_withholds_everything_speaks_again(store: Engine) -> None:
    """When the bad ratings are old, the default counts again: else nobody could ever rate it."""
    past = Past(store)
    bad = past.add(-0.1, FeedbackKind.REJECT, times=FEWEST)
    assert Abstaining(store).missed(TEAM, CLOSED, -0.1, None) is not None
    past.change(bad, given_at=now() - RECENT)
    assert Abstaining(store).missed(TEAM, CLOSED, -0.1, None) is None


def test_what_nobody_measured_is_said(store: Engine) -> None:
    """Quoted answers, and those without log-probabilities, are never withheld."""
    abstaining = Abstaining(store)
    assert abstaining.missed(TEAM, AnswerMode.QUOTED, 0.0, 0.4) is None
    assert abstaining.missed(TEAM, CLOSED, None, None) is None


def test_the_missed_mark_is_in_the_words_own_scale(store: Engine) -> None:
    """What an answer would have needed is comparable with its confidence, whatever its match."""
    needed = Abstaining(store).missed(TEAM, OPEN, -2.5, 0.5)
    assert needed == pytest.approx(DEFAULTS[OPEN] - math.log(0.5))
    assert score(needed or 0, 0.5) == pytest.approx(DEFAULTS[OPEN])


def test_the_store_is_asked_once_a_minute(store: Engine) -> None:
    """New ratings count when the kept threshold is old; until then the store is left alone."""
    past = Past(store)
    kept, fresh = Abstaining(store), Abstaining(store, fresh_s=0)
    assert kept.threshold(TEAM, CLOSED) == fresh.threshold(TEAM, CLOSED) == DEFAULT
    past.add(-0.9, FeedbackKind.REJECT, times=FEWEST)
    assert kept.threshold(TEAM, CLOSED) == DEFAULT
    assert fresh.threshold(TEAM, CLOSED) > -0.9
