"""Whose word is in the store, so that an operator judges somebody who is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import func
from sqlmodel import Session, col, select

from bot import examples
from bot.importing.pairs import is_user
from bot.mrkdwn import IMPORTED
from bot.store.schema import RATINGS, Example, Feedback
from deploy.facts import BadInput

_SHOWN = 8


def known(session: Session, team_id: str) -> Counter[str]:
    """Who taught or rated, and how many examples are their word; those of most come first."""
    by = select(Example.approved_by, func.count()).where(Example.team_id == team_id)
    rated = select(Feedback.user).where(
        Feedback.team_id == team_id, col(Feedback.kind).in_(RATINGS)
    )
    found = Counter(dict.fromkeys(session.exec(rated.distinct().order_by(Feedback.user)), 0))
    for approver, count in session.exec(by.group_by(col(Example.approved_by))):
        found[approver.removeprefix(IMPORTED)] += count
    return Counter(dict(found.most_common()))


def check(session: Session, team_id: str, user: str) -> Sequence[str]:
    """What has to be said of a person before they are judged: a line where nothing is by them.

    Raises:
        BadInput: it can be nobody.
    """
    there = known(session, team_id)
    if user in there:
        return ()
    if not is_user(user):
        raise BadInput(
            f"{user!r} is no Slack user id (U… or W…), and taught nothing; {_listed(there)}"
        )
    return (f"{user} taught and rated nothing so far; {_listed(there)}",)


def import_notes(session: Session, team_id: str, user: str) -> Sequence[str]:
    """What an importer has to know of themselves: a line where they are distrusted."""
    since = examples.distrusted_at(session, team_id, user)
    if since is None:
        return ()
    return (
        f"{user} is distrusted since {since.isoformat()[:19]}: what they taught before stays out, "
        f"also where this file has it again; what is new counts (`mynah trust {user}` undoes it)",
    )


def _listed(there: Counter[str]) -> str:
    names = [f"{user} ({count})" for user, count in list(there.items())[:_SHOWN]]
    more = [f"{len(there) - _SHOWN} more"] if len(there) > _SHOWN else []
    return f"who did, with their examples: {', '.join(names + more) or 'nobody yet'}"
