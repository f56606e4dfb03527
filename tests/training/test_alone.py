"""A run on a machine whose device holds the server or the training: real trainer processes."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine
from sqlmodel import select

from bot.store.database import reading, transaction
from bot.store.runs import request_run, rest_until
from bot.store.schema import Evaluation, OutboxMessage, Run, RunStatus, RunTrigger
from serving import resting
from serving.resting import Share
from tests.fake_vllm import FakeVllm
from tests.training.stage import TEAM, kept, teach, worker_settings
from training.failures import GoOn
from training.runner import Runner
from training.settings import WorkerSettings

TRAINER = (sys.executable, "-m", "tests.training.alone_cycle")
LEASE_S, WITHIN_S = 1.5, 240.0  # the machine may be busy
ONCE = ["train sft, alone", "compare with base, alone"]


@pytest.fixture
def settings(tmp_path: Path, fake_vllm: FakeVllm, sqlite_url: str) -> WorkerSettings:
    base = str(tmp_path / "base-model")
    return worker_settings(
        tmp_path, fake_vllm.url, train_alone=True, port=3001, base_model=base,
        database=SecretStr(sqlite_url),
    )  # fmt: skip


class Server:
    """What `mynah serve` does with vLLM, done with the fake one."""

    def __init__(self, data_dir: Path, vllm: FakeVllm) -> None:
        self._data_dir, self._vllm = data_dir, vllm
        self.rests = 0

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _keep(self) -> None:
        share = Share(self._data_dir)
        while True:
            await share.take(print)
            if self.rests:
                self._vllm.up()
            await share.wanted()
            self._vllm.down()
            self.rests += 1


async def play(engine: Engine, settings: WorkerSettings, *script: str, **fields: Any) -> Run:
    """Queue a run, let a worker's hands follow it to its end, and return it."""
    (settings.data_dir / "script.json").write_text(json.dumps(script))
    teach(engine)
    with transaction(engine) as session:
        made = request_run(session, team_id=TEAM, trigger=RunTrigger.COMMAND, recipe={}).run
        for name, value in fields.items():
            setattr(made, name, value)
    runner = Runner(settings, engine, "me", LEASE_S, TRAINER)
    async with kept(settings, engine), asyncio.timeout(WITHIN_S):
        while (run := _run(engine)).finished_at is None:
            await runner.look()
            await asyncio.sleep(0.1)
    await runner.stop()
    return run


def _run(engine: Engine) -> Run:
    with reading(engine) as session:
        return session.get_one(Run, 1)


def notes(settings: WorkerSettings) -> list[str]:
    return (settings.data_dir / "notes.txt").read_text().splitlines()


async def test_one_rest_for_all_that_needs_the_device(
    engine: Engine, settings: WorkerSettings, fake_vllm: FakeVllm
) -> None:
    """Each recipe is trained and compared while no server answers, in one rest; then that process
    ends, the server is back, what came of it is measured, and the best is released. The run's
    message says who waits."""
    settings.recipe = "sft,sdft"
    server = Server(settings.data_dir, fake_vllm)
    async with server.kept():
        run = await play(engine, settings)
    assert (run.status, run.attempts) == (RunStatus.RELEASED, 1), run.reasons
    assert sorted(notes(settings)) == [
        "compare with base, alone", "compare with base, alone", "train sdft, alone",
        "train sft, alone",
    ]  # fmt: skip
    assert server.rests == 1
    log = (settings.data_dir / "logs" / "run-1.log").read_text()
    assert log.count(str(GoOn.__doc__)) == 1
    with reading(engine) as session:
        assert len(session.exec(select(Evaluation)).all()) == 2
        said = " ".join(row.payload["text"] for row in session.exec(select(OutboxMessage)))
    assert "answers wait: " in said


async def test_a_killed_trainer(
    engine: Engine, settings: WorkerSettings, fake_vllm: FakeVllm
) -> None:
    """The server comes back at once, and the next attempt asks for another rest."""
    server = Server(settings.data_dir, fake_vllm)
    async with server.kept():
        run = await play(engine, settings, "die")
    assert (run.status, run.attempts) == (RunStatus.RELEASED, 2), run.reasons
    assert notes(settings) == [ONCE[0], *ONCE]
    assert server.rests == 2


async def test_the_end_of_the_window(
    engine: Engine, settings: WorkerSettings, fake_vllm: FakeVllm
) -> None:
    """A training that is not over by then is stopped, the run says why it failed, and the server
    comes back."""
    settings.rest_minutes = 0.5
    server = Server(settings.data_dir, fake_vllm)
    async with server.kept():
        run = await play(engine, settings, "long")
        assert (run.status, run.attempts) == (RunStatus.FAILED, 1)
        assert run.reasons == [
            "the maintenance window of 0.5 minutes (MYNAH_REST_MINUTES) was over before the"
            " training was"
        ]
        assert resting.asked(settings.data_dir) is None
        async with asyncio.timeout(WITHIN_S):
            while not fake_vllm._server:  # noqa: ASYNC110 - a thread
                await asyncio.sleep(0.1)
    assert notes(settings) == ONCE[:1]


async def test_a_window_that_is_over_before_it_begins(
    engine: Engine, settings: WorkerSettings, fake_vllm: FakeVllm
) -> None:
    """A run that waited for too long rests nobody."""
    server = Server(settings.data_dir, fake_vllm)
    async with server.kept():
        past = rest_until(Run(team_id=TEAM), -settings.rest_minutes)
        run = await play(engine, settings, due_at=past)
    assert run.status is RunStatus.FAILED
    assert "MYNAH_REST_MINUTES" in run.reasons[0]
    assert server.rests == 0


async def test_what_goes_live_meanwhile(
    engine: Engine, settings: WorkerSettings, fake_vllm: FakeVllm
) -> None:
    """A candidate is measured against what is live by then: it is compared anew, alone again."""
    server = Server(settings.data_dir, fake_vllm)
    async with server.kept():
        run = await play(engine, settings, "fine", "promote")
    assert run.status is RunStatus.RELEASED, run.reasons
    assert notes(settings) == [*ONCE, "compare with another, alone"]
    assert server.rests == 2


async def test_a_server_that_does_not_rest(
    engine: Engine, settings: WorkerSettings, fake_vllm: FakeVllm
) -> None:
    """Nothing is trained beside a server that was not told to make room; the run names it."""
    run = await play(engine, settings)
    assert run.status is RunStatus.FAILED
    assert fake_vllm.url in run.reasons[0]
    assert "MYNAH_TRAIN_ALONE" in run.reasons[0]
    assert not (settings.data_dir / "notes.txt").exists()
