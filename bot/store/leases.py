"""Leases by name: which process may act alone, for as long as it keeps saying so."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, or_, update
from sqlmodel import Session, col, select

from bot.store.once import insert_once
from bot.store.schema import Lease, now

WORKER = "worker"  # whoever holds it trains, and keeps the servers in step


def acquire(session: Session, name: str, owner: str, ttl_s: float) -> bool:
    """Take or renew the lease `name` for `ttl_s` seconds; False while another owner holds it."""
    moment = now()
    until = moment + timedelta(seconds=ttl_s)
    if insert_once(session, Lease(name=name, owner=owner, until=until)):
        return True
    mine_or_over = or_(col(Lease.owner) == owner, col(Lease.until) < moment)
    taken = (
        update(Lease)
        .where(col(Lease.name) == name, mine_or_over)
        .values(owner=owner, until=until)
        .returning(col(Lease.name))
    )
    return session.execute(taken).first() is not None


def holds(session: Session, name: str, owner: str) -> bool:
    """Whether `owner` may still act: it may have slept through the end of its lease."""
    rows = select(Lease.name).where(Lease.name == name, Lease.owner == owner)
    return session.exec(rows.where(col(Lease.until) >= now())).first() is not None


def is_held(session: Session, name: str) -> bool:
    """Whether a process holds the lease `name` and has said so in time."""
    held = select(Lease.name).where(Lease.name == name, col(Lease.until) >= now())
    return session.exec(held).first() is not None


def release(session: Session, name: str, owner: str) -> None:
    """Give the lease back at once, if `owner` holds it."""
    session.execute(delete(Lease).where(col(Lease.name) == name, col(Lease.owner) == owner))
