"""Trigger ids: a person's click, which the app may exchange for one modal within three seconds."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from deploy.sandbox.errors import SlackError


@dataclass
class Trigger:
    """Who clicked, where, and until when it counts."""

    user: str
    view: str  # the id of the view in which it happened; "" outside of views
    until: float
    used: bool = False


@dataclass
class Triggers:
    """The trigger ids that were given out."""

    lives_s: float = 3.0
    time_s: Callable[[], float] = time.monotonic
    _given: dict[str, Trigger] = field(default_factory=dict)

    def give(self, user: str, view: str = "") -> str:
        """A new trigger id for what a person did."""
        trigger_id = f"{time.time_ns() // 1_000_000}.{secrets.randbelow(10**9)}."
        trigger_id += secrets.token_hex(16)
        self._given[trigger_id] = Trigger(user, view, self.time_s() + self.lives_s)
        return trigger_id

    def exchange(self, trigger_id: str) -> Trigger:
        """Use a trigger id up.

        Raises:
            SlackError: `invalid_trigger_id`, `exchanged_trigger_id`, `expired_trigger_id`.
        """
        trigger = self._given.get(trigger_id)
        if trigger is None:
            raise SlackError("invalid_trigger_id")
        if trigger.used:
            raise SlackError("exchanged_trigger_id")
        if trigger.until <= self.time_s():
            raise SlackError("expired_trigger_id")
        trigger.used = True
        return trigger
