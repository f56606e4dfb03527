"""A run with several recipes: each is trained and measured once, and the best one is released."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event
from sqlmodel import col, select

from bot import examples, releases
from bot.store.database import open_engine, reading, transaction
from bot.store.runs import claim_run, request_run
from bot.store.schema import (
    Adapter,
    Evaluation,
    Rollout,
    RolloutAction,
    Run,
    RunStatus,
    RunTrigger,
    Trial,
    now,
)
from deploy.facts import run_facts
from serving.client import BASE
from tests.fake_vllm import FakeVllm
from tests.training.stage import (
    TEAM,
    Figures,
    Verdict,
    fake_evaluate,
    fake_train,
    kept,
    parts,
    teach,
    worker_settings,
)
from tests.training.test_cycle import Killed, die_at, live_adapter, newest, said
from training import cycle, soundness, spent
from training.child import MAX_ATTEMPTS
from training.failures import TrainingFailed
from training.parts import Parts
from training.settings import WorkerSettings
from training.train import Say, TrainJob

SEEDS = {"sft": 1, "sft+dpo": 2, "sdft": 3}


class Near(Figures):
    """Measured with a distance from the base, by which the fake candidates differ."""

    kl: float = 0.0


@pytest.fixture
def settings(tmp_path: Path, fake_vllm: FakeVllm) -> WorkerSettings:
    return worker_settings(tmp_path, fake_vllm.url, recipe="sft,sft+dpo,sdft")


@pytest.fixture
def base(tmp_path: Path, fake_vllm: FakeVllm) -> Path:
    return tmp_path / "base-model"


def by_recipe(base: Path, jobs: list[TrainJob]) -> Callable[[TrainJob, Say], Path]:
    """A trainer that writes other weights for each recipe."""

    def train(job: TrainJob, say: Say) -> Path:
        jobs.append(job)
        return fake_train(base, SEEDS[job.recipe.name])(job, say)

    return train


async def near(*args: Any, **kwargs: Any) -> Near:
    """sft+dpo stays nearest to the base; each asks the base and itself the same question."""
    chat: Any = [{"role": "user", "content": "Which port?"}]
    await args[0].complete(chat, model=BASE)
    found = await fake_evaluate(*args, **kwargs)
    kl = {"sft": 0.2, "sft+dpo": 0.1, "sdft": 0.3}[kwargs["recipe"].name]
    return Near(live=found.live, kl=kl)


def competing(settings: WorkerSettings, engine: Engine, base: Path, **others: Any) -> Parts:
    """The parts, with the trainer and the evaluation above."""
    made = {"train": by_recipe(base, []), "evaluate": near, **others}
    return parts(settings, engine, base, **made)


def claim(engine: Engine) -> tuple[int, int]:
    """Queue a run by the settings' recipes, or take over the one that is there."""
    with transaction(engine) as session:
        request_run(session, team_id=TEAM, trigger=RunTrigger.COMMAND, recipe={})
        run = claim_run(session, "test", lease_s=-1)
        assert run is not None
        return run.id or 0, run.fence


async def play(made: Parts) -> RunStatus:
    """Play one run to its end."""
    async with kept(made.settings, made.engine):
        return await cycle.run(*claim(made.engine), made)


def trials(engine: Engine) -> dict[str, Trial]:
    """What was tried in the newest run, by its recipe."""
    with reading(engine) as session:
        rows = select(Trial).where(Trial.run_id == newest(engine).id).order_by(col(Trial.id))
        return {one.name: one for one in session.exec(rows)}


async def test_the_best_of_them_goes_live(
    engine: Engine, settings: WorkerSettings, base: Path, fake_vllm: FakeVllm
) -> None:
    """Each has its adapter, recipe and evaluation; one is loaded at a time and the best again;
    what goes on from the SFT begins with its weights; the base is asked nothing twice."""
    teach(engine, facts=10)
    jobs: list[TrainJob] = []
    made = competing(settings, engine, base, train=by_recipe(base, jobs))
    assert await play(made) is RunStatus.RELEASED
    found, run = trials(engine), newest(engine)
    with reading(engine) as session:
        names = {one.id: one.name for one in session.exec(select(Adapter))}
        evaluated = session.exec(select(Evaluation)).all()
        rollouts = session.exec(select(Rollout).order_by(col(Rollout.id))).all()
        wanted = [one.name for one in releases.desired_adapters(session)]
        tried = run_facts(session, run)["tried"]
    ours = {name: names[one.adapter_id] for name, one in found.items()}
    assert list(ours) == ["sft", "sft+dpo", "sdft"]
    assert {one.adapter_id for one in evaluated} == set(names)
    assert live_adapter(engine) == ours["sft+dpo"]
    assert wanted == [ours["sft+dpo"]]
    assert fake_vllm.loads == [*ours.values(), ours["sft+dpo"]]
    assert run.adapter_id == found["sft+dpo"].adapter_id
    assert run.recipe == found["sft+dpo"].recipe
    assert [job.start and job.start.name for job in jobs] == [None, ours["sft"], None]
    discards = [row.reason for row in rollouts if row.action is RolloutAction.DISCARD]
    assert discards == [
        "run 1 goes on to its next recipe", "run 1 goes on to its next recipe",
        "run 1 chose sft+dpo",
    ]  # fmt: skip
    asked = [one for one in fake_vllm.asked if "Which port?" in str(one)]
    assert [one["model"] for one in asked].count(BASE) == 1
    assert [(one["name"], one["best"]) for one in tried] == [
        ("sft", False), ("sft+dpo", True), ("sdft", False),
    ]  # fmt: skip
    assert "recipe `sft+dpo`: KL 0.100, passed – the best" in said(engine)[-1]


