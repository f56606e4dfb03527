"""What `mynah revoke` and `mynah restore` do, as plain JSON: one example is out, or back."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session

from bot import examples
from bot.slack import conflict_cards
from bot.store.schema import Example
from bot.store.teams import lock_team
from deploy import tracing
from deploy.facts import BadInput


def take_back(session: Session, team_id: str, word: str, why: str) -> dict[str, Any]:
    """Take the example that `word` names out of memory and later datasets. Raises BadInput."""
    why = " ".join(why.split())
    if not why:
        raise BadInput("--why: say why, for whoever traces it later")
    lock_team(session, team_id)
    one = tracing.example(session, team_id, word)
    again = examples.take_back(session, one, why, "operator")
    conflict_cards.follow(session, team_id)
    return _facts(one) | {
        "why": why,
        "counts_again": [each.id for each in again],
        "says_the_same": [each.id for each in examples.alike(session, one)],
        "trained_into": examples.adapters_trained_on(session, one.id or 0),
    }


def give_back(session: Session, team_id: str, word: str) -> dict[str, Any]:
    """Let the example count again. Raises BadInput."""
    lock_team(session, team_id)
    one = tracing.example(session, team_id, word)
    examples.give_back(session, one, "operator")
    conflict_cards.follow(session, team_id)
    return _facts(one)


def _facts(one: Example) -> dict[str, Any]:
    return {
        "example": one.id,
        "question": one.question,
        "status": str(one.status),
        "reason": one.reason,
    }
