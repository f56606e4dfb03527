"""Bad luck on demand: lost acknowledgements, doubled events, rate limits, failing calls."""

from __future__ import annotations

from dataclasses import dataclass, field


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
class Faults:
    """What is to go wrong next; each count runs down to nothing."""

    drop_ack: int = 0
    duplicate: int = 0
    expire_stream: int = 0
    calls: list[CallFault] = field(default_factory=list)

    def drops_ack(self) -> bool:
        """Whether the acknowledgement at hand is lost on its way."""
        lost = self.drop_ack > 0
        self.drop_ack -= lost
        return lost

    def duplicates(self) -> bool:
        """Whether the event at hand is delivered twice."""
        twice = self.duplicate > 0
        self.duplicate -= twice
        return twice

    def expires_stream(self) -> bool:
        """Whether the stream at hand is found dead."""
        dead = self.expire_stream > 0
        self.expire_stream -= dead
        return dead

    def of_call(self, method: str, token: str) -> CallFault | None:
        """The fault that strikes this call, if any."""
        fault = next((f for f in self.calls if f.hits(method, token)), None)
        if fault:
            fault.left -= 1
            self.calls = [f for f in self.calls if f.left > 0]
        return fault

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self.drop_ack = self.duplicate = self.expire_stream = 0
        self.calls = []
