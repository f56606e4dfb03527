"""Keeping every vLLM server in step with the releases, and writing down what each has ready."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, delete
from sqlmodel import Session, col

from bot import releases
from bot.store import fleet
from bot.store.database import reading, transaction
from bot.store.schema import Adapter, Replica, now
from serving import resting
from serving.adapters import AdapterFile
from serving.client import VllmClient
from serving.command import MAX_CPU_LORAS
from serving.probes import restored
from serving.pulse import ANSWER_S, Pulse
from serving.replicas import Keeping, ReplicaState
from training.alarms import Alarms
from training.settings import WorkerSettings

log = logging.getLogger("mynah.fleet")


@dataclass(frozen=True)
class Patience:
    """How long what is waited for."""

    linger: timedelta = timedelta(seconds=60)  # what no release needs stays loaded so long, and …
    longest_linger: timedelta = timedelta(minutes=15)  # … up to this while it may still be named
    answer_s: float = ANSWER_S  # for one word
    alarm_s: float = 5.0  # between two looks for what admins must hear of
    down: timedelta = timedelta(seconds=60)  # of a server, until they do
    missing: timedelta = timedelta(seconds=120)  # of a live adapter, until they do
    back_s: float = 900.0  # after a rest, for a large model that is read from disk


class Fleet:
    """The configured servers. What they should have is asked at each look; they are gone through
    when that changed, when somebody found one not as it should be (`fleet.look_again`), and
    otherwise every `every_s` seconds.

    Args:
        holds: whether this process may still act, in a session of `reading`. Asked before anything
            is unloaded: two workers that both think so take nothing from each other.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        engine: Engine,
        every_s: float,
        *,
        holds: Callable[[Session], bool] = lambda session: True,
        patience: Patience | None = None,
    ) -> None:
        self._patience = patience or Patience()
        self._alarms = Alarms(settings, engine, self._patience.down, self._patience.missing)
        self._engine = engine
        self._every_s = every_s
        self._holds = holds
        self._clients = [
            VllmClient(
                url,
                api_key=settings.vllm_api_key.get_secret_value(),
                control_key=settings.control_key.get_secret_value(),
            )
            for url in settings.vllm_urls
        ]
        self._pulses = {
            client.url: Pulse(client, answer_s=self._patience.answer_s) for client in self._clients
        }
        self._keepings: dict[str, Keeping] = {}
        self._looks: dict[str, asyncio.Task[None]] = {}
        self._wanted: list[AdapterFile] | None = None
        self._wished: datetime | None = None
        self._left: dict[str, datetime] = {}  # since when an adapter is not wanted any more
        self._due = self._alarm_due = 0.0
        self._rests_in = settings.data_dir.resolve() if settings.train_alone else None
        self._excused: dict[str, float] = {}  # until when a server that rests need not be back

    @property
    def resting(self) -> bool:
        """Whether some server rests for a training, or is not back yet."""
        return bool(self._absent())

    @property
    def states(self) -> Mapping[str, ReplicaState]:
        """Each server as it was last seen."""
        return {url: keeping.state for url, keeping in self._keepings.items()}

    @property
    def named(self) -> set[str] | None:
        """Every adapter that some server has; None while one of them does not say."""
        found = [keeping.named for keeping in self._keepings.values()]
        told = [names for names in found if names is not None]
        return set().union(*told) if found and len(told) == len(found) else None

    async def look(self) -> None:
        """Reconcile the servers if it is time, or at once if the releases want something else or
        somebody asked for it."""
        wanted, wished = await asyncio.to_thread(self._read_wanted)
        if self._wanted is None:
            await asyncio.to_thread(self._begin)
        if (wanted, wished) == (self._wanted, self._wished) and time.monotonic() < self._due:
            return
        if wanted != self._wanted:
            self._note_left(wanted)
        self._wanted, self._wished = wanted, wished
        self._due = time.monotonic() + self._every_s
        await self._go_through(wanted)
        if time.monotonic() >= self._alarm_due:
            self._alarm_due = time.monotonic() + self._patience.alarm_s
            await asyncio.to_thread(self._alarms.tell, self._silent(), self._absent())

    async def feel(self) -> None:
        """Ask each server for one word: what answers /health may answer nobody."""
        await asyncio.gather(*(pulse.beat() for pulse in self._pulses.values()))

    async def close(self) -> None:
        """Stop looking, and close the connections."""
        for task in self._looks.values():
            task.cancel()
        await asyncio.gather(*self._looks.values(), return_exceptions=True)
        for client in self._clients:
            await client.aclose()

    def counts(self) -> Iterator[tuple[str, str, float]]:
        """Of each server: its URL, what is counted, and how often it came about so far."""
        for url, keeping in self._keepings.items():
            pulse = self._pulses[url]
            for what in ("loads", "unloads", "failed_probes"):
                yield url, what, keeping.counts[what]
            yield url, "restarts", max(pulse.restarts, keeping.counts["forgotten"])
            yield url, "corrupted", pulse.corrupted

    async def _go_through(self, wanted: Sequence[AdapterFile]) -> None:
        """Look at each server; one that takes long is left to itself, and holds up nobody."""
        for url, keeping in self._keepings.items():
            if url not in self._looks:
                self._looks[url] = asyncio.create_task(self._keep(keeping, wanted))
        await asyncio.wait(self._looks.values(), timeout=self._every_s)
        for url, task in list(self._looks.items()):
            if task.done():
                del self._looks[url]
                task.result()  # raises what is not the server's doing, e.g. a database that is away

    async def _keep(self, keeping: Keeping, wanted: Sequence[AdapterFile]) -> None:
        before = keeping.state
        seen = await keeping.look(wanted, self._pulses[keeping.client.url].trouble)
        state = keeping.state = self._explained(seen)
        if (before.healthy, before.error) != (state.healthy, state.error):
            log.info("%s: %s", state.url, state.error or ("up" if state.healthy else "down"))
        await asyncio.to_thread(self._write, state)

    def _explained(self, state: ReplicaState) -> ReplicaState:
        """A server that is away because a training has its device is in no trouble."""
        rest = resting.asked(self._rests_in) if self._rests_in else None
        if rest is not None and not rest.is_overdue:
            self._excused[state.url] = time.monotonic() + self._patience.back_s
        elif state.healthy:
            self._excused.pop(state.url, None)
        if state.healthy or state.url not in self._absent():
            return state
        why = f"{resting.RESTS}{rest}" if rest else "starts again after a rest"
        return replace(state, error=why)

    def _absent(self) -> set[str]:
        """The servers that rest, or rested and need not be back yet."""
        return {url for url, until in self._excused.items() if time.monotonic() < until}

    def _begin(self) -> None:
        """Go on from what an earlier worker wrote."""
        known = self._read_states()
        for client in self._clients:
            before = known.get(client.url)
            self._keepings[client.url] = Keeping(client, before, may_unload=self._may_unload)

    def _note_left(self, wanted: Sequence[AdapterFile]) -> None:
        names = {adapter.name for adapter in wanted}
        for adapter in self._wanted or ():
            if adapter.name not in names:
                self._left.setdefault(adapter.name, now())
        for name in names & set(self._left):
            del self._left[name]
        if len(names) > MAX_CPU_LORAS:
            log.warning(
                "%d adapters are wanted, and a server keeps %d of them in memory: the others are "
                "read from disk when they are asked",
                len(names), MAX_CPU_LORAS,
            )  # fmt: skip

    async def _may_unload(self, name: str) -> bool:
        """Whether nobody can name the adapter any more."""
        left = self._left.setdefault(name, now())
        if now() - left < self._patience.linger:
            return False
        return await asyncio.to_thread(self._is_free, name, left)

    def _is_free(self, name: str, left: datetime) -> bool:
        with reading(self._engine) as session:
            if not self._holds(session):
                return False
            # Read anew: this process may have slept while another one wished for it.
            if name in {adapter.name for adapter in releases.desired_adapters(session)}:
                return False
            claimed = fleet.oldest_claim(session)
        is_late = now() - left > self._patience.longest_linger
        return claimed is None or claimed > left or is_late

    def _silent(self) -> Mapping[str, str]:
        """The servers that answer /health and nobody else, and how that shows."""
        return {url: pulse.trouble for url, pulse in self._pulses.items() if pulse.trouble}

    def _read_wanted(self) -> tuple[list[AdapterFile], datetime | None]:
        with reading(self._engine) as session:
            files = [_file(adapter) for adapter in releases.desired_adapters(session)]
            return files, fleet.wish(session)

    def _read_states(self) -> dict[str, ReplicaState]:
        """What an earlier worker wrote, less the servers that are not configured any more."""
        urls = [client.url for client in self._clients]
        with transaction(self._engine) as session:
            session.execute(delete(Replica).where(col(Replica.url).not_in(urls)))
            return {state.url: state for state in fleet.states(session)}

    def _write(self, state: ReplicaState) -> None:
        with transaction(self._engine) as session:
            fleet.write(session, state)


def _file(adapter: Adapter) -> AdapterFile:
    probe = restored(adapter.probe)
    return AdapterFile(adapter.name, adapter.sha256, Path(adapter.path), adapter.rank, probe)
