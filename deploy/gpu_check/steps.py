"""Steps that are tried one after the other, whatever became of those before, and their report."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")
Told = dict[str, Any]  # a step's figures, by name
MARKS = {"passed": "ok  ", "failed": "BAD ", "not tried": "–   "}


class Failed(Exception):
    """One line: what is not as it should be."""


class NotTried(Exception):
    """One line: what a step would have needed, and is not there."""


@dataclass(frozen=True)
class Step:
    """What became of a step: "passed", "failed" or "not tried", and then why."""

    name: str
    outcome: str
    seconds: float
    figures: Mapping[str, Any]
    why: str = ""


@dataclass
class Steps:
    """The steps so far."""

    say: Callable[[str], None]
    taken: list[Step] = field(default_factory=list)

    async def take(self, name: str, do: Callable[[Told], Awaitable[T]]) -> T | None:
        """Do it, and tell; what it returned, or None when it did not work.

        Args:
            do: puts its figures where it is told, and raises when something is wrong.
        """
        self.say(f"▶ {name}")
        told: Told = {}
        began = time.monotonic()
        outcome, why, got = "passed", "", None
        try:
            got = await do(told)
        except NotTried as error:
            outcome, why = "not tried", str(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next step is to be tried
            outcome, why = "failed", one_line(error)
        step = Step(name, outcome, round(time.monotonic() - began, 1), told, why)
        self.taken.append(step)
        self.say(line(step))
        return got

    @property
    def passed(self) -> bool:
        """Whether every step was tried and worked."""
        return all(step.outcome == "passed" for step in self.taken)

    def table(self) -> str:
        """A line for each step."""
        return "\n".join(map(line, self.taken))

    def report(self, machine: Mapping[str, Any]) -> dict[str, Any]:
        """As `reports/gpu-check.json` holds it."""
        return {
            "machine": dict(machine),
            "passed": self.passed,
            "steps": [asdict(step) for step in self.taken],
        }


def needed(thing: T | None, why: str) -> T:
    """The thing. Raises NotTried where an earlier step did not bring it."""
    if thing is None:
        raise NotTried(why)
    return thing


def line(step: Step) -> str:
    """One row of the table."""
    figures = ", ".join(f"{name} {_shown(value)}" for name, value in step.figures.items())
    said = f"{figures}; {step.why}" if figures and step.why else figures or step.why
    return f"{MARKS[step.outcome]} {step.name:<36} {step.seconds:>7.1f} s  {said}".rstrip()


def one_line(error: BaseException) -> str:
    """What went wrong; of several at once the first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    said = " ".join(str(error).split())
    return said[:300] if said else type(error).__name__


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value)
