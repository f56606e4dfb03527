"""The loss of a training as it is kept with its run: what lies in the work directory goes away."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Engine

from bot.store.database import transaction
from bot.store.runs import update_run
from training.soundness import Point, of_log, read_curve

MOST_POINTS = 200  # as many as a picture can show
STATE = "trainer_state.json"  # of a Hugging Face trainer, in each checkpoint


class Curve(BaseModel):
    """The steps of one training, some of them together."""

    model_config = ConfigDict(frozen=True)

    steps: int = 0
    points: tuple[Point, ...] = ()  # each is the mean of as many steps, the last one of fewer

    @property
    def each(self) -> int:
        """How many steps are in a point."""
        return -(-self.steps // len(self.points)) if self.points else 1


def keep(engine: Engine, run_id: int, fence: int, *work_dirs: Path) -> None:
    """Store with a run what a training left in the first of these where one did, unless none did.

    What goes on from another's adapter has no loss of its own, but that one's. Raises LostRun.
    """
    found = next(filter(lambda one: one.points, map(so_far, work_dirs)), None)
    if found is not None:
        with transaction(engine) as session:
            update_run(session, run_id, fence, curve=found.model_dump(mode="json"))


def of_run(run_dir: Path) -> Curve:
    """What the newest of a run's trainings left there."""
    trained = sorted(run_dir.glob("*"), key=lambda path: path.stat().st_mtime)
    return so_far(trained[-1]) if trained else Curve()


def so_far(work_dir: Path) -> Curve:
    """What a training left there, finished or not; empty where it left nothing."""
    for directory in (work_dir / "adapter", work_dir / "staging"):
        if points := read_curve(directory):
            return thinned(points)
    states = sorted(work_dir.glob(f"first/checkpoint-*/{STATE}"), key=_step)
    return thinned(_of_state(states[-1])) if states else Curve()


def thinned(points: Sequence[Point], most: int = MOST_POINTS) -> Curve:
    """At most so many points, each the mean of the steps that it stands for."""
    each = max(1, -(-len(points) // most))
    parts = [points[at : at + each] for at in range(0, len(points), each)]
    return Curve(steps=len(points), points=tuple(map(_mean, parts)))


def _step(state: Path) -> int:
    return int(state.parent.name.removeprefix("checkpoint-"))


def _of_state(path: Path) -> list[Point]:
    try:
        return of_log(json.loads(path.read_bytes()).get("log_history", ()))
    except ValueError:  # it was being written when the process died
        return []


def _mean(points: Sequence[Point]) -> Point:
    """One that is no number stays one: it is what ended the training."""
    losses = [point.loss for point in points]
    return Point(
        loss=None if None in losses else _average(losses),
        gradient=_average(point.gradient for point in points),
        kl=_average(point.kl for point in points),
    )


def _average(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
