"""What a check found, and what to do about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from deploy.checkups.patient import Patient


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"  # Mynah works, but for this
    BAD = "bad"
    SKIPPED = "skipped"  # it could not be looked at, or there is nothing to look at


@dataclass(frozen=True)
class Finding:
    """One line for the operator; `mend` says what to do, where there is something."""

    check: str
    level: Level
    found: str
    mend: str = ""


class NotLooked(Exception):
    """Why a check cannot be made; another one says what to do about that."""


@dataclass(frozen=True)
class Said:
    """What a check says, before it has its name."""

    level: Level
    found: str
    mend: str = ""


Check = Callable[[Patient], Sequence[Said]]  # blocking
AsyncCheck = Callable[[Patient], Awaitable[Sequence[Said]]]


def fine(found: str) -> list[Said]:
    """Nothing is wrong."""
    return [Said(Level.OK, found)]


def bad(found: str, mend: str) -> Said:
    """Mynah cannot do its work."""
    return Said(Level.BAD, found, mend)


def warning(found: str, mend: str) -> Said:
    """Mynah works, but for this."""
    return Said(Level.WARNING, found, mend)


def otherwise(troubles: Iterable[Said], found: str) -> list[Said]:
    """The troubles; where there are none, that all is fine."""
    return list(troubles) or fine(found)
