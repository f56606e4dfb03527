"""Not sure: an answer of the model's own is withheld when such answers were too often wrong.

How sure an answer is, is the mean log-probability of its tokens; with an approved answer in the
prompt the logarithm of its similarity is added, because the right words of a wrong answer are wrong
too. What staff said of earlier answers of the same mode tells from where on they can be trusted.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Engine
from sqlmodel import Session, col, select

from bot.store import bases
from bot.store.database import reading
from bot.store.schema import RATINGS, Answer, AnswerExample, AnswerMode, Feedback, FeedbackKind, now
from serving.client import Completion

TARGET = 0.8  # so large a share of what is shown has to be right
FEWEST = 20  # ratings, before they say more than the default
NEWEST = 200  # ratings: what staff said of the answers of today
# An older rating is of another model. And whoever withholds everything is never rated again: so
# Mynah speaks again after this time, to find out.
RECENT = timedelta(days=30)
FRESH_S = 60.0
BEGINNING = 16  # tokens, before an answer is shown while it is written
# Before anything is known only babble is withheld: each token 13 % likely on average, or less. A
# small model is at -0.1 to -0.8 where it has learned the answer, and a little below where it
# invents one: no fixed number tells the two apart, so the default does not try.
DEFAULTS = {AnswerMode.CLOSED_BOOK: -2.0, AnswerMode.OPEN_BOOK: -2.7}


@dataclass(frozen=True)
class Rated:
    """How sure an answer was, and whether a staff member found it right."""

    score: float
    right: bool


def score(confidence: float, similarity: float | None) -> float:
    """How sure an answer is, as a log-probability.

    Args:
        confidence: the mean log-probability of its tokens.
        similarity: of the example in its prompt; None without one.
    """
    return confidence if similarity is None else confidence + _log(similarity)


def calibrated(rated: Sequence[Rated], default: float) -> float:
    """The lowest score from which on at least TARGET of the rated answers are right.

    The default, while there are fewer than FEWEST. If the best ones are not right often enough, it
    is above them all; if all taken together are, nothing speaks for more than the default.
    """
    if len(rated) < FEWEST:
        return default
    best_first = sorted(rated, key=lambda one: -one.score)
    found, right = math.nextafter(best_first[0].score, math.inf), 0
    for count, one in enumerate(best_first, 1):
        right += one.right
        is_last = count == len(rated) or best_first[count].score < one.score  # of its score
        if is_last and right / count >= TARGET:
            found = one.score
    return min(default, found) if found == best_first[-1].score else found


def may_begin(so_far: Completion, limit: float) -> bool:
    """Whether an answer in the making is so sure that people may read on: far surer than it needs
    to be. What they have read is not taken back, so it is given then, however it ends."""
    mean = so_far.mean_logprob
    return mean is not None and len(so_far.logprobs) >= BEGINNING and mean >= limit / 2


class Abstaining:
    """Says which answers to withhold. Safe to use from several threads."""

    def __init__(self, engine: Engine, *, fresh_s: float = FRESH_S) -> None:
        self._engine = engine
        self._fresh_s = fresh_s
        self._kept: dict[tuple[str, AnswerMode], tuple[float, float]] = {}

    def missed(
        self, team_id: str, mode: AnswerMode, confidence: float | None, similarity: float | None
    ) -> float | None:
        """The confidence that the answer would have needed; None when it is good enough.

        So are quoted answers, and those of which nobody knows how sure the model was.
        """
        if mode not in DEFAULTS or confidence is None:
            return None
        if score(confidence, similarity) >= self.threshold(team_id, mode):
            return None
        return self.limit(team_id, mode, similarity)

    def limit(self, team_id: str, mode: AnswerMode, similarity: float | None) -> float:
        """The confidence that an answer needs."""
        return self.threshold(team_id, mode) - score(0.0, similarity)

    def threshold(self, team_id: str, mode: AnswerMode) -> float:
        """The score below which a team's answers of a mode are withheld; read once a minute."""
        at, found = self._kept.get((team_id, mode), (-math.inf, 0.0))
        if time.monotonic() - at > self._fresh_s:
            with reading(self._engine) as session:
                found = calibrated(ratings(session, team_id, mode), DEFAULTS[mode])
            self._kept[team_id, mode] = (time.monotonic(), found)
        return found


def ratings(session: Session, team_id: str, mode: AnswerMode) -> list[Rated]:
    """What staff said lately of the team's answers of a mode. Askers' thumbs do not count: they
    tell whether it helped, not whether it is true."""
    rows = (
        select(Answer.confidence, AnswerExample.similarity, Feedback.kind)
        .join(Feedback, col(Feedback.answer_id) == col(Answer.id))
        .outerjoin(AnswerExample, col(AnswerExample.answer_id) == col(Answer.id))
        .where(
            Feedback.team_id == team_id,
            Answer.team_id == team_id,
            Answer.mode == mode,
            col(Answer.confidence).is_not(None),
            col(Feedback.kind).in_(RATINGS),
            col(Feedback.revoked_at).is_(None),
            Feedback.given_at >= now() - RECENT,
        )
    )
    if (
        changed := bases.changed_at(session)
    ) is not None:  # how sure another model was says nothing
        rows = rows.where(Answer.answered_at >= changed)
    found = session.exec(rows.order_by(col(Feedback.id).desc()).limit(NEWEST))
    return [
        Rated(score(confidence, similarity), kind is FeedbackKind.APPROVE)
        for confidence, similarity, kind in found
        if confidence is not None
    ]


def _log(similarity: float) -> float:
    return math.log(max(similarity, 1e-6))
