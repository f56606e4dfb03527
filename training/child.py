"""The trainer as a process: started by the worker, never outliving it, at low priority."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from training.settings import WorkerSettings

NICE = 10
STOP_S = 10.0
PARENT = "MYNAH_WORKER_PID"
LOST = 3  # exit status of a trainer that found its run taken over: there is nothing to say
AGAIN = 4  # … of one that could not reach the database: to be started again
ON = 5  # … of one that had the device alone: it is free now, and a new process goes on
MAX_ATTEMPTS = 3  # of a run: then it has failed
PR_SET_PDEATHSIG = 1


def settle_in() -> None:
    """Called first in the child: lower its priority, and let it die with the worker.

    A trainer that outlived a killed worker would keep the cores from the one that takes the run
    over. The kernel's signal covers what happens from now on, the parent's id what came before.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    expected = os.environ.get(PARENT)
    if expected and os.getppid() != int(expected):
        sys.exit(LOST)
    os.nice(NICE)
    # Linux weighs sessions against each other first, and the trainer has one of its own: without
    # this its nice value would count against nobody, and answers would wait for the training.
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(NICE), "ascii")


class Trainer:
    """One running trainer process, in a session of its own; its output goes to `log`."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self.log = log

    @classmethod
    async def start(cls, command: Sequence[str], settings: WorkerSettings, log: Path) -> Self:
        """Start `command` with the worker's own settings in its environment."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *command,
                # One thread: two under contention are far slower, and only one is reproducible.
                env={
                    "OMP_NUM_THREADS": "1",
                    "TOKENIZERS_PARALLELISM": "false",
                    **os.environ,
                    **environment(settings),
                    "CUDA_VISIBLE_DEVICES": one_gpu(),
                    PARENT: str(os.getpid()),
                },
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        return cls(process, log)

    @property
    def pid(self) -> int:
        """The process id, which is also that of its group."""
        return self._process.pid

    async def ended(self, within_s: float) -> int | None:
        """The exit status (negative: the signal that killed it), or None while it runs."""
        with suppress(TimeoutError):
            return await asyncio.wait_for(self._process.wait(), within_s)
        return None

    async def stop(self) -> None:
        """End it and whatever it started: politely, then for good."""
        self._signal(signal.SIGTERM)
        await self.ended(STOP_S)
        self._signal(signal.SIGKILL)
        await self._process.wait()

    def last_words(self) -> str:
        """The last line that it wrote; of a traceback, the error itself."""
        lines = self.log.read_text("utf-8", errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else "it said nothing"

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def one_gpu() -> str:
    """The first GPU that this process sees, as a child's CUDA_VISIBLE_DEVICES.

    A trainer that sees several hands each a step of its own, and only one of these is learned.
    """
    return os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]


def environment(settings: WorkerSettings) -> Mapping[str, str]:
    """The settings as the environment variables that they are read from."""
    named = {
        field.alias: getattr(settings, name)
        for name, field in type(settings).model_fields.items()
        if field.alias
    }
    return {alias: _written(value) for alias, value in named.items()}


def _written(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, Path):
        return str(value.resolve())
    reveal = getattr(value, "get_secret_value", None)
    return str(reveal() if reveal else value)
