"""The base model that is served, as the active worker noted it, and what fits it.

Before anything is noted, everything fits.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, func
from sqlmodel import Session, col, exists, select

from bot.store.schema import Adapter, Release, ServedBase


def newest(session: Session) -> ServedBase | None:
    """The base model that is served; None before a worker has noted one."""
    return session.exec(select(ServedBase).order_by(col(ServedBase.id).desc()).limit(1)).first()


def changed_at(session: Session) -> datetime | None:
    """When it was last changed; None while it is the first one that was noted."""
    rows = select(ServedBase.at).order_by(col(ServedBase.id).desc()).limit(2)
    found = session.exec(rows).all()
    return found[0] if len(found) > 1 else None


def before(session: Session, base: ServedBase) -> ServedBase | None:
    """The base model that was served before this one; None where it is the first."""
    rows = select(ServedBase).where(col(ServedBase.id) < base.id)
    return session.exec(rows.order_by(col(ServedBase.id).desc()).limit(1)).first()


def fits() -> ColumnElement[bool]:
    """For a query over Release: it is the base model itself, or was trained on what is served."""
    newest_id = select(func.max(ServedBase.id)).scalar_subquery()
    return ~exists().where(
        col(Adapter.id) == Release.adapter_id,
        col(ServedBase.id) == newest_id,
        col(ServedBase.sha256) != Adapter.base_sha256,
    )


def is_fit(session: Session, release_id: int) -> bool:
    """Whether the release fits what is served."""
    rows = select(Release.id).where(Release.id == release_id, fits())
    return session.exec(rows).first() is not None


def named(model: str, sha256: str) -> str:
    """A base model for people: two fine-tunes of one model often have one name."""
    return f"{model}@{sha256[:12]}"
