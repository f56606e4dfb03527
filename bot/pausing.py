"""Pausing a workspace: nothing is trained and nothing goes live until somebody resumes.

Questions are answered all the same, and rolling back always works. A run under way goes on to its
evaluation. All functions take a session inside `transaction(engine)`; `standing` also takes one of
`reading(engine)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select

from bot import audit
from bot.store.schema import Audit, Team
from bot.store.teams import lock_team

PAUSED, RESUMED = "team.pause", "team.resume"


@dataclass(frozen=True)
class Pause:
    """Who paused the team, and when; None where the row was set by hand."""

    by: str
    since: datetime | None


def pause(session: Session, team_id: str, *, by: str) -> bool:
    """Pause the team; False when it is paused already."""
    return _set(session, team_id, by, paused=True)


def resume(session: Session, team_id: str, *, by: str) -> bool:
    """Let the team go on; False when it is not paused. Missed times are caught up by the clock."""
    return _set(session, team_id, by, paused=False)


def standing(session: Session, team_id: str) -> Pause | None:
    """The team's pause; None while it is not paused."""
    team = session.get(Team, team_id)
    if team is None or not team.paused:
        return None
    rows = select(Audit).where(Audit.team_id == team_id, Audit.action == PAUSED)
    last = session.exec(rows.order_by(col(Audit.id).desc())).first()
    return Pause(last.actor, last.at) if last else Pause("hand", None)


def _set(session: Session, team_id: str, by: str, *, paused: bool) -> bool:
    team = lock_team(session, team_id)
    if team.paused == paused:
        return False
    team.paused = paused
    session.add(team)
    audit.record(session, team_id, by, PAUSED if paused else RESUMED, f"team:{team_id}")
    return True
