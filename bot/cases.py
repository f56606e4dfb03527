"""Cases: questions that people have to answer. Who may do what is checked by the caller."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import Session, col, select

from bot.gaps import Gap, gap_channels, gaps
from bot.store.schema import Case, CaseStatus

__all__ = ["Gap", "gap_channels", "gaps", "open_cases"]

MYNAH = "mynah"  # who opened a case that nobody asked for
UNSETTLED = (CaseStatus.OPEN, CaseStatus.CLAIMED)


def open_cases(session: Session, team_id: str) -> Sequence[Case]:
    """The cases that wait for somebody, or that somebody has claimed; the oldest first.

    They name channels: show each reader those of channels that they may read.
    """
    rows = select(Case).where(Case.team_id == team_id, col(Case.status).in_(UNSETTLED))
    return session.exec(rows.order_by(col(Case.id))).all()
