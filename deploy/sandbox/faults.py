"""Bad luck on demand: lost acknowledgements, doubled events, rate limits, failing calls."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from deploy.sandbox.feed import Feed


@dataclass
class CallFault:
    """What happens to the next `left` calls of one method."""

    method: str
    left: int
    token: str  # whose calls; "*" for everybody's
    status: int = 200
    error: str = "ratelimited"
    retry_after_s: int | None = None
    applied: bool = False  # the method does its work, and only its answer is lost

    def hits(self, method: str, token: str) -> bool:
        """Whether it strikes this call."""
        return self.left > 0 and self.method == method and self.token in (token, "*")


@dataclass
class Storm:
    """Until it is over, a share of the events comes late, out of order, and two or three times."""

    share: float
    within_s: float  # the last of an event's deliveries begins this late at most
    dice: Random

    def moments(self) -> list[float]:
        """When to begin each delivery of the event at hand, in seconds from now."""
        if self.dice.random() >= self.share:
            return [0.0]
        times = self.dice.choice((2, 3))
        return sorted(self.dice.uniform(0, self.within_s) for _ in range(times))


@dataclass
class Faults:
    """What is to go wrong next; each count runs down to nothing, a storm goes on."""

    drop_ack: int = 0
    duplicate: int = 0
    expire_stream: int = 0
    calls: list[CallFault] = field(default_factory=list)
    storm: Storm | None = None
    feed: Feed = field(default_factory=Feed)

    def moments(self) -> list[float]:
        """When to begin each delivery of the event at hand, in seconds from now."""
        return [0.0] if self.storm is None else self.storm.moments()

    def drops_ack(self) -> bool:
        """Whether the acknowledgement at hand is lost on its way."""
        lost = self.drop_ack > 0
        self.drop_ack -= lost
        return self._used(lost)

    def duplicates(self) -> bool:
        """Whether the event at hand is delivered twice."""
        twice = self.duplicate > 0
        self.duplicate -= twice
        return self._used(twice)

    def expires_stream(self) -> bool:
        """Whether the stream at hand is found dead."""
        dead = self.expire_stream > 0
        self.expire_stream -= dead
        return self._used(dead)

    def of_call(self, method: str, token: str) -> CallFault | None:
        """The fault that strikes this call, if any."""
        fault = next((f for f in self.calls if f.hits(method, token)), None)
        if fault:
            fault.left -= 1
            self.calls = [f for f in self.calls if f.left > 0]
        self._used(fault is not None)
        return fault

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self.drop_ack = self.duplicate = self.expire_stream = 0
        self.calls = []
        self.storm = None
        self.changed()

    def changed(self) -> None:
        """Tell who watches that the counts are not as they were."""
        self.feed.tell("", "faults")

    def as_json(self) -> dict[str, int]:
        """How often each is still to strike."""
        return {
            "duplicate": self.duplicate,
            "drop_ack": self.drop_ack,
            "rate_limit": sum(f.left for f in self.calls if f.retry_after_s is not None),
            "expire_stream": self.expire_stream,
        }

    def _used(self, used: bool) -> bool:
        if used:
            self.changed()
        return used
