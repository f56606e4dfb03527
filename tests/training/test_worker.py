"""The worker as a process: one active at a time, and nothing lost when it or its trainer dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine
from sqlmodel import col, select

from bot import releases
from bot.store.database import reading, transaction
from bot.store.runs import request_run
from bot.store.schema import Adapter, Lease, OutboxMessage, Replica, Run, RunStatus, RunTrigger
from serving.adapters import publish
from serving.base import base_spec
from tests.fake_vllm import FakeVllm
from tests.lora_files import make_adapter
from tests.training.stage import TEAM, teach, worker_settings
from tests.vllm_server import free_port
from training.child import environment
from training.settings import WorkerSettings

WITHIN_S = 30.0  # far more than needed: the machine may be busy


class Workers:
    """Worker processes on one store; all are killed at the end."""

    def __init__(self, settings: WorkerSettings, engine: Engine) -> None:
        self.settings, self.engine = settings, engine
        self.processes: list[subprocess.Popen[bytes]] = []
        self.ports: list[int] = []

    def start(self, **extra: str) -> subprocess.Popen[bytes]:
        """Start one more."""
        self.ports.append(free_port())
        ours = {**environment(self.settings), "MYNAH_PORT": str(self.ports[-1]), **extra}
        log = (self.settings.data_dir / f"worker-{len(self.processes)}.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.training.fake_worker"],
            env={**os.environ, **ours},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        self.processes.append(process)
        return process

    def script(self, *words: str) -> None:
        """What the trainer does, one word an attempt."""
        (self.settings.data_dir / "script.json").write_text(json.dumps(words))

    def starts(self) -> list[tuple[int, int, int]]:
        """(attempt, process id, niceness) of each trainer that started."""
        path = self.settings.data_dir / "starts.txt"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(int(a), int(b), int(c)) for a, b, c in (line.split() for line in lines)]

    def run(self) -> Run:
        """The newest run."""
        with reading(self.engine) as session:
            return session.exec(select(Run).order_by(col(Run.id).desc())).first() or Run(team_id="")

    def ended(self) -> bool:
        """Whether the newest run has ended."""
        return self.run().finished_at is not None

    def said(self) -> list[str]:
        """What the worker has to say in Slack."""
        with reading(self.engine) as session:
            return [row.payload["text"] for row in session.exec(select(OutboxMessage))]


@pytest.fixture
def settings(tmp_path: Path, sqlite_url: str) -> WorkerSettings:
    return worker_settings(tmp_path, "http://127.0.0.1:9")


@pytest.fixture
def workers(settings: WorkerSettings, engine: Engine) -> Iterator[Workers]:
    teach(engine, facts=1)
    made = Workers(settings, engine)
    yield made
    for process in made.processes:
        process.kill()
        process.wait()


def ask_for_a_run(engine: Engine) -> None:
    with transaction(engine) as session:
        request_run(session, team_id=TEAM, trigger=RunTrigger.COMMAND, recipe={})


def until(true: Callable[[], Any], within_s: float = WITHIN_S) -> None:
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.03)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_queued_run_is_played_at_low_priority(workers: Workers) -> None:
    """A Run row is all it takes: the trainer starts by itself, nice, and its end is told."""
    workers.script("finish")
    workers.start()
    ask_for_a_run(workers.engine)
    until(workers.ended)
    ((attempt, _, niceness),) = workers.starts()
    assert (attempt, niceness >= 10) == (1, True)
    assert workers.run().status is RunStatus.KEPT
    assert "played" in workers.said()[0]


def test_a_killed_trainer_is_started_again(workers: Workers) -> None:
    """kill -9 of the trainer costs nothing but time."""
    workers.script("wait", "finish")
    workers.start()
    ask_for_a_run(workers.engine)
    until(lambda: workers.starts())
    os.kill(workers.starts()[0][1], signal.SIGKILL)
    until(workers.ended)
    assert workers.run().status is RunStatus.KEPT
    assert [attempt for attempt, _, _ in workers.starts()] == [1, 2]
    assert len(workers.said()) == 1


def test_a_trainer_that_always_dies_fails_the_run(workers: Workers) -> None:
    """After three attempts the run has failed, and the reason names the signal."""
    workers.script("die", "die", "die", "finish")
    workers.start()
    ask_for_a_run(workers.engine)
    until(workers.ended)
    assert workers.run().status is RunStatus.FAILED
    assert "killed 3 times (by SIGKILL" in workers.run().reasons[0]
    assert len(workers.starts()) == 3
    assert len(workers.said()) == 1


def test_an_unforeseen_error_fails_the_run_with_its_words(workers: Workers) -> None:
    """An exception in the trainer is not tried again; its message is the reason."""
    workers.script("raise", "finish")
    workers.start()
    ask_for_a_run(workers.engine)
    until(workers.ended)
    assert workers.run().status is RunStatus.FAILED
    assert workers.run().reasons == ["ValueError: the disk is full"]
    assert "the disk is full" in workers.said()[0]


def test_of_two_workers_one_acts_and_the_other_takes_over(workers: Workers) -> None:
    """Never two trainers at once; when the active worker is killed its trainer dies with it, and
    the other worker goes on with the run."""
    workers.script("wait", "finish")
    workers.start()
    workers.start()
    ask_for_a_run(workers.engine)
    until(lambda: workers.starts())
    time.sleep(1)
    ((_, trainer, _),) = workers.starts()  # the other one has not started it too
    with reading(workers.engine) as session:
        active = int(session.get_one(Lease, "worker").owner.split(":")[1])
    os.kill(active, signal.SIGKILL)
    until(lambda: not alive(trainer))
    until(workers.ended)
    assert workers.run().status is RunStatus.KEPT
    assert [attempt for attempt, _, _ in workers.starts()] == [1, 2]


def test_sigterm_hands_the_run_back(workers: Workers) -> None:
    """A worker that is told to stop stops its trainer, ends cleanly and soon, and the next worker
    goes on at once, without an attempt lost."""
    workers.script("wait", "finish")
    first = workers.start()
    ask_for_a_run(workers.engine)
    until(lambda: workers.starts())
    first.terminate()
    assert first.wait(WITHIN_S) == 0
    assert not alive(workers.starts()[0][1])
    assert workers.run().status is RunStatus.RUNNING
    workers.start()
    until(workers.ended)
    assert [attempt for attempt, _, _ in workers.starts()] == [1, 1]
    assert workers.run().status is RunStatus.KEPT


def test_a_worker_keeps_a_server_in_step(
    workers: Workers, settings: WorkerSettings, fake_vllm: FakeVllm, tmp_path: Path
) -> None:
    """A candidate is loaded as soon as it is there, and again after the server was restarted; the
    Replica row says when it was ready."""
    workers.settings = settings.model_copy(update={"vllm_urls": (fake_vllm.url,)})
    workers.start()
    until(lambda: _replica(workers.engine).healthy)
    name = _add_candidate(workers.engine, settings, tmp_path)
    until(lambda: name in _replica(workers.engine).adapters)
    assert _replica(workers.engine).adapters[name]["load_s"] > 0
    fake_vllm.down()
    until(lambda: not _replica(workers.engine).healthy)
    fake_vllm.up()
    until(lambda: name in _replica(workers.engine).adapters and fake_vllm.adapters)
    assert fake_vllm.loads == [name, name]


def test_health_tells_who_is_active(workers: Workers) -> None:
    """/healthz, /readyz and /metrics answer; the figures say that this worker acts."""
    workers.start()
    at = f"http://127.0.0.1:{workers.ports[0]}"
    until(lambda: '"active":true' in _get(f"{at}/readyz").text)
    assert _get(f"{at}/healthz").text == "ok"
    until(lambda: "mynah_worker_active 1.0" in _get(f"{at}/metrics").text)
    assert 'mynah_store_runs{status="queued"} 0.0' in _get(f"{at}/metrics").text


def test_a_taken_port_is_one_line(workers: Workers) -> None:
    """A worker whose port is in use says so and does not start."""
    workers.start()
    until(lambda: _get(f"http://127.0.0.1:{workers.ports[0]}/healthz").is_success)
    second = workers.start(MYNAH_PORT=str(workers.ports[0]))
    assert second.wait(WITHIN_S) == 1
    log = (workers.settings.data_dir / "worker-1.log").read_text()
    assert f"MYNAH_HOST, MYNAH_PORT: cannot listen on 127.0.0.1:{workers.ports[0]}" in log


def _add_candidate(engine: Engine, settings: WorkerSettings, tmp_path: Path) -> str:
    spec = base_spec(tmp_path / "base-model")
    staging = make_adapter(tmp_path / "staging", tmp_path / "base-model")
    file = publish(staging, settings.adapters_dir, spec)
    with transaction(engine) as session:
        adapter = Adapter(
            team_id=TEAM,
            name=file.name,
            sha256=file.sha256,
            path=str(file.path),
            base_model=spec.model,
            base_sha256=spec.sha256,
            rank=file.rank,
        )
        session.add(adapter)
        session.flush()
        releases.add_candidate(session, TEAM, adapter.id or 0, by="test")
    return file.name


def _replica(engine: Engine) -> Replica:
    with reading(engine) as session:
        return session.exec(select(Replica)).first() or Replica(url="")


def _get(url: str) -> httpx.Response:
    try:
        return httpx.get(url, trust_env=False)
    except httpx.TransportError:
        return httpx.Response(503, text="")
