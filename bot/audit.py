"""Who did what: one row for every change that a person, the gate or the worker made."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session

from bot.store.schema import Audit

FILES_REMOVED = "adapter.files_removed"  # of the worker, with the adapter as its subject


def record(
    session: Session, team_id: str, actor: str, action: str, subject: str, **detail: Any
) -> Audit:
    """Write down that `actor` did `action` (``release.promote``) to `subject` (``release:3``).

    `detail` has to be JSON; keep message texts and secrets out of it.
    """
    row = Audit(team_id=team_id, actor=actor, action=action, subject=subject, detail=detail)
    session.add(row)
    return row
