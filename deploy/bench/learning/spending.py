"""Child processes, and what they cost."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PR_SET_PDEATHSIG = 1
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
        _, status, usage = os.wait4(child.pid, 0)
    except BaseException:
        child.kill()
        raise
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise ChildFailed(f"status {child.returncode}: {_last_line(log)}")
    return Spent(
        cpu_s=round(usage.ru_utime + usage.ru_stime, 1),
        rss_mb=round(usage.ru_maxrss / 1024),
        wall_s=round(time.monotonic() - began, 1),
    )


def _die_with_parent() -> None:
    # A child that outlived the bench would spend the cores of the next one.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _last_line(log: Path) -> str:
    lines = log.read_text("utf-8", errors="replace").strip().splitlines()
    return lines[-1].strip()[:300] if lines else "it said nothing"
