"""How much a key may ask: so much a minute in all, and so much at once.

The first is counted in the store, in the transaction that stores the question anyway, so it holds
over all bots together. The second is counted by each bot for itself.
"""

from __future__ import annotations

from collections import Counter

from sqlmodel import Session

from bot.api.errors import ApiError, bad_key
from bot.store.schema import ApiKey, now

BURST_S = 20.0  # what is not used of the allowance is kept for so long
AT_ONCE = 16  # requests of one key that one bot works on


def spend(session: Session, key_id: int | None, per_minute: int) -> ApiKey:
    """Take one request off the key's allowance; the key as it stands.

    Raises:
        ApiError: it is used up, or the key was revoked.
    """
    key = session.get_one(ApiKey, key_id, with_for_update=True)
    if key.revoked_at is not None:
        raise bad_key("api_key_revoked")
    moment, rate = now(), per_minute / 60
    most = max(1.0, rate * BURST_S)
    passed = max(0.0, (moment - key.counted_at).total_seconds())  # clocks may differ a little
    left = most if key.allowance is None else min(most, key.allowance + passed * rate)
    if left < 1:
        words = f"This key may ask {per_minute} times a minute."
        raise ApiError(429, words, "rate_limit_exceeded", retry_s=(1 - left) / rate)
    key.allowance, key.counted_at, key.last_used_at = left - 1, moment, moment
    session.add(key)
    return key


class Places:
    """What one bot works on at once, for each key."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._taken: Counter[int | None] = Counter()

    def take(self, key_id: int | None) -> None:
        """Take a place; `leave` gives it back. Raises ApiError."""
        if self._taken[key_id] >= self._at_once:
            words = f"This key has {self._at_once} requests under way: wait for one of them."
            raise ApiError(429, words, "too_many_at_once", retry_s=1)
        self._taken[key_id] += 1

    def leave(self, key_id: int | None) -> None:
        """Give a place back."""
        self._taken[key_id] -= 1
        if not self._taken[key_id]:
            del self._taken[key_id]
