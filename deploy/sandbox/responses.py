"""Response URLs: where an app may answer a person, five times within half an hour."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field

LIVES_S = 30 * 60
USES = 5


@dataclass
class ResponseUrl:
    """Where answers through one response URL go."""

    channel: str
    user: str
    until: float
    message: str = ""  # the ts of the message whose element was used
    uses_left: int = USES


@dataclass
class ResponseUrls:
    """The response URLs that were given out."""

    _given: dict[str, ResponseUrl] = field(default_factory=dict)

    def give(self, channel: str, user: str, message: str = "") -> str:
        """The path of a new response URL."""
        key = secrets.token_hex(12)
        self._given[key] = ResponseUrl(channel, user, time.monotonic() + LIVES_S, message)
        return f"/commands/{key}"

    def use(self, key: str) -> ResponseUrl | None:
        """Where this answer goes; None when the URL is unknown, too old or used up."""
        given = self._given.get(key)
        if given is None or given.until < time.monotonic() or given.uses_left < 1:
            return None
        given.uses_left -= 1
        return given
