"""The questions that admins pinned: each candidate is asked them, and must not lose one.

All functions take a session inside `transaction(engine)`; `pinned` also takes one of
`reading(engine)`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from sqlmodel import Session, col, select

from bot import audit
from bot.redaction import placeholders, redact
from bot.store.schema import Pin
from bot.store.teams import lock_team


class BadPin(Exception):
    """The question, and the text that its answer must hold, cannot be empty."""


class SecretPin(BadPin):
    """What was typed holds a secret or personal data, and is not repeated."""


class NoSuchPin(Exception):
    """The number is not one of the team's pins."""


def pin(
    session: Session, team_id: str, question: str, must: str, *, by: str,
    keep: Collection[str] = (),
) -> tuple[Pin, bool]:  # fmt: skip
    """Pin a question; return it, and whether that changed anything. One that is pinned already
    keeps its number and gets the new text.

    Args:
        keep: contacts that the house publishes: see `bot.redaction.redact`.

    Raises:
        BadPin: there is nothing to ask, or nothing to look for.
        SecretPin: what no answer may hold, as it is taken out of all that is learned.
    """
    question, must = " ".join(question.split()), " ".join(must.split())
    if not question or not must:
        raise BadPin(BadPin.__doc__)
    for name, text in (("question", question), ("text", must)):
        if found := Counter(placeholders(redact(text, keep))) - Counter(placeholders(text)):
            what = f"the {name} holds what is taken out of all that is learned"
            raise SecretPin(f"{what} ({', '.join(sorted(found))}), so no answer may hold it")
    lock_team(session, team_id)
    same = select(Pin).where(Pin.team_id == team_id, Pin.question == question)
    row = session.exec(same).first() or Pin(team_id=team_id, question=question, by=by)
    if row.id is not None and row.must == must:
        return row, False
    row.must, row.by = must, by
    session.add(row)
    session.flush()
    audit.record(session, team_id, by, "pin.add", f"pin:{row.id}")
    return row, True


def unpin(session: Session, team_id: str, number: int, *, by: str) -> Pin:
    """Take a pin away and return it. Raises NoSuchPin, also for another team's."""
    row = session.exec(select(Pin).where(Pin.team_id == team_id, Pin.id == number)).first()
    if row is None:
        raise NoSuchPin(f"there is no pin {number}: `mynah pins` lists them")
    session.delete(row)
    audit.record(session, team_id, by, "pin.remove", f"pin:{number}")
    return row


def pinned(session: Session, team_id: str) -> list[Pin]:
    """The team's pins, in the order in which they were made."""
    return list(session.exec(select(Pin).where(Pin.team_id == team_id).order_by(col(Pin.id))))
