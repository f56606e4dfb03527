"""The whole set on one machine, as child processes: sandbox, server, worker and bot.

`mynah demo` and `mynah play` run the same commands as an operator does, only with ports, keys and
tokens chosen for them.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import httpx

STOP_S = 45.0  # vLLM lets running streams finish before it goes
Say = Callable[[str], None]


class SetFailed(Exception):
    """A process of the local set ended or did not get ready; the message names its log."""


@dataclass(frozen=True)
class Ports:
    """Where each process listens, all on 127.0.0.1."""

    sandbox: int
    server: int
    worker: int
    bot: int

    @classmethod
    def free(cls) -> Ports:
        """Four ports that nobody listens on right now."""
        sockets = [socket.socket() for _ in range(4)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        numbers = [one.getsockname()[1] for one in sockets]
        for one in sockets:
            one.close()
        return cls(*numbers)

    @classmethod
    def usual(cls) -> Ports:
        """The documented ports."""
        return cls(sandbox=3100, server=8000, worker=3001, bot=3000)


def _die_with_parent() -> None:
    # A demo that is killed must not leave a server of 4 GB behind.
    import ctypes

    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


@dataclass
class LocalSet:
    """The processes and what they were told. Use as a context manager: the end stops them all."""

    home: Path
    base_model: Path
    ports: Ports
    say: Say = print
    database_url: str = ""  # the set's own SQLite store, unless given
    lived_in: bool = False  # the local Slack has a past, and what is said there stays
    children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "logs").mkdir(exist_ok=True)
        at = "http://127.0.0.1"
        self.sandbox_url = f"{at}:{self.ports.sandbox}"
        self.server_url = f"{at}:{self.ports.server}"
        self.database_url = self.database_url or f"sqlite:///{self.home.resolve() / 'mynah.db'}"
        self.env = {
            "MYNAH_DATA_DIR": str(self.home.resolve()),
            "MYNAH_BASE_MODEL": str(self.base_model.resolve()),
            "MYNAH_VLLM_URLS": self.server_url,
            "MYNAH_VLLM_API_KEY": secrets.token_urlsafe(24),
            "MYNAH_CONTROL_KEY": secrets.token_urlsafe(24),
            "SLACK_API_URL": f"{self.sandbox_url}/api/",
            "SLACK_BOT_TOKEN": "xoxb-mynah",
            "SLACK_APP_TOKEN": "xapp-mynah",
            "MYNAH_STAFF": "U0STAFF,U0STAFF2",
            "MYNAH_ADMINS": "U0ADMIN",
            "MYNAH_ADMIN_CHANNEL": "C0ADMIN",
            "MYNAH_HOST": "127.0.0.1",
            # Without a GPU a rambling answer takes half a minute; the help desk answers in a line.
            "MYNAH_MAX_TOKENS": "64",
            # Training starts when an admin says so, not in the middle of the first lessons.
            "MYNAH_MIN_NEW_EXAMPLES": "1000",
            # One person tries it, or a script: nobody could tell two releases apart by ratings.
            "MYNAH_CANARY": "1",
        }

    def start(self, name: str, port: int, *words: str, **extra: str) -> None:
        """Start `mynah NAME WORDS` with its port and more settings; its output goes to its log.

        What follows a hyphen tells several of a kind apart: "serve-2".
        """
        env = {**_clean(os.environ), **self.env, "MYNAH_PORT": str(port), **extra}
        env["DATABASE_URL"] = self.database_url
        log = (self.home / "logs" / f"{name}.log").open("ab")
        self.children[name] = subprocess.Popen(
            [sys.executable, "-m", "deploy", name.partition("-")[0], *words],
            env=env,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=self.home,  # not where the caller's .env lies
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
        log.close()

    async def start_all(self) -> None:
        """Start everything and wait until the bot can answer; the server loads meanwhile."""
        self.start("serve", self.ports.server)
        await self.start_sandbox()
        self.start("worker", self.ports.worker)
        await self.start_bot()
        await self.ready("serve", f"{self.server_url}/health", 300)

    async def start_sandbox(self) -> None:
        """Start the local Slack and wait until it is there."""
        words = () if self.lived_in else ("--empty",)
        self.start("sandbox", self.ports.sandbox, *words)
        await self.ready("sandbox", f"{self.sandbox_url}/_control/state", 30)

    async def start_bot(self, **extra: str) -> None:
        """Start the bot with further settings and wait until it is connected."""
        self.start("bot", self.ports.bot, **extra)
        await self.ready("bot", f"http://127.0.0.1:{self.ports.bot}/readyz", 120)

    async def restart_bot(self, **extra: str) -> None:
        """Stop the bot and start it with other settings (they are read once, at start)."""
        await asyncio.to_thread(self.stop, "bot")
        await self.start_bot(**extra)

    async def ready(self, name: str, url: str, within_s: float) -> None:
        """Wait until `url` answers 200, telling now and then that it is still awaited.

        Raises:
            SetFailed: the process ended, or the time is over.
        """
        began = told = time.monotonic()
        key = self.env["MYNAH_VLLM_API_KEY"]  # the server answers nobody without it
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(timeout=5, headers=headers) as http:
            while True:
                if self.children[name].poll() is not None:
                    raise SetFailed(f"mynah {name} ended at start: {self.last_words(name)}")
                try:
                    if (await http.get(url)).status_code == 200:
                        return
                except httpx.HTTPError:
                    pass  # not listening yet: that is what is awaited
                if time.monotonic() - began > within_s:
                    raise SetFailed(
                        f"mynah {name} was not ready within {within_s:.0f} s: "
                        f"{self.last_words(name)}"
                    )
                if time.monotonic() - told > 15:
                    told = time.monotonic()
                    self.say(f"  … mynah {name} is starting ({told - began:.0f} s)")
                await asyncio.sleep(0.2)

    def last_words(self, name: str) -> str:
        """The last line of a process's log, and where the rest is."""
        path = self.home / "logs" / f"{name}.log"
        lines = path.read_text(errors="replace").strip().splitlines()
        return f"{lines[-1] if lines else 'it said nothing'} (log: {path})"

    def stop(self, name: str) -> None:
        """Stop one process: politely first, then for good."""
        child = self.children.pop(name, None)
        if child is None or child.poll() is not None:
            return
        child.terminate()
        try:
            child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()

    def kill(self, name: str) -> None:
        """End one process as a power cut would."""
        child = self.children.pop(name)
        child.kill()
        child.wait()

    def __enter__(self) -> LocalSet:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for name in ("bot", "worker", "serve", "sandbox"):
            self.stop(name)


def _clean(environment: Mapping[str, str]) -> dict[str, str]:
    # The caller's own Mynah or Slack settings must not leak into the demo: it would post for real.
    ours = ("MYNAH_", "SLACK_", "DATABASE_URL")
    return {name: value for name, value in environment.items() if not name.startswith(ours)}
