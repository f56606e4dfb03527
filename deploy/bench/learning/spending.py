"""What child processes cost, and work of this process that may be killed."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from resource import struct_rusage

PR_SET_PDEATHSIG = 1
POLL_S = 0.1
# One thread: two under contention are far slower. No accelerator: CPU-seconds are compared.
ALONE = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "CUDA_VISIBLE_DEVICES": "",
    "HF_HUB_OFFLINE": "1",
    "WANDB_DISABLED": "true",
    "PYTHONWARNINGS": "ignore",
}


class ChildFailed(Exception):
    """A child did not end well; the message is the last line that it wrote."""


@dataclass(frozen=True)
class Spent:
    """CPU-seconds of a child and of what it started, its highest resident memory, and wall time."""

    cpu_s: float
    rss_mb: float
    wall_s: float


class Meter:
    """CPU-seconds that this process spends from now on, and those that others spent before it on
    the same work, as far as they kept them."""

    def __init__(self, kept: Path) -> None:
        self._kept = kept
        self._before = float(kept.read_text()) if kept.exists() else 0.0
        self._began = time.process_time()

    def keep(self) -> float:
        """All of them so far; a process that goes on with the work begins from here."""
        spent = round(self._before + time.process_time() - self._began, 1)
        beside = self._kept.with_name(f".{self._kept.name}")
        beside.write_text(str(spent))
        beside.replace(self._kept)
        return spent


def spend(command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> Spent:
    """Run a command to its end; its output is added to `log`.

    Raises:
        ChildFailed: it ended with another status than 0.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with log.open("ab") as output:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            env={**os.environ, **ALONE, **(env or {})}, preexec_fn=_die_with_parent,
        )  # fmt: skip
    try:
        usage, rss_mb = _ended(child)
    except BaseException:
        child.kill()
        raise
    if child.returncode:
        raise ChildFailed(f"status {child.returncode}: {_last_line(log)}")
    cpu_s = round(usage.ru_utime + usage.ru_stime, 1)
    return Spent(cpu_s, rss_mb, round(time.monotonic() - began, 1))


def _ended(child: subprocess.Popen[bytes]) -> tuple[struct_rusage, float]:
    """Wait for it; what it used, and its highest memory in MiB."""
    rss_mb = 0.0
    while True:
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        if pid:
            child.returncode = os.waitstatus_to_exitcode(status)
            return usage, rss_mb
        rss_mb = _highest_mb(child.pid) or rss_mb
        time.sleep(POLL_S)


def _highest_mb(pid: int) -> float:
    # Not rusage's: that begins with the memory of the process which the child was forked from.
    for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines():
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) / 1024)
    return 0.0  # it has just ended


def _die_with_parent() -> None:
    # A child that outlived the bench would spend the cores of the next one.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _last_line(log: Path) -> str:
    lines = log.read_text("utf-8", errors="replace").strip().splitlines()
    return lines[-1].strip()[:300] if lines else "it said nothing"
