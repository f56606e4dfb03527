"""What each vLLM server has ready, against what the releases need."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from serving.adapters import NAME, AdapterFile
from serving.client import BASE, ChatMessage, ServingError, VllmClient

PROBE: list[ChatMessage] = [{"role": "user", "content": "Hello"}]


@dataclass(frozen=True)
class Ready:
    """An adapter that has answered. `load_s`: seconds from the load request to that answer, 0 when
    it was found loaded; `ready_at`: ISO time, UTC."""

    load_s: float
    ready_at: str


@dataclass(frozen=True)
class ReplicaState:
    """One server: whether it answers, what is ready on it, and the last trouble in one line."""

    url: str
    healthy: bool
    adapters: Mapping[str, Ready] = field(default_factory=dict)
    error: str | None = None


async def reconcile(
    client: VllmClient, desired: Sequence[AdapterFile], before: ReplicaState | None
) -> ReplicaState:
    """Make one server hold exactly `desired`, most important first; return what it holds then.

    Only names of ours (mynah-…) are unloaded; streams under way on them still finish. A bad adapter
    is the state's `error` and does not keep the others from loading. Never raises for a server
    that is down: the state says so.

    Args:
        before: what this function last returned for this server, so that an adapter that is still
            loaded is not probed again.
    """
    known = before.adapters if before is not None else {}
    try:
        served = await _unload_unwanted(client, desired)
    except ServingError as error:
        return ReplicaState(client.url, healthy=False, error=str(error))
    ready: dict[str, Ready] = {}
    troubles: list[str] = []
    for adapter in desired:
        try:
            found = known.get(adapter.name) if adapter.name in served else None
            ready[adapter.name] = found or await _make_ready(client, adapter, served)
        except (ServingError, BadProbe) as error:
            troubles.append(str(error))
    if troubles and not await client.healthy():
        return ReplicaState(client.url, healthy=False, error=troubles[-1])
    return ReplicaState(client.url, True, ready, "; ".join(troubles) or None)


def choose(states: Sequence[ReplicaState], model: str) -> list[str]:
    """The URLs of the servers that can answer with `model` now, in the order given."""
    return [
        state.url
        for state in states
        if state.healthy and (model == BASE or model in state.adapters)
    ]


class BadProbe(Exception):
    """One line: an adapter that loaded, but does not answer with sane log-probabilities."""


async def _unload_unwanted(client: VllmClient, desired: Sequence[AdapterFile]) -> set[str]:
    """The names of ours that stay loaded."""
    paths = {adapter.name: str(adapter.path) for adapter in desired}
    kept: set[str] = set()
    for name, root in (await client.models()).items():
        if not NAME.fullmatch(name):
            continue
        # Loaded from elsewhere (the data directory moved): vLLM reads those files again some day,
        # and dies when they are gone.
        if paths.get(name) == root:
            kept.add(name)
        else:
            await client.unload_adapter(name)
    return kept


async def _make_ready(client: VllmClient, adapter: AdapterFile, served: set[str]) -> Ready:
    began = time.monotonic()
    loads = adapter.name not in served
    if loads:
        await client.load_adapter(adapter.name, adapter.path, adapter.sha256)
    try:
        await _probe(client, adapter.name)
    except BadProbe:
        await client.unload_adapter(adapter.name)
        raise
    load_s = time.monotonic() - began if loads else 0.0
    return Ready(round(load_s, 3), datetime.now(UTC).isoformat())


async def _probe(client: VllmClient, name: str) -> None:
    """One token: vLLM reads and applies an adapter only when it is first asked."""
    try:
        answer = await client.complete(PROBE, model=name, max_tokens=1)
    except ValueError as error:
        raise BadProbe(f"{client.url}: {name} answers with something that is not JSON") from error
    if not answer.logprobs or not all(math.isfinite(each) for each in answer.logprobs):
        raise BadProbe(f"{client.url}: {name} answers without sane log-probabilities")
