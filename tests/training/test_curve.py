"""The loss of a training is kept with its run, as far as it came."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlmodel import select

from bot.store.database import reading
from bot.store.schema import Run, RunStatus
from tests.fake_vllm import FakeVllm
from tests.lora_files import make_adapter
from tests.training.stage import kept, parts, queue_and_claim, teach, worker_settings
from training import cycle, soundness
from training.curve import MOST_POINTS, Curve, so_far, thinned
from training.failures import TrainingFailed
from training.soundness import Point
from training.train import Say, TrainJob

LOG = [{"fact_loss": 3.0, "grad_norm": 1.0}, {"fact_loss": 1.0, "kl": 0.5}, {"train_runtime": 9.0}]


def checkpoint(work_dir: Path, step: int) -> Path:
    """The state that a trainer leaves with a checkpoint."""
    directory = work_dir / "first" / f"checkpoint-{step}"
    directory.mkdir(parents=True)
    state = directory / "trainer_state.json"
    state.write_text(json.dumps({"log_history": LOG[:step]}))
    return state


def test_a_long_training_is_thinned() -> None:
    """Each point is the mean of as many steps; what is no number stays none."""
    points = [Point(loss=float(at), gradient=2.0) for at in range(1000)]
    points[999] = Point(loss=None)
    curve = thinned(points)
    assert (curve.steps, len(curve.points), curve.each) == (1000, MOST_POINTS, 5)
    assert curve.points[0] == Point(loss=2.0, gradient=2.0, kl=None)
    assert curve.points[-1].loss is None
    assert thinned(points[:3]).points == tuple(points[:3])
    assert thinned([]) == Curve()


def test_what_a_training_left_is_found(tmp_path: Path) -> None:
    """A finished one's curve, else that of its newest checkpoint; half a file is none."""
    assert so_far(tmp_path) == Curve()
    checkpoint(tmp_path, 1)
    newest = checkpoint(tmp_path, 2)
    assert [point.loss for point in so_far(tmp_path).points] == [3.0, 1.0]
    newest.write_text('{"log_hist')
    assert so_far(tmp_path) == Curve()
    (tmp_path / "staging").mkdir()
    soundness.write_curve([{"fact_loss": 7.0}], tmp_path / "staging")
    assert [point.loss for point in so_far(tmp_path).points] == [7.0]
    assert [path.name for path in (tmp_path / "staging").iterdir()] == [soundness.CURVE]
    (tmp_path / "staging" / soundness.CURVE).write_text("")
    assert so_far(tmp_path) == Curve()


@pytest.mark.parametrize("fails", [False, True])
async def test_the_loss_outlives_the_work_directory(
    engine: Engine, tmp_path: Path, fake_vllm: FakeVllm, fails: bool
) -> None:
    """Of a run that ended well, and of one whose training failed."""
    base = tmp_path / "base-model"

    def train(job: TrainJob, say: Say) -> Path:
        checkpoint(job.work_dir, 2)
        if fails:
            raise TrainingFailed("out of luck")
        made = make_adapter(job.work_dir / "adapter", base, seed=1)
        soundness.write_curve(LOG, made)
        return made

    teach(engine)
    settings = worker_settings(tmp_path, fake_vllm.url)
    async with kept(settings, engine):
        status = await cycle.run(
            *queue_and_claim(engine), parts(settings, engine, base, train=train)
        )
    assert status is (RunStatus.FAILED if fails else RunStatus.RELEASED)
    with reading(engine) as session:
        found = Curve.model_validate(session.exec(select(Run)).one().curve)
    assert (found.steps, [point.loss for point in found.points]) == (2, [3.0, 1.0])
