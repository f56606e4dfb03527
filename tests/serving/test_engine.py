"""Starting, supervising and stopping vLLM: bad settings at once, and a real server's deaths."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deploy.base_model import small_base_model
from serving.adapters import WEIGHTS, publish
from serving.base import base_spec
from serving.client import ServingError, VllmClient
from serving.command import MAX_CPU_LORAS, command, environment
from serving.engine import Engine, EngineFailed, serve
from serving.probes import HELLO, NOISE, distance, measured
from serving.pulse import Pulse
from serving.replicas import Keeping
from tests.lora_files import make_adapter, make_base, random_tensors, write_adapter
from tests.serving.reconciling import reconcile
from tests.serving.test_keeper import gone
from tests.vllm_server import API_KEY, CONTROL_KEY, free_port, server_settings
from training.probing import expect

ROOT = Path(__file__).parents[2]
# `mynah serve` in small: one engine in a process that can be killed.
SERVE = """
import asyncio, signal, sys
from pathlib import Path
from serving.engine import serve
from tests.vllm_server import server_settings

async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    settings = server_settings(Path(sys.argv[1]), int(sys.argv[2]))
    await serve(settings, sys.argv[3], say=lambda line: print(line, flush=True), stop=stop)

asyncio.run(main())
"""


async def _failure(data_dir: Path, port: int, model: str) -> str:
    """The one line with which `serve` gives up."""
    with pytest.raises(EngineFailed) as caught:
        await serve(server_settings(data_dir, port), model, say=print, stop=asyncio.Event())
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def test_bad_model_path(tmp_path: Path) -> None:
    """A model directory that is not there is one line, at once, and names the setting."""
    line = await _failure(tmp_path, free_port(), "/no/such/model")
    assert line == "MYNAH_BASE_MODEL: there is no directory /no/such/model"


async def test_taken_port(tmp_path: Path) -> None:
    """A port that somebody listens on is one line, before vLLM is started."""
    base = make_base(tmp_path / "base")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        line = await _failure(tmp_path, port, str(base))
    assert line == f"MYNAH_PORT: {port} on 127.0.0.1 is taken by another process"


async def test_foreign_host(tmp_path: Path) -> None:
    """An address that is not this machine's is one line."""
    settings = server_settings(tmp_path, free_port())
    settings.host = "192.0.2.1"
    engine = Engine(settings, make_base(tmp_path / "base"))
    with pytest.raises(EngineFailed, match=r"cannot listen on 192\.0\.2\.1"):
        await engine.start()


def test_secrets_stay_out(tmp_path: Path) -> None:
    """No key is on the command line; vLLM sees no Slack token, no database, no unsafe switch."""
    settings, base = server_settings(tmp_path, 1), make_base(tmp_path / "base")
    before = {
        "SLACK_BOT_TOKEN": "xoxb-1",
        "DATABASE_URL": "postgresql://u:p@h/d",
        "VLLM_SERVER_DEV_MODE": "1",
        "PATH": "/bin",
    }
    for cpu in (True, False):
        line = " ".join(command(settings, base, cpu=cpu))
        assert API_KEY not in line
        assert CONTROL_KEY not in line
        assert "--middleware serving.guard.Guard" in line
        seen = environment(settings, base, cpu=cpu, before=before)
        assert not set(before) - {"PATH"} & set(seen)
        assert (seen["PATH"], seen["MYNAH_CONTROL_KEY"]) == ("/bin", CONTROL_KEY)


