"""API keys: made once, shown once, kept as a hash, and revoked without a restart.

They are rows, not a setting: a key that leaked ends with one command, in every bot and at its next
request, each belongs to one workspace, and nobody who reads a bot's environment reads a key.

A key is 32 random bytes. SHA-256 keeps it: bcrypt and its like are slow on purpose, because people
choose passwords that can be guessed; 2^256 keys cannot, and each request would pay for it. The hash
is also what a key is found by.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence

from sqlmodel import Session, col, select

from bot import audit
from bot.store.schema import ApiKey, now

PREFIX = "mk-"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


class BadKeyName(Exception):
    """A key's name is at most 32 small letters, digits and dashes, e.g. website."""


class NoSuchKey(Exception):
    """There is no key of this number that could be revoked."""


def make(session: Session, team_id: str, name: str, by: str) -> tuple[ApiKey, str]:
    """A new key for a workspace: its row, and the key itself, which is never shown again.

    Raises:
        BadKeyName: the name becomes a channel's, so it is a plain word.
    """
    if _NAME.fullmatch(name) is None:
        raise BadKeyName(BadKeyName.__doc__)
    secret = PREFIX + secrets.token_urlsafe(32)
    key = ApiKey(team_id=team_id, name=name, sha256=_hash(secret), made_by=by)
    session.add(key)
    session.flush()
    audit.record(session, team_id, by, "api_key.add", f"api_key:{key.id}", name=name)
    return key, secret


def find(session: Session, secret: str) -> ApiKey | None:
    """The row of a key, revoked or not."""
    return session.exec(select(ApiKey).where(ApiKey.sha256 == _hash(secret))).first()


def of_team(session: Session, team_id: str) -> Sequence[ApiKey]:
    """A workspace's keys, oldest first."""
    rows = select(ApiKey).where(ApiKey.team_id == team_id)
    return session.exec(rows.order_by(col(ApiKey.id))).all()


def revoke(session: Session, team_id: str, number: int, by: str) -> ApiKey:
    """End a key, from its next request on. Raises NoSuchKey."""
    rows = select(ApiKey).where(ApiKey.team_id == team_id, ApiKey.id == number)
    key = session.exec(rows.with_for_update()).first()
    if key is None or key.revoked_at is not None:
        raise NoSuchKey(f"there is no key {number} that could be revoked")
    key.revoked_at = now()
    session.add(key)
    audit.record(session, team_id, by, "api_key.revoke", f"api_key:{number}", name=key.name)
    return key


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
