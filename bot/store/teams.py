"""The row of a workspace, and the lock that makes changes within one come one after the other."""

from __future__ import annotations

from sqlmodel import Session, select

from bot.store.once import insert_once
from bot.store.schema import Team


def lock_team(session: Session, team_id: str) -> Team:
    """The team's row, made if need be, locked until the transaction ends."""
    rows = select(Team).where(Team.team_id == team_id)
    rows = rows.with_for_update().execution_options(populate_existing=True)
    team = session.exec(rows).first()
    if team is not None:
        return team
    insert_once(session, Team(team_id=team_id))
    return session.exec(rows).one()
