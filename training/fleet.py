"""Keeping every vLLM server in step with the releases, and writing down what each has ready."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Engine, delete
from sqlmodel import col

from bot import releases
from bot.store import fleet
from bot.store.database import reading, transaction
from bot.store.schema import Replica
from serving.adapters import AdapterFile
from serving.client import VllmClient
from serving.replicas import ReplicaState, reconcile
from training.settings import WorkerSettings

log = logging.getLogger("mynah.fleet")


class Fleet:
    """The configured servers. What they should have is asked at each look; they are gone through
    when that changed, and otherwise every `every_s` seconds."""

    def __init__(self, settings: WorkerSettings, engine: Engine, every_s: float) -> None:
        self._engine = engine
        self._every_s = every_s
        self._clients = [
            VllmClient(
                url,
                api_key=settings.vllm_api_key.get_secret_value(),
                control_key=settings.control_key.get_secret_value(),
            )
            for url in settings.vllm_urls
        ]
        self._wanted: list[AdapterFile] | None = None
        self._due = 0.0
        self.states: dict[str, ReplicaState] = {}

    async def look(self) -> None:
        """Reconcile the servers if it is time, or at once if the releases want something else."""
        wanted = await asyncio.to_thread(self._read_wanted)
        if wanted == self._wanted and time.monotonic() < self._due:
            return
        if self._wanted is None:
            self.states = await asyncio.to_thread(self._read_states)
        self._wanted = wanted
        # Each server's row is written as soon as it is done: a slow one holds up nobody.
        await asyncio.gather(*(self._keep(client, wanted) for client in self._clients))
        self._due = time.monotonic() + self._every_s

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients:
            await client.aclose()

    async def _keep(self, client: VllmClient, wanted: Sequence[AdapterFile]) -> None:
        before = self.states.get(client.url)
        state = await reconcile(client, wanted, before)
        self.states[client.url] = state
        if before is None or (before.healthy, before.error) != (state.healthy, state.error):
            log.info("%s: %s", state.url, state.error or ("up" if state.healthy else "down"))
        await asyncio.to_thread(self._write, state)

    def _read_wanted(self) -> list[AdapterFile]:
        with reading(self._engine) as session:
            return [
                AdapterFile(adapter.name, adapter.sha256, Path(adapter.path), adapter.rank)
                for adapter in releases.desired_adapters(session)
            ]

    def _read_states(self) -> dict[str, ReplicaState]:
        """What an earlier worker wrote, less the servers that are not configured any more."""
        urls = [client.url for client in self._clients]
        with transaction(self._engine) as session:
            session.execute(delete(Replica).where(col(Replica.url).not_in(urls)))
            return {state.url: state for state in fleet.states(session)}

    def _write(self, state: ReplicaState) -> None:
        with transaction(self._engine) as session:
            fleet.write(session, state)
