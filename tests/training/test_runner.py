"""The worker's hands, in this process: what a lease and a full disk do to a run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from bot.store.database import reading, transaction
from bot.store.runs import request_run
from bot.store.schema import Run, RunStatus, RunTrigger, now
from serving.resting import GRACE, Rest, alone
from tests.training.stage import TEAM, teach, worker_settings
from training import runner
from training.child import ON
from training.runner import Runner

LEASE_S = 3.0
WITHIN_S = 60.0  # far more than needed: the machine may be busy


async def play(engine: Engine, data_dir: Path, *command: str, **fields: Any) -> Run:
    """Queue a run, let a runner follow it until there is no trainer any more, and return it."""
    teach(engine, facts=1)
    with transaction(engine) as session:
        request_run(session, team_id=TEAM, trigger=RunTrigger.COMMAND, recipe={})
    settings = worker_settings(data_dir, "http://127.0.0.1:9", **fields)
    made = Runner(settings, engine, "me", LEASE_S, command)
    await made.look()
    assert made._following is not None
    async with asyncio.timeout(WITHIN_S):
        await made._following
    assert made.trainer is None
    with reading(engine) as session:
        return session.get_one(Run, 1)


def failing(renewals: list[bool], then: Callable[[], Any]) -> Callable[..., None]:
    """A renewal that fails as often as it is said to, and then calls `then`."""

    def renew(*_: Any) -> None:
        if renewals and renewals.pop():
            raise OperationalError("UPDATE", {}, Exception("disk I/O error"))
        then()

    return renew


async def test_one_failed_renewal_is_no_reason_to_stop(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trainer goes on while its lease still runs, and ends by itself."""
    done, ended = tmp_path / "done", tmp_path / "ended"
    monkeypatch.setattr(runner, "renew_run", failing([True], done.touch))
    wait = f"until [ -e {done} ]; do sleep 0.05; done; touch {ended}"
    await play(engine, tmp_path, "sh", "-c", wait)
    assert ended.exists()


async def test_a_lease_that_ran_out_stops_the_trainer(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker may start a trainer then; the run is left for it."""
    renewals = [True] * 20
    monkeypatch.setattr(runner, "renew_run", failing(renewals, lambda: None))
    run = await play(engine, tmp_path, "sleep", "600")
    assert run.status is RunStatus.RUNNING
    assert 1 <= 20 - len(renewals) <= 3


async def test_a_trainer_that_hangs_does_not_keep_the_device(
    engine: Engine, tmp_path: Path
) -> None:
    """Long after its maintenance window it is ended, and the run is there for another attempt."""
    device = await alone(tmp_path, Rest("run 1 trains", now() - GRACE - timedelta(seconds=1)))
    run = await play(engine, tmp_path, "sleep", "600", train_alone=True)
    assert (run.status, run.lease_owner) == (RunStatus.RUNNING, None)
    device.close()


async def test_a_trainer_goes_on_in_a_new_process(engine: Engine, tmp_path: Path) -> None:
    """It says so by its exit status; that is no other attempt."""
    starts = tmp_path / "starts"
    script = f"echo $* >> {starts}; [ $(wc -l < {starts}) = 3 ] || exit {ON}"
    run = await play(engine, tmp_path, "sh", "-c", script, "sh")
    assert starts.read_text() == "1 1\n" * 3
    assert (run.attempts, run.fence) == (1, 1)


async def test_a_trainer_that_cannot_be_started_fails_the_run(
    engine: Engine, tmp_path: Path
) -> None:
    """Where no log can be written the run ends with that reason, instead of hanging."""
    (tmp_path / "logs").write_text("not a directory")
    run = await play(engine, tmp_path, "true")
    assert run.status is RunStatus.FAILED
    assert run.reasons == ["the trainer cannot be started: File exists"]
