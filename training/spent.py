"""What a recipe has cost so far, kept beside its work: a trainer may be killed at any moment."""

from __future__ import annotations

import time
from pathlib import Path

from pydantic import BaseModel, ConfigDict

FILE = "spent.json"


class Spent(BaseModel):
    """What all processes together spent on one recipe of a run."""

    model_config = ConfigDict(frozen=True)

    seconds: float = 0.0
    attempts: tuple[int, ...] = ()  # of the run; each once, for an orderly restart takes none


class Clock:
    """Counts a recipe's time on from where an earlier process was killed."""

    def __init__(self, work_dir: Path, attempt: int) -> None:
        work_dir.mkdir(parents=True, exist_ok=True)
        self._file = work_dir / FILE
        known = so_far(work_dir)
        self._attempts = tuple(sorted({*known.attempts, attempt}))
        self._earlier_s, self._began = known.seconds, time.monotonic()
        self.keep()

    @property
    def seconds(self) -> float:
        """So far."""
        return self._earlier_s + time.monotonic() - self._began

    def ended(self) -> None:
        """The process was not killed at it, whatever else went wrong."""
        self._attempts = self._attempts[:-1]
        self.keep()

    def keep(self) -> None:
        """Write it down."""
        beside = self._file.with_suffix(".part")
        spent = Spent(seconds=self.seconds, attempts=self._attempts)
        beside.write_text(spent.model_dump_json(), "ascii")
        beside.replace(self._file)


def so_far(work_dir: Path) -> Spent:
    """What was written down there; nothing where it cannot be read."""
    try:
        return Spent.model_validate_json((work_dir / FILE).read_bytes())
    except (OSError, ValueError):
        return Spent()
