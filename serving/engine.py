"""Starts one vLLM server, watches it, and starts it again when it dies."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from serving.base import NoBaseModel, locate
from serving.client import VllmClient
from serving.command import DRAIN_S, NoVllm, command, environment, on_cpu
from serving.pulse import Pulse
from serving.resting import Share
from serving.settings import ServerSettings

Say = Callable[[str], None]
T = TypeVar("T")
POLL_S = 1.0
WATCH_S = 5.0
START_TIMEOUT_S = 1800.0  # a large model from a slow disk
PROGRESS_S = 10.0
STEADY_S = 300.0  # a life this long makes the next restart quick again
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
GONE_S = 10.0  # for processes that were told to end
LOG_BYTES = 10 * 1024 * 1024
# An exception's last line, as Python or vLLM's log prints it, and pydantic's reason below it. The
# very last one only says "see root cause above".
CAUSE = re.compile(
    r"^(?:\(\w+ pid=\d+\) )?(?:ERROR [^\]]*\] )?"
    r"((?:\w+\.)*\w*(?:Error|Exception): (?!Engine core initialization failed).+(?:\n {2}\S.*)?)",
    re.MULTILINE,
)


class EngineFailed(Exception):
    """One line: why vLLM cannot be started."""


class Engine:
    """One vLLM child: its whole process group starts and ends with this object.

    If this process dies without a word, the keeper (serving/keeper.py) ends the group.
    """

    def __init__(
        self, settings: ServerSettings, base: Path, *, say: Say = print, dtype: str = ""
    ) -> None:
        self.settings = settings
        self.url = f"http://{_reachable(settings.host)}:{settings.port}"
        self.log = settings.data_dir.resolve() / "logs" / f"vllm-{settings.port}.log"
        self.start_s: float | None = None  # how long the last start took
        self._base = base
        self._say = say
        self._dtype = dtype
        self._keeper: asyncio.subprocess.Process | None = None
        self._leash: int | None = None
        self._log_start = 0

    @property
    def group(self) -> int | None:
        """The process group of vLLM and its keeper; None while there is none."""
        return None if self._keeper is None else self._keeper.pid

    async def start(self) -> None:
        """Start vLLM and return once it answers.

        Raises:
            EngineFailed: the port is taken, vLLM is not installed, or it ended while starting.
        """
        _check_port(self.settings.host, self.settings.port)
        began = time.monotonic()
        await self._spawn()
        try:
            await self._until_ready(began)
        except BaseException:
            await self.kill()
            raise
        self.start_s = time.monotonic() - began
        self._say(f"vLLM is ready at {self.url} after {self.start_s:.0f} s")

    async def watch(self) -> str:
        """Return, in words, what went wrong once vLLM has died, or answers nobody any more (see
        serving/pulse.py: /health alone would not tell). It is gone then."""
        keeper = self._running()
        async with self._client() as client:
            pulse = Pulse(client)
            while keeper.returncode is None and pulse.lost is None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(WATCH_S):
                        await keeper.wait()
                if keeper.returncode is None:
                    await pulse.beat()
        code = keeper.returncode
        await self.kill()
        if code is None:
            return str(pulse.lost)
        return f"vLLM ended (exit code {code}){self._cause()}"

    async def stop(self) -> None:
        """Let streams finish (up to DRAIN_S seconds), then end every process."""
        if self._keeper is not None:
            with suppress(ProcessLookupError, TimeoutError):
                self._keeper.send_signal(signal.SIGTERM)
                async with asyncio.timeout(DRAIN_S + 10):
                    await self._keeper.wait()
        await self.kill()

    async def make_room(self) -> None:
        """`stop`, and return once the memory of its processes is free."""
        group = self.group
        await self.stop()
        late = time.monotonic() + GONE_S
        while group is not None and _lives(group) and time.monotonic() < late:  # noqa: ASYNC110
            await asyncio.sleep(0.1)

    async def kill(self) -> None:
        """End every process of vLLM at once. Nothing happens when there is none."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            # The group, because workers can outlive both vLLM's first process and the keeper.
            with suppress(ProcessLookupError):
                os.killpg(keeper.pid, signal.SIGKILL)
            await keeper.wait()
        if self._leash is not None:
            os.close(self._leash)
            self._leash = None

    def _running(self) -> asyncio.subprocess.Process:
        if self._keeper is None:
            raise RuntimeError("vLLM was not started")
        return self._keeper

    async def _spawn(self) -> None:
        try:
            cpu = on_cpu()
        except NoVllm as error:
            raise EngineFailed(str(error)) from None
        self.settings.adapters_dir.mkdir(parents=True, exist_ok=True)
        output = _open_log(self.log)
        self._log_start = os.fstat(output).st_size
        leash, self._leash = os.pipe()
        try:
            self._keeper = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "serving.keeper"),
                *command(self.settings, self._base, cpu=cpu, dtype=self._dtype),
                env=environment(self.settings, self._base, cpu=cpu, before=os.environ),
                stdin=leash,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C in a terminal must reach us, not vLLM
            )
        finally:
            os.close(leash)
            os.close(output)

    async def _until_ready(self, began: float) -> None:
        keeper = self._running()
        next_word = began + PROGRESS_S
        async with self._client() as client:
            while not await client.healthy():
                now = time.monotonic()
                if keeper.returncode is not None:
                    code = keeper.returncode
                    raise EngineFailed(f"vLLM ended at its start (exit code {code}){self._cause()}")
                if now - began > START_TIMEOUT_S:
                    raise EngineFailed(f"vLLM did not start in {now - began:.0f} s; see {self.log}")
                if now > next_word:
                    next_word = now + PROGRESS_S
                    self._say(f"vLLM is starting … {now - began:.0f} s")
                await asyncio.sleep(POLL_S)

    def _client(self) -> VllmClient:
        return VllmClient(self.url, api_key=self.settings.vllm_api_key.get_secret_value())

    def _cause(self) -> str:
        """What this start's log says of the reason, and where the log is."""
        with self.log.open(encoding="utf-8", errors="replace") as stream:
            stream.seek(self._log_start)
            causes = CAUSE.findall(stream.read())
        if not causes:
            return f"; see {self.log}"
        return f": {' '.join(causes[-1].split())[:300]}; see {self.log}"