async def test_if_none_passes_the_reasons_of_the_best_are_told(
    engine: Engine, settings: WorkerSettings, base: Path
) -> None:
    """Nothing is loaded any more, and nothing changed."""
    teach(engine, facts=10)

    def decide(found: Near) -> Verdict:
        return Verdict(passed=False, reasons=(f"KL {found.kl}",))

    assert await play(competing(settings, engine, base, decide=decide)) is RunStatus.KEPT
    assert newest(engine).reasons == ["KL 0.1"]
    assert live_adapter(engine) is None
    with reading(engine) as session:
        assert releases.desired_adapters(session) == []
    assert await play(competing(settings, engine, base)) is RunStatus.REFUSED
    assert newest(engine).reasons == ["nothing new since run 1, which ended as kept"]


async def test_a_recipe_that_fails_leaves_the_others_theirs(
    engine: Engine, settings: WorkerSettings, base: Path
) -> None:
    """What goes on from it is left out, too, and the reasons are kept; if all fail, so does the
    run, with the first one's."""
    teach(engine, facts=10)

    def fail(job: TrainJob, say: Say) -> Path:
        if job.recipe.name == "sft":
            raise TrainingFailed("the loss did not fall")
        return by_recipe(base, [])(job, say)

    assert await play(competing(settings, engine, base, train=fail)) is RunStatus.RELEASED
    assert {name: one.left_out for name, one in trials(engine).items()} == {
        "sft": "the loss did not fall",
        "sft+dpo": "sft, from which it goes on, came to nothing",
        "sdft": None,
    }
    teach(engine, facts=1, start=10)

    def fail_all(job: TrainJob, say: Say) -> Path:
        raise TrainingFailed(f"{job.recipe.name} failed")

    assert await play(competing(settings, engine, base, train=fail_all)) is RunStatus.FAILED
    assert newest(engine).reasons == ["sft failed"]


@pytest.mark.parametrize("deadly", ["sft", "sft+dpo", "sdft"])
async def test_a_recipe_that_kills_the_trainer_leaves_the_others_theirs(
    engine: Engine, settings: WorkerSettings, base: Path, deadly: str
) -> None:
    """Killed while it trains by one, the run still ends within its attempts."""
    teach(engine, facts=10)

    def die(job: TrainJob, say: Say) -> Path:
        if job.recipe.name == deadly:
            raise Killed
        return by_recipe(base, [])(job, say)

    made = competing(settings, engine, base, train=die)
    for _ in range(MAX_ATTEMPTS - 1):
        with pytest.raises(Killed):
            await play(made)
    assert await play(made) is RunStatus.RELEASED
    found = trials(engine)
    assert "was killed" in (found[deadly].left_out or "")
    assert any(one.adapter_id for one in found.values())


async def test_what_a_killed_process_trained_counts(
    engine: Engine, settings: WorkerSettings, base: Path
) -> None:
    """Killed between the end of the training and its record: the next one has nothing to do but
    knows what it took, and what there is no time for."""
    teach(engine, facts=10)
    hour = 3600.0

    def train(job: TrainJob, say: Say) -> Path:
        (job.work_dir / spent.FILE).write_text(f'{{"seconds": {hour}, "attempts": [1]}}')
        raise Killed

    timed = settings.model_copy(update={"train_minutes": 90.0})
    with pytest.raises(Killed):
        await play(competing(timed, engine, base, train=train))
    assert await play(competing(timed, engine, base)) is RunStatus.RELEASED
    found = trials(engine)
    assert found["sft"].train_s >= hour
    assert "no time" in (found["sdft"].left_out or "")


async def test_what_failed_is_tried_again_on_the_same_examples(
    engine: Engine, settings: WorkerSettings, base: Path
) -> None:
    """What there was no time for, and what failed, were not looked at; the next run does."""
    teach(engine, facts=10)

    def fail(job: TrainJob, say: Say) -> Path:
        if job.recipe.name == "sdft":
            raise TrainingFailed("out of luck")
        return by_recipe(base, [])(job, say)

    two = settings.model_copy(update={"recipe": "sft,sdft"})
    assert await play(competing(two, engine, base, train=fail)) is RunStatus.RELEASED
    await play(competing(two, engine, base))
    assert trials(engine)["sdft"].adapter_id is not None
    assert await play(competing(two, engine, base)) is RunStatus.REFUSED


