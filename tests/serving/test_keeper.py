"""The leash: a command ends with whoever started it, in whatever way that one ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

# A command with a child of its own, as vLLM has; it says its own and the child's process id.
FAMILY = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""
# An owner that starts a keeper on a pipe of its own and then waits to be killed.
OWNER = """
import os, subprocess, sys, time
leash, mine = os.pipe()
keeper = subprocess.Popen(
    [sys.executable, "-m", "serving.keeper", sys.executable, "-c", sys.argv[1]],
    stdin=leash, start_new_session=True,
)
os.close(leash)
print(keeper.pid, flush=True)
time.sleep(60)
"""
ROOT = Path(__file__).parents[2]


def alive(pid: int) -> bool:
    """Whether the process exists and is not a zombie that nobody has waited for yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pids: list[int], within_s: float = 5) -> bool:
    """Whether all processes have ended, at the latest after `within_s` seconds."""
    until = time.monotonic() + within_s
    while any(map(alive, pids)) and time.monotonic() < until:
        time.sleep(0.02)
    return not any(map(alive, pids))


@pytest.fixture
def owner() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", OWNER, FAMILY]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        yield process
        process.kill()


def _line(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


def test_owner_killed(owner: subprocess.Popen[str]) -> None:
    """After `kill -9` of the owner neither the keeper, the command nor its child is left."""
    keeper, grandchild = _line(owner), _line(owner)
    assert alive(keeper)
    assert alive(grandchild)
    owner.kill()
    assert gone([keeper, grandchild])


def test_terminate_reaches_the_command_alone() -> None:
    """SIGTERM is passed on to the command, whose exit code becomes the keeper's."""
    script = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "print(1, flush=True)\n"
        "time.sleep(60)\n"
    )
    with _keeper(script) as keeper:
        _line(keeper)
        keeper.send_signal(signal.SIGTERM)
        assert keeper.wait(10) == 7


def test_killed_command() -> None:
    """A command that is killed is reported as the shell does: 128 and the signal's number."""
    with _keeper("import os; os.kill(os.getpid(), 9)") as keeper:
        assert keeper.wait(10) == 137


def _keeper(script: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "serving.keeper", sys.executable, "-c", script]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, stdin=pipe, stdout=pipe, text=True, start_new_session=True, cwd=ROOT
    )
