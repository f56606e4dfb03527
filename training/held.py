"""The run that a process holds: read, written under its fence, and told of."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlmodel import Session, col, select

from bot import run_message
from bot.store.database import reading, transaction
from bot.store.runs import update_run
from bot.store.schema import Run, RunStatus, Trial, now
from serving.base import BaseSpec, base_spec
from serving.resting import Alone
from serving.settings import name_of
from training import ending
from training.failures import RestOver
from training.parts import Parts
from training.telling import News, somebody_waits

T = TypeVar("T")
TELL_S = 1.0  # progress is written at most so often


class Held:
    """One run, for as long as no other process takes it over: then each write raises LostRun."""

    def __init__(self, run_id: int, fence: int, parts: Parts) -> None:
        self.run_id, self.fence, self.parts = run_id, fence, parts
        self.engine, self.settings = parts.engine, parts.settings
        self.data_dir = parts.settings.data_dir.resolve()
        self.work_dir = self.data_dir / "runs" / str(run_id)
        self.team_id = self.run().team_id
        self.device: Alone | None = None  # had from the rest of the servers on, until the end
        self.rests_until: datetime | None = None
        self._told = ("", 0.0)
        self._news = News()

    def run(self) -> Run:
        """The run as it stands."""
        return self.get(Run, self.run_id)

    def get(self, kind: type[T], key: int | None) -> T:
        """A row that there is."""
        with reading(self.engine) as session:
            return session.get_one(kind, key)

    def trials(self) -> list[Trial]:
        """The recipes of the run, in the order in which they train."""
        with reading(self.engine) as session:
            rows = select(Trial).where(Trial.run_id == self.run_id).order_by(col(Trial.id))
            return list(session.exec(rows))

    @contextmanager
    def writing(self, **fields: Any) -> Iterator[Session]:
        """A transaction in which the run is held, and its `fields` set."""
        with transaction(self.engine) as session:
            update_run(session, self.run_id, self.fence, **fields)
            yield session

    def spec(self) -> BaseSpec:
        """The base model that is served and trained."""
        return base_spec(self.parts.base())

    def cache(self, name: str) -> Path:
        """Where the base model's own answers are kept: they are the same for every run."""
        directory = self.data_dir / "base-answers"
        directory.mkdir(parents=True, exist_ok=True)
        return directory / f"{name}-{self.spec().sha256[:12]}.jsonl"

    def say(self, phase: str, progress: float) -> None:
        """Write down how far the run is. Raises LostRun or RestOver: the work ends at once."""
        if self.rests_until is not None:
            if now() >= self.rests_until:
                raise RestOver.of(self.settings.rest_minutes)
            phase = f"answers wait: {phase}"
        said, at = self._told
        if phase == said and time.monotonic() - at < TELL_S:
            return
        self._told = (phase, time.monotonic())
        print(f"{phase} {progress:.0%}", flush=True)
        with self.writing(phase=phase, progress=progress) as session:
            if self._news.is_due(phase, progress, time.monotonic()):
                self._tell(session, phase, progress)

    def end(self, session: Session, status: RunStatus, reasons: Sequence[str]) -> None:
        """End the run, in the caller's transaction."""
        run = session.get_one(Run, self.run_id)
        channel = name_of(run.team_id, self.settings.admin_channel)
        ending.end(session, run, self.fence, status, reasons, admin_channel=channel)

    def tidy(self) -> None:
        """Remove what was only needed on the way."""
        shutil.rmtree(self.work_dir, ignore_errors=True)

    def _tell(self, session: Session, phase: str, progress: float) -> None:
        run = session.get_one(Run, self.run_id)
        if not somebody_waits(run):
            return
        run_message.tell(
            session, run, step=f"{self.fence}:{phase}:{progress:.3f}",
            admin_channel=name_of(run.team_id, self.settings.admin_channel),
            left_s=self._news.left_s(progress, time.monotonic()),
        )  # fmt: skip
