"""How long Slack asked to wait, by method and channel: nobody calls there again before.

Slack limits most methods for a whole workspace, and posting for each channel
(https://docs.slack.dev/apis/web-api/rate-limits). It allows bursts and says no when they are over:
so what it says is kept, and nothing is slowed down in advance.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from slack_sdk.errors import SlackApiError

BY_CHANNEL = frozenset({"post"})  # the other kinds of calls are limited for the whole workspace
UNSAID_S = 1.0  # a 429 that does not say how long


class Pacing:
    """What one process was told."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, str], float] = {}

    def wait_s(self, kind: str, channel: str = "") -> float:
        """Seconds until the next call of this kind may be made; 0 if at once."""
        return max(0.0, self._until.get(_key(kind, channel), 0.0) - time.monotonic())

    def refused(self, kind: str, error: SlackApiError, channel: str = "") -> float:
        """Slack said 429: keep how long it asked to wait, and return it in seconds."""
        wait_s = retry_after(error.response.headers) or UNSAID_S
        self._until[_key(kind, channel)] = time.monotonic() + wait_s
        return wait_s


def _key(kind: str, channel: str) -> tuple[str, str]:
    return kind, channel if kind in BY_CHANNEL else ""


def retry_after(headers: Mapping[str, Any]) -> float:
    """Seconds that Slack asks to wait; 0 when it does not say."""
    found = next((value for name, value in headers.items() if name.lower() == "retry-after"), 0)
    return float(found[0] if isinstance(found, list) else found)
