"""What each vLLM server has ready, against what the releases need."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from serving.adapters import NAME, AdapterFile
from serving.client import BASE, ServingError, Unreachable, VllmClient
from serving.probes import BadProbe, prove

log = logging.getLogger("mynah.replicas")
ANSWER_S = 60.0  # for the proof of an adapter: a long queue may stand before it
AGAIN_S = 300.0  # what is ready is asked again for its proof: an evicted one was read from disk
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0  # before what failed is tried again
MayUnload = Callable[[str], Awaitable[bool]]


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


@dataclass(frozen=True)
class _HeldBack:
    """What failed, why, and when it is tried again."""

    why: str
    wait_s: float
    until: float


async def always(name: str) -> bool:
    """May be unloaded."""
    return True


class Keeping:
    """One server, brought into step with the releases time and again.

    Attributes:
        state: what `look` last returned.
        named: the adapters that it said it has when it was last looked at; None: it said nothing.
        counts: how often it loaded, unloaded, found an adapter that failed its proof, and found
            that the server had forgotten what it had: "loads", "unloads", "failed_probes",
            "forgotten".
    """

    def __init__(
        self,
        client: VllmClient,
        before: ReplicaState | None = None,
        *,
        may_unload: MayUnload = always,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.client = client
        self.state = before or ReplicaState(client.url, healthy=False)
        self.named: set[str] | None = None
        self.counts: Counter[str] = Counter()
        self._may_unload = may_unload
        self._clock = clock
        self._held_back: dict[str, _HeldBack] = {}
        self._proved = dict.fromkeys(self.state.adapters, clock())
        self._unloaded: set[str] = set()

    async def look(
        self, desired: Sequence[AdapterFile], trouble: str | None = None
    ) -> ReplicaState:
        """Make the server hold `desired`, most important first; return what it holds then.

        Only names of ours (mynah-…) are unloaded, and those only when `may_unload` says so; streams
        under way on them still finish. A bad adapter is the state's `error`, does not keep the
        others from loading, and is tried again ever more rarely. Never raises for a server that is
        down: the state says so.

        Args:
            trouble: why it is known that the server answers nobody; then it is left alone.
        """
        self.state = await self._looked(desired, trouble)
        return self.state

    async def _looked(self, desired: Sequence[AdapterFile], trouble: str | None) -> ReplicaState:
        self.named = None
        try:
            served = await self._served(desired)
        except ServingError as error:
            return self._down(str(error))
        self.named = {*served, *_names(desired)}
        if trouble is not None:
            # Nothing is proved on it, and no adapter is blamed for what the server does.
            return self._down(f"answers /health, but not questions: {trouble}")
        ready: dict[str, Ready] = {}
        troubles: list[str] = []
        for wanted in desired:
            try:
                ready[wanted.name] = await self._ready(wanted, desired, served)
            except Unreachable as error:
                return self._down(str(error))
            except (ServingError, BadProbe, TimeoutError) as error:
                troubles.append(str(error))
        # Not wanted any more, and still answering who heard of it before.
        ready |= {name: known for name, known in self.state.adapters.items()
                  if name in served and name not in _names(desired)}  # fmt: skip
        if troubles and not await self.client.healthy():
            return self._down(troubles[-1])
        return ReplicaState(self.client.url, True, ready, "; ".join(troubles) or None)

    def _down(self, why: str) -> ReplicaState:
        return ReplicaState(self.client.url, healthy=False, error=why)

    async def _served(self, desired: Sequence[AdapterFile]) -> set[str]:
        """The names of ours that are loaded, once what must go has gone."""
        paths = {wanted.name: str(wanted.path) for wanted in desired}
        kept: set[str] = set()
        for name, root in (await self.client.models()).items():
            if not NAME.fullmatch(name):
                continue
            # Loaded from elsewhere (the data directory moved): vLLM reads those files again some
            # day, and dies when they are gone.
            if paths.get(name, root) == root and (
                name in paths or not await self._may_unload(name)
            ):
                kept.add(name)
            else:
                await self._unload(name)
        if forgotten := set(self.state.adapters) - kept - self._unloaded:
            self.counts["forgotten"] += 1
            log.warning("%s has forgotten %s", self.client.url, ", ".join(sorted(forgotten)))
        self._unloaded.clear()
        return kept

    async def _ready(
        self, wanted: AdapterFile, desired: Sequence[AdapterFile], served: set[str]
    ) -> Ready:
        name = wanted.name
        known = self.state.adapters.get(name) if name in served else None
        if known is not None and self._clock() < self._proved.get(name, 0.0) + AGAIN_S:
            return known
        held = self._held_back.get(name)
        if held is not None and self._clock() < held.until:
            raise BadProbe(held.why)
        try:
            found = await self._make_ready(wanted, desired, loaded=name in served)
        except Unreachable:
            raise
        except (ServingError, BadProbe) as error:
            self._hold_back(name, error)
            raise
        self._held_back.pop(name, None)
        self._proved[name] = self._clock()
        return known or found

    def _hold_back(self, name: str, error: Exception) -> None:
        held = self._held_back.get(name)
        wait_s = min(2 * held.wait_s, LONGEST_WAIT_S) if held else FIRST_WAIT_S
        self._held_back[name] = _HeldBack(str(error), wait_s, self._clock() + wait_s)

    async def _make_ready(
        self, wanted: AdapterFile, desired: Sequence[AdapterFile], *, loaded: bool
    ) -> Ready:
        began = time.monotonic()
        if not loaded:
            await self.client.load_adapter(wanted.name, wanted.path, wanted.sha256)
            self.counts["loads"] += 1
        rivals = {other.name: other.probe for other in desired if other.probe is not None}
        try:
            async with asyncio.timeout(ANSWER_S):
                await prove(self.client, wanted.name, wanted.probe, rivals)
        except TimeoutError:
            line = f"{self.client.url}: {wanted.name} did not answer within {ANSWER_S:.0f} s"
            raise TimeoutError(line) from None
        except Unreachable as error:
            self._hold_back(wanted.name, error)  # it may be what the server died of
            raise
        except (ServingError, BadProbe) as error:
            self.counts["failed_probes"] += 1
            log.warning("%s", error)
            with suppress(ServingError):
                await self._unload(wanted.name)
            raise
        load_s = 0.0 if loaded else time.monotonic() - began
        return Ready(round(load_s, 3), datetime.now(UTC).isoformat())

    async def _unload(self, name: str) -> None:
        await self.client.unload_adapter(name)
        self.counts["unloads"] += 1
        self._unloaded.add(name)


def choose(states: Sequence[ReplicaState], model: str) -> list[str]:
    """The URLs of the servers that can answer with `model` now, in the order given."""
    return [
        state.url
        for state in states
        if state.healthy and (model == BASE or model in state.adapters)
    ]


def _names(files: Iterable[AdapterFile]) -> set[str]:
    return {file.name for file in files}
