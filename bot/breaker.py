"""How many questions one server may be asked at a time, by how it did lately: a circuit breaker,
and the ramp after it.

Our own, as none fits: purgatory is well kept, but rests for the same time each time and then lets
everybody through at once; pybreaker has no asyncio, and aiobreaker was last released in 2021.
"""

from __future__ import annotations

import time
from collections.abc import Callable

FAILURES = 3  # in a row: then the server is left alone for a while
REST_S, LONGEST_REST_S = 0.5, 15.0  # twice as long each time that it fails again


class Breaker:
    """Of one server. Closed, it lets `limit` questions through at a time; open, none; after its
    rest, one, and twice as many after each answer until it is closed again.

    Args:
        limit: so many at a time; what is more waits here and not in the server.
    """

    def __init__(self, limit: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self._clock = clock
        self._most = limit
        self._failures = 0
        self._rest_s = REST_S
        self._until = float("-inf")

    @property
    def room(self) -> int:
        """So many questions may be under way now."""
        return 0 if self.rests else self._most

    @property
    def rests(self) -> bool:
        """Whether it is not to be asked at all."""
        return self.rest_s > 0

    @property
    def rest_s(self) -> float:
        """For so long it is not to be asked yet."""
        return max(self._until - self._clock(), 0.0)

    @property
    def is_proved(self) -> bool:
        """Whether it has answered since it last failed for long."""
        return not self.rests and self._rest_s == REST_S

    @property
    def is_closed(self) -> bool:
        """Whether all is well."""
        return self.is_proved and self._most == self.limit

    def succeeded(self) -> None:
        """It gave an answer."""
        self._failures = 0
        self._rest_s = REST_S
        self._until = float("-inf")
        self._most = min(2 * self._most, self.limit)

    def failed(self, *, gone: bool = False) -> None:
        """It gave none. `gone`: nobody listens there, which a second try would not tell better."""
        if self.rests:  # it was asked before that
            return
        self._failures += 1
        if gone or self._failures >= FAILURES or not self.is_closed:
            self._until = self._clock() + self._rest_s
            self._rest_s = min(2 * self._rest_s, LONGEST_REST_S)
            self._most = 1
