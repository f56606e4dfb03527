"""The worker notices another base model: once, whoever is killed, and only when it is active."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select

from bot import releases
from bot.store.database import reading, transaction
from bot.store.runs import LostRun, claim_run, request_run, update_run
from bot.store.schema import (
    Adapter,
    Audit,
    Lease,
    OutboxMessage,
    Rollout,
    RolloutAction,
    Run,
    RunStatus,
    RunTrigger,
    ServedBase,
    now,
)
from serving.base import base_spec
from tests.bot.released import promoted
from tests.fake_vllm import FakeVllm
from tests.lora_files import make_base
from tests.training.stage import (
    CHANNEL,
    TEAM,
    kept,
    parts,
    queue_and_claim,
    teach,
    worker_settings,
)
from tests.training.test_worker import Workers, until
from training import cycle
from training.rebase import Rebase
from training.settings import WorkerSettings

TEAMS = [f"T{number}" for number in range(4)]


@pytest.fixture
def settings(tmp_path: Path) -> WorkerSettings:
    return worker_settings(tmp_path, "http://127.0.0.1:9")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return make_base(tmp_path / "old-model", seed=1)


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return make_base(tmp_path / "new-model", seed=2)


def rebase(
    settings: WorkerSettings,
    engine: Engine,
    base: Path,
    active: Callable[[Session], bool] = lambda session: True,
) -> Rebase:
    return Rebase(settings, engine, base_spec(base), active)


def release(engine: Engine, base: Path, *teams: str) -> None:
    """Give each team a v2 that was trained on the base model."""
    with transaction(engine) as session:
        for team in teams:
            promoted(session, f"of-{team}", team_id=team, base_sha256=base_spec(base).sha256)


def live(engine: Engine, team: str = TEAM) -> int:
    with reading(engine) as session:
        return releases.live(session, team).number


def said(engine: Engine) -> list[str]:
    with reading(engine) as session:
        rows = session.exec(select(OutboxMessage)).all()
    return [row.team_id for row in rows if "base model" in row.payload["text"]]


def changes(engine: Engine) -> list[str]:
    with reading(engine) as session:
        rows = session.exec(select(Rollout).where(Rollout.action == RolloutAction.REBASE))
        return [row.team_id for row in rows]


class Cut:
    """A worker that loses its lease, or its life, at the `count`-th transaction."""

    def __init__(self, count: int) -> None:
        self.left = count

    def lost(self, _: Session) -> bool:
        self.left -= 1
        return self.left >= 0

    def died(self, session: Session) -> bool:
        if not self.lost(session):
            raise KeyboardInterrupt
        return True


def test_a_new_base_is_noted_and_settled(
    store: Engine, settings: WorkerSettings, old: Path, new: Path
) -> None:
    """The first note changes nothing; another model, and v1 answers everywhere; the same one once
    more changes nothing."""
    release(store, old, *TEAMS)
    assert rebase(settings, store, old).settle()
    assert [live(store, team) for team in TEAMS] == [2, 2, 2, 2]
    for _ in range(2):
        assert rebase(settings, store, new).settle()
        assert [live(store, team) for team in TEAMS] == [1, 1, 1, 1]
        assert said(store) == TEAMS
    with reading(store) as session:
        noted = [row.model for row in session.exec(select(ServedBase))]
    assert noted == ["old-model", "new-model"]


@pytest.mark.parametrize("count", range(6))
def test_cut_off_at_any_transaction_the_next_worker_goes_on(
    store: Engine, settings: WorkerSettings, old: Path, new: Path, count: int
) -> None:
    """Each workspace changes once and hears of it once; nothing is done without the lease."""
    release(store, old, *TEAMS)
    rebase(settings, store, old).settle()
    done = rebase(settings, store, new, Cut(count).lost).settle()
    assert done is (count > len(TEAMS))
    assert len(changes(store)) == max(0, count - 1)
    rebase(settings, store, new).settle()
    assert sorted(changes(store)) == TEAMS
    assert sorted(said(store)) == TEAMS


def test_a_transaction_that_dies_leaves_nothing_half_done(
    store: Engine, settings: WorkerSettings, old: Path, new: Path
) -> None:
    """The release, the audit and the news of a workspace are one write."""
    release(store, old, *TEAMS)
    rebase(settings, store, old).settle()
    with pytest.raises(KeyboardInterrupt):
        rebase(settings, store, new, Cut(3).died).settle()
    with reading(store) as session:
        audits = session.exec(select(Audit.team_id).where(Audit.action == "base.change")).all()
    assert list(audits) == changes(store) == said(store) == TEAMS[:2]


def test_a_run_under_way_ends_and_a_queued_one_stays(
    store: Engine, settings: WorkerSettings, old: Path, new: Path
) -> None:
    """What was half trained on the model before is not gone on with, by whomever; what waits is
    trained on the new one."""
    release(store, old, *TEAMS)
    rebase(settings, store, old).settle()
    with transaction(store) as session:
        for team in TEAMS[:2]:
            request_run(session, team_id=team, trigger=RunTrigger.COMMAND, recipe={})
        run = claim_run(session, "an old worker", 60)
        assert run is not None
        number, fence = run.id or 0, run.fence
    rebase(settings, store, new).settle()
    with reading(store) as session:
        ended = session.get_one(Run, number)
        queued = session.exec(select(Run).where(Run.status == RunStatus.QUEUED)).one()
    assert (ended.status, queued.team_id) == (RunStatus.FAILED, TEAMS[1])
    assert "the base model is new-model@" in ended.reasons[0]
    with transaction(store) as session, pytest.raises(LostRun):
        update_run(session, number, fence, phase="training")


def test_the_same_base_elsewhere_is_no_change(
    store: Engine, settings: WorkerSettings, old: Path, tmp_path: Path
) -> None:
    """It is what lies in the files that counts, not their place or name: moving is no change."""
    release(store, old, TEAM)
    rebase(settings, store, old).settle()
    moved = old.rename(tmp_path / "moved")
    rebase(settings, store, moved).settle()
    assert live(store) == 2
    assert said(store) == []


def test_only_the_active_worker_acts(
    engine: Engine, settings: WorkerSettings, old: Path, new: Path
) -> None:
    """One that stands by with another base model changes nothing, until it becomes active; killed
    with -9 while it changes many workspaces, and started again, each has changed once."""
    teams = [f"T{number:03}" for number in range(150)]
    release(engine, old, *teams)
    workers = Workers(settings, engine)
    try:
        first = workers.start(MYNAH_BASE_MODEL=str(old))
        until(lambda: _active(engine) == first.pid)
        second = workers.start(MYNAH_BASE_MODEL=str(new))
        until(lambda: "health on" in _log(settings, 1))
        for _ in range(3):  # meanwhile the second one asks for the lease, too
            until(partial(_renewed, engine, _lease(engine).until))
        assert changes(engine) == []
        first.kill()
        until(lambda: changes(engine))
        second.kill()
        second.wait()
        workers.start(MYNAH_BASE_MODEL=str(new))
        until(lambda: len(changes(engine)) == len(teams))
    finally:
        for process in workers.processes:
            process.kill()
            process.wait()
    assert sorted(changes(engine)) == sorted(said(engine)) == teams
    with reading(engine) as session:
        assert len(session.exec(select(ServedBase)).all()) == 2
        assert session.exec(select(OutboxMessage.channel).distinct()).all() == [CHANNEL]


def _active(engine: Engine) -> int:
    return int(_lease(engine).owner.split(":")[1])


def _renewed(engine: Engine, since: datetime) -> bool:
    return _lease(engine).until > since


def _lease(engine: Engine) -> Lease:
    with reading(engine) as session:
        return session.get(Lease, "worker") or Lease(name="", owner=":0", until=now())


def _log(settings: WorkerSettings, number: int) -> str:
    return (settings.data_dir / f"worker-{number}.log").read_text()


async def test_what_was_taught_is_trained_into_the_new_base(
    engine: Engine, tmp_path: Path, old: Path, new: Path
) -> None:
    """The same examples are something new for another base model; the guard of its server loads
    the one that was trained on it, and nobody asks for the other."""
    teach(engine)
    lives: list[int] = []
    for base in (old, new):
        with FakeVllm(adapters_dir=tmp_path / "adapters", base_dir=base) as server:
            settings = worker_settings(tmp_path, server.url)
            rebase(settings, engine, base).settle()
            lives.append(live(engine))
            async with kept(settings, engine) as fleet:
                made = parts(settings, engine, base)
                assert await cycle.run(*queue_and_claim(engine), made) is RunStatus.RELEASED
                assert [state.error for state in fleet.states.values()] == [None]
            lives.append(live(engine))
    assert lives == [1, 2, 1, 3]
    with reading(engine) as session:
        bases = [row.base_sha256 for row in session.exec(select(Adapter))]
    assert bases == [base_spec(old).sha256, base_spec(new).sha256]