async def test_what_fails_each_time_is_tried_twice(
    engine: Engine, settings: WorkerSettings, base: Path
) -> None:
    """Not each night anew, with all the others."""
    teach(engine, facts=10)
    tried: list[str] = []

    def fail(job: TrainJob, say: Say) -> Path:
        tried.append(job.recipe.name)
        if job.recipe.name == "sdft":
            raise TrainingFailed("out of luck")
        return by_recipe(base, [])(job, say)

    made = competing(settings.model_copy(update={"recipe": "sft,sdft"}), engine, base, train=fail)
    for _ in range(4):
        await play(made)
    assert tried.count("sdft") == 2
    assert newest(engine).status is RunStatus.REFUSED


async def test_the_loss_is_that_of_what_was_chosen(
    engine: Engine, settings: WorkerSettings, base: Path
) -> None:
    """What goes on from the SFT has its loss, whatever was trained after it."""
    teach(engine, facts=10)
    losses = {"sft": 1.0, "sft+dpo": None, "sdft": 9.0}

    def train(job: TrainJob, say: Say) -> Path:
        made = by_recipe(base, [])(job, say)
        loss = losses[job.recipe.name]
        soundness.write_curve([{"fact_loss": loss}] if loss else [], made)
        return made

    assert await play(competing(settings, engine, base, train=train)) is RunStatus.RELEASED
    run = newest(engine)
    assert run.recipe["name"] == "sft+dpo"
    assert [point["loss"] for point in run.curve["points"]] == [1.0]


async def test_what_changes_nothing_is_no_candidate(
    engine: Engine, settings: WorkerSettings, base: Path
) -> None:
    """A preference step that found nothing to do leaves the SFT's adapter, measured once."""
    teach(engine, facts=10)
    made = competing(settings, engine, base, train=fake_train(base))
    assert await play(made) is RunStatus.RELEASED
    found = trials(engine)
    assert found["sft"].adapter_id is not None
    assert found["sft+dpo"].left_out == "it came to the very adapter of sft"
    with reading(engine) as session:
        assert len(session.exec(select(Evaluation)).all()) == 1


async def test_what_there_is_no_time_for_is_left_out(
    engine: Engine, settings: WorkerSettings, base: Path
) -> None:
    """The first recipe is trained, however long it takes; the budget runs from the run's start."""
    teach(engine, facts=10)
    run_id, fence = claim(engine)
    with transaction(engine) as session:
        session.get_one(Run, run_id).started_at = now() - timedelta(minutes=31)
    made = competing(settings.model_copy(update={"train_minutes": 30}), engine, base)
    async with kept(made.settings, engine):
        assert await cycle.run(run_id, fence, made) is RunStatus.RELEASED
    found = trials(engine)
    assert found["sft"].adapter_id == newest(engine).adapter_id
    assert all("no time" in (found[name].left_out or "") for name in ("sft+dpo", "sdft"))
    assert "recipe `sdft`: left out, no time" in said(engine)[-1]


async def test_an_example_that_is_taken_back_names_each_adapter_that_learned_it(
    engine: Engine, settings: WorkerSettings, base: Path
) -> None:
    """Also those that were not chosen."""
    teach(engine, facts=10)
    await play(competing(settings, engine, base))
    with reading(engine) as session:
        assert len(examples.adapters_trained_on(session, 1)) == 3


async def test_killed_at_any_write_it_ends_the_same(
    migrated_file: Path, tmp_path: Path, settings: WorkerSettings, base: Path
) -> None:
    """Whichever write did not come about any more: each recipe is tried once, one is promoted."""
    two = settings.model_copy(update={"recipe": "sft,sdft"})
    ends = []
    for write in range(1, 60):
        engine, dying = (open_engine(f"sqlite:///{tmp_path / str(write)}.db") for _ in range(2))
        shutil.copy(migrated_file, tmp_path / f"{write}.db")
        event.listen(dying, "commit", die_at(write))
        teach(engine, facts=10)
        async with kept(two, engine):
            with suppress(Killed):
                await cycle.run(*claim(engine), competing(two, dying, base))
                break  # there are not so many writes
            await cycle.run(*claim(engine), competing(two, engine, base))
        ends.append(what_is_left(engine))
    assert len(ends) >= 14
    once = ("promote", "candidate", "discard", "candidate", "discard", "candidate", "promote")
    assert set(ends) == {("released", 2, 2, once, 1, "sft")}


def what_is_left(engine: Engine) -> tuple[Any, ...]:
    """Status, adapters, evaluations, rollouts in order, adapters wanted, the chosen recipe."""
    run = newest(engine)
    with reading(engine) as session:
        adapters, evaluations = (
            len(session.exec(select(table.id)).all()) for table in (Adapter, Evaluation)
        )
        rollouts = session.exec(select(Rollout.action).order_by(col(Rollout.id))).all()
        wanted = len(releases.desired_adapters(session))
    name = run.recipe.get("name")
    return run.status.value, adapters, evaluations, tuple(map(str, rollouts)), wanted, name