def test_traces_go_where_the_others_go(tmp_path: Path) -> None:
    """By the protocol that the endpoint speaks; without one vLLM hears nothing of it."""
    settings, base = server_settings(tmp_path, 1), make_base(tmp_path / "base")
    assert "--otlp-traces-endpoint" not in command(settings, base, cpu=True)
    assert "OTEL_SERVICE_NAME" not in environment(settings, base, cpu=True, before={})
    traced = settings.model_copy(update={"otlp_endpoint": "http://127.0.0.1:4318"})
    line = " ".join(command(traced, base, cpu=True))
    assert "--otlp-traces-endpoint http://127.0.0.1:4318/v1/traces" in line
    seen = environment(traced, base, cpu=True, before={})
    assert seen["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] == "http/protobuf"


def test_cpu_settings_can_be_overridden(tmp_path: Path) -> None:
    """An operator's own KV cache size and threads win over the defaults."""
    settings = server_settings(tmp_path, 1)
    before = {"VLLM_CPU_KVCACHE_SPACE": "4"}
    seen = environment(settings, tmp_path, cpu=True, before=before)
    assert seen["VLLM_CPU_KVCACHE_SPACE"] == "4"
    assert int(seen["OMP_NUM_THREADS"]) >= 1
    assert "OMP_NUM_THREADS" not in environment(settings, tmp_path, cpu=False, before={})


@pytest.mark.slow
async def test_vllm_that_cannot_start(tmp_path: Path) -> None:
    """When vLLM gives up at its start, the line has its reason and its log, and nobody is left."""
    base = make_base(tmp_path / "base")  # a model in looks only
    (base / "config.json").write_text(json.dumps({"model_type": "no-such-model"}))
    engine = Engine(server_settings(tmp_path, free_port()), base)
    with pytest.raises(EngineFailed, match="vLLM ended at its start") as caught:
        await engine.start()
    assert "no-such-model" in str(caught.value)
    assert str(engine.log) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert engine.group is None


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that runs `serve`, and its URL; vLLM is just starting."""
    port = free_port()
    arguments = [sys.executable, "-c", SERVE, str(tmp_path), str(port), str(small_base_model())]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        yield process, f"http://127.0.0.1:{port}"
        process.kill()


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """Read the process's lines until one holds `words`, and return it."""
    assert process.stdout is not None
    # readline, because a loop over the file reads ahead and cannot be left and taken up again.
    while line := process.stdout.readline():
        print(line, end="")
        if words in line:
            return line
    raise AssertionError(f"it ended without saying {words!r}")


def family(pid: int) -> dict[str, int]:
    """Every process below `pid`: its id and command line, and its id as a number."""
    found: dict[str, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                name = (entry / "cmdline").read_text().replace("\0", " ")
                found |= {f"{entry.name} {name}": int(entry.name)} | family(int(entry.name))
    return found


def pid_of(processes: dict[str, int], words: str) -> int:
    """The process whose command line starts Python with `words`, or that is called so."""
    return next(pid for name, pid in processes.items() if words in name and "keeper" not in name)


@pytest.mark.slow
def test_owner_killed(serving: tuple[subprocess.Popen[str], str]) -> None:
    """`kill -9` of ours, even while vLLM starts: all of vLLM's processes go with it."""
    process, _ = serving
    until = time.monotonic() + 120
    while "VLLM::EngineCore" not in "".join(processes := family(process.pid)):
        assert time.monotonic() < until
        time.sleep(0.2)
    assert len(processes) >= 3
    process.kill()
    assert gone(list(processes.values()))


@pytest.mark.slow
async def test_a_life(serving: tuple[subprocess.Popen[str], str], tmp_path: Path) -> None:
    """`kill -9` of vLLM: nothing of it is left, it is started again, and reconcile brings the
    adapter back, which answers as torch expects. SIGTERM to ours: every process ends, and ours with
    exit code 0."""
    process, url = serving
    read_until(process, "is ready")
    base_dir = small_base_model()
    staging = make_adapter(tmp_path / "staging", base_dir)
    adapter = publish(staging, tmp_path / "adapters", base_spec(base_dir))
    adapter = replace(adapter, probe=expect(str(base_dir), adapter.path))
    assert adapter.probe is not None
    async with VllmClient(url, api_key=API_KEY, control_key=CONTROL_KEY) as client:
        before = await reconcile(client, [adapter], None)
        assert list(before.adapters) == [adapter.name]
        first = await measured(client, adapter.name, adapter.probe)
        processes = family(process.pid)
        os.kill(pid_of(processes, "api_server"), signal.SIGKILL)
        assert "vLLM ended (exit code 137)" in read_until(process, "Starting it again")
        assert gone(list(processes.values()))
        down = await reconcile(client, [adapter], before)
        assert not down.healthy
        read_until(process, "is ready")
        again = await reconcile(client, [adapter], down)
        assert (again.healthy, list(again.adapters)) == (True, [adapter.name])
        assert again.error is None
        second = await measured(client, adapter.name, adapter.probe)
        print("two processes are apart by", distance(first, second))
        assert distance(first, second) < NOISE
    processes = family(process.pid)
    process.terminate()
    read_until(process, "vLLM has stopped")
    assert process.wait(10) == 0
    assert gone(list(processes.values()))


@pytest.mark.slow
async def test_a_poisoned_server_is_started_again(
    serving: tuple[subprocess.Popen[str], str], tmp_path: Path
) -> None:
    """NaN gets past every check where files change on disk after they were loaded, and then
    everybody is answered with nothing while /health says 200: vLLM is started again, and has all
    adapters back but that one, which is named."""
    process, url = serving
    read_until(process, "is ready")
    base = small_base_model()
    adapters = []
    for seed in range(MAX_CPU_LORAS + 1):  # the first one is evicted, and read again when asked
        staging = make_adapter(tmp_path / f"staging-{seed}", base, seed=seed)
        adapters.append(publish(staging, tmp_path / "adapters", base_spec(base)))
    tensors = random_tensors(base)
    for values in tensors.values():
        values[:] = np.nan
    async with VllmClient(url, api_key=API_KEY, control_key=CONTROL_KEY) as client:
        keeping = Keeping(client)
        assert len((await keeping.look(adapters)).adapters) == len(adapters)
        pulse = Pulse(client)
        await pulse.beat()
        assert not pulse.trouble
        weights = write_adapter(tmp_path / "nan", tensors) / WEIGHTS
        (adapters[0].path / WEIGHTS).write_bytes(weights.read_bytes())
        with suppress(ServingError):
            said = await client.complete(HELLO, model=adapters[0].name, max_tokens=4)
            print("with NaN:", said)
        assert await client.healthy()
        await pulse.beat()
        print("trouble:", pulse.trouble, "corrupted:", pulse.corrupted)
        assert pulse.trouble is not None
        state = await keeping.look(adapters, pulse.trouble)
        assert not state.healthy
        line = read_until(process, "Starting it again")
        assert "vLLM answers /health, but not questions" in line
        read_until(process, "is ready")
        state = await keeping.look(adapters)
        assert set(state.adapters) == {one.name for one in adapters[1:]}
        assert adapters[0].name in str(state.error)
        await pulse.beat()
        assert (str(pulse.trouble), pulse.restarts) == ("None", 1)
    process.terminate()
    read_until(process, "vLLM has stopped")
