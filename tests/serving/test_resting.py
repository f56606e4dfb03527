"""Who has the device: real `serve` processes on a stand-in for vLLM's program, and a training."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from serving import resting
from serving.client import VllmClient
from serving.resting import DEVICE, LONGEST_GRACE, WISH, NoRest, Rest, Share, alone, asked
from tests.lora_files import make_base
from tests.vllm_server import API_KEY, free_port

ROOT = Path(__file__).parents[2]
WITHIN_S = 60.0
# What the engine starts as vLLM: it answers /health, one token for each question, and SIGTERM.
STAND_IN = """
import asyncio, signal, sys
from deploy.stand_in import StandIn

async def main():
    at = sys.argv.index("--port") + 1
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with StandIn(lambda messages: "yes", api_key="{key}").served(int(sys.argv[at])):
        await stop.wait()

asyncio.run(main())
"""
# A training in small: it has the device until it is killed.
TRAINING = """
import asyncio, sys
from datetime import datetime
from pathlib import Path
from serving.resting import Rest, alone

async def main():
    rest = Rest("run 7 trains", datetime.fromisoformat(sys.argv[2]))
    device = await alone(Path(sys.argv[1]), rest, within_s=60)
    print("alone", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def soon(minutes: float = 60) -> datetime:
    return datetime.now(UTC) + timedelta(minutes=minutes)


@dataclass
class Machine:
    """One data directory, and a server's port on it."""

    data_dir: Path
    port: int
    base: Path
    packages: Path

    @contextmanager
    def serve(self) -> Iterator[subprocess.Popen[str]]:
        words = [str(self.data_dir), str(self.port), str(self.base)]
        env = {**os.environ, "PYTHONPATH": str(self.packages)}
        with _process(["-m", "tests.serving.resting_serve", *words], env) as process:
            yield process

    @contextmanager
    def training(self, until: datetime) -> Iterator[subprocess.Popen[str]]:
        words = [str(self.data_dir), until.isoformat()]
        with _process(["-c", TRAINING, *words], dict(os.environ)) as process:
            yield process

    async def answers(self) -> bool:
        async with VllmClient(f"http://127.0.0.1:{self.port}", api_key=API_KEY) as client:
            return await client.healthy()

    async def until(self, answers: bool) -> None:
        async with asyncio.timeout(WITHIN_S):
            while await self.answers() is not answers:  # noqa: ASYNC110 - a process
                await asyncio.sleep(0.1)


@contextmanager
def _process(words: list[str], env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=env
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    package = tmp_path / "packages" / "vllm" / "entrypoints" / "openai"
    package.mkdir(parents=True)
    for each in (package.parents[1], package.parent, package):
        (each / "__init__.py").touch()
    (package / "api_server.py").write_text(STAND_IN.replace("{key}", API_KEY))
    base = make_base(tmp_path / "base")
    return Machine(tmp_path / "data", free_port(), base, tmp_path / "packages")


async def said(process: subprocess.Popen[str], words: str) -> str:
    """The next line that holds `words`."""
    assert process.stdout is not None
    async with asyncio.timeout(WITHIN_S):
        while line := await asyncio.to_thread(process.stdout.readline):
            print(line, end="")
            if words in line:
                return line
    raise AssertionError(f"it ended without saying {words!r}")


async def test_a_server_makes_room_and_comes_back(machine: Machine) -> None:
    """A training gets the device once vLLM is gone, not sooner; while it has it no vLLM is started,
    and once it lets go vLLM is. Nothing of that is told as a death of vLLM."""
    with machine.serve() as server:
        await said(server, "is ready")
        device = await alone(machine.data_dir, Rest("run 7 trains", soon()))
        assert not await machine.answers()
        line = await said(server, "Resting")
        assert line.startswith("Resting: run 7 trains, until ")
        await asyncio.sleep(3 * resting.POLL_S)
        assert not await machine.answers()
        device.close()
        await said(server, "is ready")
        assert await machine.answers()
        server.send_signal(signal.SIGTERM)
        rest = server.stdout.read() if server.stdout else ""
        assert rest == "vLLM has stopped\n"
        assert server.wait(WITHIN_S) == 0


async def test_a_killed_training_ends_the_rest(machine: Machine) -> None:
    """`kill -9` of who has the device: nobody says so, and vLLM comes back within seconds."""
    with machine.serve() as server, machine.training(soon()) as training:
        await said(training, "alone")
        await machine.until(answers=False)
        training.kill()
        training.wait()
        await said(server, "is ready")


async def test_a_server_that_starts_meanwhile_waits(machine: Machine) -> None:
    """`kill -9` of the supervisor, and its new start: it rests, too; SIGTERM still ends it."""
    with machine.training(soon()) as training:
        await said(training, "alone")
        with machine.serve() as server:
            await said(server, "Resting")
            server.kill()
        with machine.serve() as server:
            await said(server, "Resting")
            assert not await machine.answers()
            training.kill()
            await said(server, "is ready")
            with machine.training(soon()) as again:
                await said(again, "alone")
                await said(server, "Resting")
                server.send_signal(signal.SIGTERM)
                assert server.wait(WITHIN_S) == 0


async def test_a_killed_supervisor_gives_way(machine: Machine) -> None:
    """It leaves no vLLM behind, so a training that waits for the device gets it."""
    with machine.serve() as server:
        await said(server, "is ready")
        server.kill()
    device = await alone(machine.data_dir, Rest("run 7 trains", soon()))
    assert not await machine.answers()
    device.close()


async def test_a_frozen_training_keeps_nobody_away(machine: Machine) -> None:
    """Long after the end of its window, servers try whether there is room although it still holds
    the device; before that they do not."""
    late = datetime.now(UTC) - LONGEST_GRACE
    with machine.training(late + timedelta(seconds=4)) as training:
        await said(training, "alone")
        training.send_signal(signal.SIGSTOP)
        with machine.serve() as server:
            await said(server, "Resting")
            await said(server, "is ready")
            await asyncio.sleep(3 * resting.POLL_S)
            assert await machine.answers()


async def test_servers_have_it_together_and_a_training_alone(tmp_path: Path) -> None:
    """Two servers share the device; a training waits for both, and says so when they do not go."""
    one, other = Share(tmp_path), Share(tmp_path)
    async with asyncio.timeout(WITHIN_S):
        await one.take(print)
        await other.take(print)
    one.give()
    with pytest.raises(NoRest, match=r"the model servers did not make room within 0 s"):
        await alone(tmp_path, Rest("run 7 trains", soon()), within_s=0.1)
    assert asked(tmp_path) is None
    other.give()
    (await alone(tmp_path, Rest("run 7 trains", soon()), within_s=0.1)).close()


async def test_a_training_that_is_just_ending_is_waited_for(tmp_path: Path) -> None:
    """Of a process that ends, the kernel closes one file after the other: a wish that is gone is no
    room yet."""
    device = os.open(tmp_path / DEVICE, os.O_RDWR | os.O_CREAT)
    fcntl.flock(device, fcntl.LOCK_EX)
    taking = asyncio.create_task(Share(tmp_path).take(print))
    await asyncio.sleep(3 * resting.POLL_S)
    assert not taking.done()
    os.close(device)
    async with asyncio.timeout(WITHIN_S):
        await taking


async def test_a_wish_counts_while_its_writer_lives(tmp_path: Path) -> None:
    """What a rest is for is read while it lasts; the file of one that is over means nothing."""
    assert asked(tmp_path) is None
    rest = Rest("run 7 trains", soon())
    device = await alone(tmp_path, rest)
    assert asked(tmp_path) == rest
    device.close()
    assert (tmp_path / WISH).exists()
    assert asked(tmp_path) is None


async def test_who_does_not_share_takes_no_lock(tmp_path: Path) -> None:
    """Without MYNAH_TRAIN_ALONE nothing is asked, locked or written."""
    share = Share(None)
    await share.take(print)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2 * resting.POLL_S):
            await share.wanted()
    share.give()
    assert not (tmp_path / DEVICE).exists()


@pytest.mark.parametrize(
    ("urls", "words"),
    [
        (["http://127.0.0.1:8000"], []),
        (["http://[::1]:8000"], []),
        (["http://gpu2:8000"], ["gpu2"]),
        (["http://localhost:8000", "http://localhost:8001"], ["several"]),
    ],
)
def test_misfits(urls: list[str], words: list[str]) -> None:
    """Servers elsewhere, or several, are named; one on this machine is what the setting is for."""
    found = resting.misfits(urls)
    assert len(found) == len(words)
    assert all(word in line for word, line in zip(words, found, strict=True))
