"""Which judge compares two answers, as the settings name it."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import SecretStr


@dataclass(frozen=True)
class Judging:
    """Which judge to ask, and how much of its time an evaluation may take."""

    url: str
    model: str
    key: SecretStr = field(default=SecretStr(""))
    most: int = 60  # pairs
    seconds: float = 300.0
