"""Keeping the cards of conflicts up to date, in the transaction that changed the conflicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlmodel import Session, col, select

from bot import conflicts, outbox
from bot.slack import conflict_card
from bot.store.schema import Conflict, Example, OutboxMessage


def follow(session: Session, team_id: str) -> None:
    """Close or change the cards of conflicts that are over, as an example was taken back."""
    for newer_id in sorted(conflicts.drop_settled(session, team_id)):
        show(session, team_id, newer_id)


def tell(
    session: Session, team_id: str, newer: Iterable[int], channel: str, links: Mapping[str, str]
) -> None:
    """Say in `channel` what was found about these newer examples."""
    for newer_id in sorted(newer):
        show(session, team_id, newer_id, channel=channel, links=links)


def show(
    session: Session,
    team_id: str,
    newer_id: int,
    *,
    channel: str = "",
    links: Mapping[str, str] | None = None,
    decided: Conflict | None = None,
) -> None:
    """Have the card say what stands; without a channel only one that is there is changed."""
    waiting = conflicts.of_newer(session, newer_id)
    card = _newest(session, team_id, newer_id)
    last = _last(session, card) if card is not None else None
    is_open = last is not None and conflict_card.is_open(last.payload)
    if not waiting:
        if card is not None and last is not None and is_open:
            payload = conflict_card.closed(decided)
            outbox.change(session, card, key=f"{card.key}:{last.id}", payload=payload)
        return
    known = conflict_card.links_of(last.payload) if last is not None and is_open else {}
    older = [(one, session.get_one(Example, one.older_id)) for one in waiting]
    newer = session.get_one(Example, newer_id)
    payload = conflict_card.opened(newer, older, known | dict(links or {}))
    if card is not None and last is not None and is_open:
        if payload != last.payload:
            outbox.change(session, card, key=f"{card.key}:{last.id}", payload=payload)
    elif channel:
        key = f"{_key(newer_id)}{max(one.id or 0 for one in waiting)}"
        outbox.say(session, team_id=team_id, key=key, channel=channel, payload=payload)


def _key(newer_id: int) -> str:
    """What the keys of the cards about an example begin with; the newest conflict follows."""
    return f"conflict:{newer_id}:"


def _newest(session: Session, team_id: str, newer_id: int) -> OutboxMessage | None:
    rows = select(OutboxMessage).where(
        OutboxMessage.team_id == team_id,
        col(OutboxMessage.key).startswith(_key(newer_id)),
        col(OutboxMessage.follows_id).is_(None),
    )
    return session.exec(rows.order_by(col(OutboxMessage.id).desc())).first()


def _last(session: Session, card: OutboxMessage) -> OutboxMessage:
    """What the card says, or will say when all that waits was said."""
    rows = select(OutboxMessage).where(OutboxMessage.follows_id == card.id)
    return session.exec(rows.order_by(col(OutboxMessage.id).desc())).first() or card
