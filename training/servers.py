"""Doing something with a vLLM server that has a model ready, even when servers come and go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy import Engine
from sqlmodel import select

from bot.store.database import reading
from bot.store.schema import Replica
from serving.client import BASE, Completion, ModelMissing, Unavailable, VllmClient
from training.remembering import Remembering
from training.settings import WorkerSettings

T = TypeVar("T")
TRIES = 3  # of one step: a model that takes each server down must not do so for ever
LOOK_S = 0.1


class NoServer(Exception):
    """No vLLM server got ready in time, or each one went away; the message says which model."""


class Servers:
    """The servers as the worker's Replica rows describe them."""

    def __init__(self, engine: Engine, settings: WorkerSettings, patience_s: float) -> None:
        self._engine = engine
        self._settings = settings
        self._patience_s = patience_s
        self._said: dict[str, Completion] = {}

    async def ask(self, model: str, work: Callable[[VllmClient], Awaitable[T]]) -> T:
        """Do `work` with a server that has `model`; when it goes away, again with the next.

        Raises:
            NoServer: none got ready in time, or `work` failed three times over.
        """
        for attempt in range(1, TRIES + 1):
            url = await self.ready(model)
            key = self._settings.vllm_api_key.get_secret_value()
            try:
                async with Remembering(url, api_key=key, said=self._said) as client:
                    return await work(client)
            except (Unavailable, ModelMissing) as error:
                if attempt == TRIES:
                    raise NoServer(f"the vLLM servers went away {TRIES} times: {error}") from error
                await asyncio.sleep(LOOK_S)
        raise AssertionError("unreachable")

    async def ready(self, model: str) -> str:
        """Wait for a server that has `model` (the base is on each healthy one); return its URL."""
        until = time.monotonic() + self._patience_s
        while (url := self._find(model)) is None:
            if time.monotonic() > until:
                raise NoServer(f"no vLLM server had {model} ready in time: {self._troubles()}")
            await asyncio.sleep(LOOK_S)
        return url

    def _find(self, model: str) -> str | None:
        for row in self._rows():
            if row.healthy and (model == BASE or model in row.adapters):
                return row.url
        return None

    def _troubles(self) -> str:
        found = [f"{row.url}: {row.error or 'not healthy'}" for row in self._rows() if row.error]
        return "; ".join(found) or ", ".join(self._settings.vllm_urls)

    def _rows(self) -> list[Replica]:
        with reading(self._engine) as session:
            rows = session.exec(select(Replica).order_by(Replica.url))
            return [row for row in rows if row.url in self._settings.vllm_urls]
