"""Where an example came from and what was done with it, as the audit table has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from bot.mrkdwn import IMPORTED
from bot.store.schema import Audit, Example


@dataclass(frozen=True)
class Origin:
    """The file that an example was imported from."""

    place: str  # with the line or row where that was written down, else the file's name alone
    sha256: str  # of the file
    by: str  # who imported it
    at: datetime


def of(session: Session, example: Example) -> Origin | None:
    """The file of an example; None where it was learned in Slack."""
    own = _about(example).where(col(Audit.actor).startswith(IMPORTED))
    made = session.exec(own.order_by(col(Audit.id))).first()
    if made is None:
        return None
    # Written in the same transaction, after all examples of the file.
    whole = select(Audit).where(
        Audit.team_id == made.team_id, Audit.actor == made.actor, Audit.action == "import",
        col(Audit.id) > made.id,
    )  # fmt: skip
    file = session.exec(whole.order_by(col(Audit.id))).first()
    detail = file.detail if file is not None else {}
    place = made.detail.get("place") or detail.get("file", "a file")
    by = made.actor.removeprefix(IMPORTED)
    return Origin(str(place), str(detail.get("sha256", "")), by, made.at)


def history(session: Session, example: Example) -> Sequence[Audit]:
    """What was done with an example, and by whom, oldest first."""
    return session.exec(_about(example).order_by(col(Audit.id))).all()


def _about(example: Example) -> SelectOfScalar[Audit]:
    return select(Audit).where(
        Audit.team_id == example.team_id, Audit.subject == f"example:{example.id}"
    )
