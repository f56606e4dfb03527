"""The figures of a bench: what is made of times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Load:
    """What a load came to: seconds from each event to what followed it."""

    acked_s: Sequence[float]  # event → acknowledgement, one an event
    answered_s: Sequence[float]  # question → its posted answer, one a question

    def as_json(self) -> dict[str, Any]:
        """Its figures as the report holds them."""
        return {
            "events": len(self.acked_s),
            "questions": len(self.answered_s),
            "ack_ms": milliseconds(self.acked_s),
            "answer_ms": milliseconds(self.answered_s),
        }


def milliseconds(seconds: Sequence[float]) -> dict[str, float]:
    """The median and the 99th percentile."""
    return {f"p{percent}": round(1000 * percentile(seconds, percent), 1) for percent in (50, 99)}


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of the values that at least so many percent of them do not exceed."""
    if not values:
        raise ValueError("there is nothing to take a percentile of")
    rank = -(-len(values) * percent // 100)
    return sorted(values)[max(int(rank), 1) - 1]


def table(figures: Mapping[str, Any]) -> str:
    """The figures for the eye."""
    rows: list[tuple[str, ...]] = [("", "ack p50", "p99", "answer p50", "p99")]
    for name, load in (("moderate load", figures), ("200 at once", figures["at_once_200"])):
        times = [load[what][p] for what in ("ack_ms", "answer_ms") for p in ("p50", "p99")]
        rows.append((name, *(f"{time:.0f} ms" for time in times)))
    lines = [f"  {row[0]:<16}" + "".join(f"{cell:>12}" for cell in row[1:]) for row in rows]
    cores = ", ".join(f"{name} {share:.2f}" for name, share in figures["cores_used"].items())
    return "\n".join(
        [
            *lines,
            f"  sustained       {figures['events_per_s']:>8.1f} events/s, "
            f"{figures['questions_per_s']:.1f} answered questions/s",
            f"  cores used      {cores}: {figures['bottleneck']} is the bottleneck",
        ]
    )