async def serve(
    settings: ServerSettings, model: str, *, say: Say = print, stop: asyncio.Event
) -> None:
    """Keep vLLM serving `model` (a directory or a Hugging Face id) until `stop` is set.

    A start that fails at first is an error; once it has worked, vLLM is started again whenever it
    dies, after a wait that doubles up to a minute. Adapters are gone after a restart: whoever
    reconciles loads them again. With MYNAH_TRAIN_ALONE it rests while a training has the device.

    Raises:
        EngineFailed: one line, when the first start fails.
    """
    try:
        base = await asyncio.to_thread(locate, model)
    except NoBaseModel as error:
        raise EngineFailed(str(error)) from error
    engine = Engine(settings, base, say=say)
    share = Share(settings.data_dir.resolve() if settings.train_alone else None)
    say(f"Starting vLLM with {base.name}; its log is {engine.log}")
    try:
        await _supervise(engine, share, say, stop)
    finally:
        # Shielded: being cancelled must not leave the children behind.
        await asyncio.shield(engine.stop())
        share.give()
    say("vLLM has stopped")


async def _supervise(engine: Engine, share: Share, say: Say, stop: asyncio.Event) -> None:
    wait_s = FIRST_WAIT_S
    while not stop.is_set():
        await _unless(stop.wait(), share.take(say))
        if stop.is_set():
            return
        began = time.monotonic()
        trouble = await _unless(stop.wait(), _unless(share.wanted(), _one_life(engine)))
        if stop.is_set():
            return
        if trouble is None:
            say("Making room for a training")
            await engine.make_room()
            continue
        if time.monotonic() - began > STEADY_S:
            wait_s = FIRST_WAIT_S
        say(f"{trouble}. Starting it again in {wait_s:.0f} s")
        await _unless(stop.wait(), _unless(share.wanted(), asyncio.sleep(wait_s)))
        wait_s = min(2 * wait_s, LONGEST_WAIT_S)


async def _one_life(engine: Engine) -> str:
    """Start vLLM unless it runs, and return what ended it. Raises EngineFailed as long as no start
    has worked."""
    try:
        if engine.group is None:
            await engine.start()
    except EngineFailed as error:
        if engine.start_s is None:
            raise
        return str(error)
    return await engine.watch()


async def _unless(other: Coroutine[Any, Any, object], work: Coroutine[Any, Any, T]) -> T | None:
    """The result of `work`; None, and `work` cancelled, when `other` ends first."""
    task, first = asyncio.ensure_future(work), asyncio.ensure_future(other)
    try:
        await asyncio.wait([task, first], return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for each in (task, first):
            each.cancel()
        await asyncio.gather(task, first, return_exceptions=True)


def _lives(group: int) -> bool:
    with suppress(ProcessLookupError):
        os.killpg(group, 0)
        return True
    return False


def _check_port(host: str, port: int) -> None:
    """vLLM would find out after half a minute, and say it in a traceback."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise EngineFailed(
                f"MYNAH_PORT: {port} on {host} is taken by another process"
            ) from None
        line = f"MYNAH_HOST, MYNAH_PORT: cannot listen on {host}:{port}: {error.strerror or error}"
        raise EngineFailed(line) from error


def _reachable(host: str) -> str:
    """What to connect to when a server listens on `host`."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared only
    return f"[{name}]" if ":" in name else name


def _open_log(path: Path) -> int:
    """A descriptor for vLLM to write to itself: nothing of ours stands between it and its log."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
