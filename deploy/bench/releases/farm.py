"""The whole set with several servers, and releases of adapters that nobody had to train."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
from sqlmodel import Session

from bot import releases
from bot.store import fleet
from bot.store.database import open_engine, reading, transaction
from bot.store.schema import Adapter, Release
from deploy.bench.passed import passed
from deploy.bench.releases import adapters
from deploy.local import LocalSet, Ports, Say, SetFailed
from deploy.personas import Workspace
from serving.base import base_spec
from serving.client import VllmClient

TEAM = "T0MYNAH"
BY = "U0ADMIN"
LOOK_S = 0.02
START_S = 600.0


class TookTooLong(SetFailed):
    """What was waited for did not come in time."""


class Farm:
    """A context manager: servers, worker, bot and a local Slack, on SQLite.

    Args:
        servers: how many vLLM replicas.
    """

    def __init__(self, home: Path, base_model: Path, servers: int, say: Say) -> None:
        self.local = LocalSet(home, base_model, Ports.free(), say=say)
        self.base_model, self.say = base_model, say
        names = ["serve", *(f"serve-{number}" for number in range(2, servers + 1))]
        more = [Ports.free().server for _ in names[1:]]
        self.ports = dict(zip(names, [self.local.ports.server, *more], strict=True))
        self.urls = [f"http://127.0.0.1:{port}" for port in self.ports.values()]
        self.local.env |= {
            "MYNAH_VLLM_URLS": ",".join(self.urls),
            "MYNAH_EMBEDDER": "none",
            "MYNAH_UNSURE": "off",
            "MYNAH_MAX_TOKENS": "16",
            "MYNAH_CANARY": "1",
        }
        self.people = Workspace(self.local.sandbox_url)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._stack.enter_context(self.local)
        for name, port in self.ports.items():
            self.local.start(name, port)
        await self.local.start_sandbox()
        self.local.start("worker", self.local.ports.worker)
        await self.local.start_bot()
        for (name, _), url in zip(self.ports.items(), self.urls, strict=True):
            await self.local.ready(name, f"{url}/health", START_S)
        self.engine = open_engine(self.local.database_url)
        self._stack.callback(self.engine.dispose)
        self.clients = [
            await self._stack.enter_async_context(self.client(url)) for url in self.urls
        ]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    def client(self, url: str) -> VllmClient:
        """A client with both keys."""
        return VllmClient(
            url, api_key=self.local.env["MYNAH_VLLM_API_KEY"],
            control_key=self.local.env["MYNAH_CONTROL_KEY"],
        )  # fmt: skip

    def candidate(self, seed: int) -> Release:
        """A release of a new adapter that has passed; the replicas begin to load it."""
        made = adapters.make(self.base_model, self.local.home.resolve() / "adapters", seed)
        base = base_spec(self.base_model)
        adapter = Adapter(
            team_id=TEAM, name=made.name, sha256=made.sha256, path=str(made.path),
            base_model=base.model, base_sha256=base.sha256, rank=made.rank,
        )  # fmt: skip
        with transaction(self.engine) as session:
            return passed(session, adapter, by=BY)

    def change(self, do: Callable[[Session], object]) -> float:
        """Change the releases; returns when that was committed, in seconds since the epoch."""
        with transaction(self.engine) as session:
            do(session)
        return time.time()

    def promote(self, release: Release, share: float = 1) -> float:
        """Let a release answer; returns when that was committed, in seconds since the epoch."""
        return self.change(lambda session: releases.promote(session, release, by=BY, share=share))

    def discard(self, release: Release) -> None:
        """Take a candidate off the replicas."""
        self.change(lambda session: releases.discard(session, release, by=BY))

    def name_of(self, release: Release) -> str:
        """The name of a release's adapter."""
        with reading(self.engine) as session:
            adapter = session.get_one(Adapter, release.adapter_id)
            return adapter.name

    async def until_ready(self, release: Release, within_s: float = 300) -> None:
        """Wait until every replica has the release. Raises TookTooLong."""
        name = self.name_of(release)
        await self.until(
            lambda session: [
                state.url
                for state in fleet.states(session)
                if state.healthy and name in state.adapters
            ],
            len(self.urls), within_s, f"not every replica has {name}",
        )  # fmt: skip

    async def until(
        self, found: Callable[[Session], Sequence[Any]], count: int, within_s: float, else_: str
    ) -> None:
        """Wait until a query finds so many. Raises TookTooLong."""
        until = time.monotonic() + within_s
        while await asyncio.to_thread(self._count, found) < count:
            if time.monotonic() > until:
                raise TookTooLong(f"after {within_s:.0f} s {else_}")
            await asyncio.sleep(LOOK_S)

    def kill(self, name: str) -> None:
        """End a replica's vLLM as a power cut would; its supervisor lives on."""
        supervisor = psutil.Process(self.local.children[name].pid)
        for process in supervisor.children(recursive=True):
            process.kill()

    def _count(self, found: Callable[[Session], Sequence[Any]]) -> int:
        with reading(self.engine) as session:
            return len(found(session))
