"""The worker: one active by lease; queues what is due, runs the trainer, keeps servers in step,
watches canaries.

APScheduler only ticks. Whatever has to survive a restart is in the database, so another worker can
go on at any moment: the worker's lease, the run's lease and fence, the Replica rows.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger
from sqlalchemy import Engine, func
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, col, select

from bot.store import leases, tallies
from bot.store.database import open_engine, reading, transaction
from bot.store.schema import Run, RunStatus
from serving import http, resting
from serving.base import BaseSpec, base_spec, locate
from training import health, schedule, tidying
from training.canaries import Canaries
from training.fleet import Fleet
from training.rebase import Rebase
from training.runner import Runner
from training.settings import WorkerSettings

Work = Callable[[], Coroutine[Any, Any, None]]
log = logging.getLogger("mynah.worker")
STOP_S = 10.0  # for what is just being looked at; a server that hangs is not waited for
TRAINER = (sys.executable, "-m", "training.cycle")


@dataclass(frozen=True)
class Pace:
    """How often the worker looks, and how soon another one takes over; in seconds."""

    lease_s: float = 15.0  # of the worker, and of the run
    due_s: float = 2.0
    look_s: float = 0.5  # for queued runs, and for new wishes for the servers
    reconcile_s: float = 2.0
    canary_s: float = 5.0
    feel_s: float = 5.0  # for servers that answer /health and nobody else
    tidy_s: float = 3600.0  # for files that nothing wants


async def run(
    settings: WorkerSettings,
    *,
    pace: Pace | None = None,
    trainer: Sequence[str] = TRAINER,
    stop: asyncio.Event | None = None,
) -> None:
    """Work until `stop` is set, or SIGTERM or SIGINT come; the database must be up to date.

    Args:
        trainer: the command to which the run's id and fence are added.

    Raises:
        BadSettings: the health port is taken.
        NoBaseModel: the base model that is set cannot be read.
        BadDatabaseUrl: as `open_engine`.
    """
    stop = stop or _until_told()
    base = await asyncio.to_thread(_base, settings)
    engine = open_engine(settings.database_url)
    worker = Worker(settings, engine, pace or Pace(), trainer, base)
    try:
        app = health.build(worker.ready, worker.figures)
        listener = http.listen(settings.host, settings.port)
        async with http.served(app, listener):
            log.info("health on http://%s:%s", settings.host, listener.getsockname()[1])
            worker.start()
            await stop.wait()
            await worker.stop()
    finally:
        engine.dispose()


class Worker:
    """One worker process: what it ticks, and whether it may act."""

    def __init__(
        self,
        settings: WorkerSettings,
        engine: Engine,
        pace: Pace,
        trainer: Sequence[str],
        base: BaseSpec | None = None,
    ) -> None:
        self.settings = settings
        self.engine = engine
        self.pace = pace
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self.active = False
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        for misfit in resting.misfits(settings.vllm_urls) if settings.train_alone else ():
            log.warning("%s", misfit)
        self.figures = health.Figures(settings.data_dir)
        self.runner = Runner(settings, engine, self.owner, pace.lease_s, trainer)
        self.canaries = Canaries(settings, engine)
        self.fleet = Fleet(
            settings, engine, pace.reconcile_s,
            holds=lambda session: leases.holds(session, leases.WORKER, self.owner),
        )  # fmt: skip
        self._rebase = Rebase(settings, engine, base, self._renew) if base else None
        self._scheduler = AsyncIOScheduler(timezone=UTC)
        self._ticking: set[asyncio.Task[Any]] = set()

    def start(self) -> None:
        """Begin to tick."""
        # A tick that takes long is simply not started twice; that is nothing to warn about.
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        self._every(self.pace.lease_s / 3, self.hold_lease, standing_by=True)
        self._every(self.pace.due_s, self._queue_due)
        self._every(self.pace.look_s, self.runner.look)
        self._every(self.pace.look_s, self.fleet.look)
        self._every(self.pace.canary_s, self.canaries.look)
        self._every(self.pace.feel_s, self.fleet.feel)
        self._every(self.pace.tidy_s, self._tidy)
        self._every(self.pace.due_s, self._count, standing_by=True)
        self._scheduler.start()

    async def stop(self) -> None:
        """Stop ticking, hand the run back for another worker, and give up the lease."""
        self._scheduler.pause()
        if self._ticking:  # cancelled in the middle, a claim would be made and forgotten
            await asyncio.wait(self._ticking, timeout=STOP_S)
        self._scheduler.shutdown(wait=False)
        await self.runner.stop()
        await self.fleet.close()
        if self.active:
            self.active = False
            await asyncio.to_thread(self._release)

    async def hold_lease(self) -> None:
        """Take or renew the lease that lets this worker act."""
        held = False
        try:
            held = await asyncio.to_thread(self._acquire)
            if held and not self.active and self._rebase is not None:
                # Before it acts: a server loads nothing that was trained on another base model.
                held = False
                held = await asyncio.to_thread(self._rebase.settle)
        finally:
            if held != self.active:
                log.info("this worker is %s", "active" if held else "standing by")
            self.active = held

    def ready(self) -> Mapping[str, Any] | None:
        """The facts of `/readyz`; None when the database cannot be asked."""
        try:
            with reading(self.engine) as session:
                session.exec(select(func.count()).select_from(Run)).one()
        except DBAPIError:
            return None
        return {"ready": True, "active": self.active, "owner": self.owner}

    def _every(
        self,
        seconds: float,
        work: Work,
        *,
        standing_by: bool = False,
    ) -> None:
        async def tick() -> None:
            if not (self.active or standing_by):
                return
            task = asyncio.create_task(work())
            self._ticking.add(task)
            task.add_done_callback(self._ticking.discard)
            try:
                await task
            except DBAPIError as error:
                # The database may be back at the next tick; until then the lease says who acts.
                log.warning("the database cannot be used: %s", error.orig)

        # A tick that is late or takes long is left out, not queued.
        self._scheduler.add_job(
            tick,
            IntervalTrigger(seconds=seconds),
            next_run_time=datetime.now(UTC),
            misfire_grace_time=None,
        )

    async def _queue_due(self) -> None:
        for run in await asyncio.to_thread(self._due):
            log.info("run %s queued (%s)", run.id, run.trigger.value)

    async def _tidy(self) -> None:
        named = self.fleet.named
        if named is not None:
            await asyncio.to_thread(tidying.tidy, self.engine, self.settings.adapters_dir, named)

    async def _count(self) -> None:
        self.figures.active.set(self.active)
        runs, verdicts = await asyncio.to_thread(self._numbers)
        for run_status, number in runs.items():
            self.figures.runs.labels(run_status).set(number)
        for verdict, number in verdicts.items():
            self.figures.verdicts.labels(verdict).set(number)
        self.figures.running.set(self.runner.trainer is not None)
        self.figures.resting.set(self.fleet.resting)
        for state in self.fleet.states.values():
            self.figures.healthy.labels(state.url).set(state.healthy)
            self.figures.adapters.labels(state.url).set(len(state.adapters))
        for url, what, count in self.fleet.counts():
            self.figures.counted[what].labels(url).set(count)

    def _acquire(self) -> bool:
        with transaction(self.engine) as session:
            return self._renew(session)

    def _renew(self, session: Session) -> bool:
        return leases.acquire(session, leases.WORKER, self.owner, self.pace.lease_s)

    def _release(self) -> None:
        with transaction(self.engine) as session:
            leases.release(session, leases.WORKER, self.owner)

    def _due(self) -> list[Run]:
        with transaction(self.engine) as session:
            return schedule.queue_due(session, self.settings)

    def _numbers(self) -> tuple[dict[str, int], dict[str, int]]:
        """How many runs there are by status, and evaluations by verdict."""
        by_status = select(Run.status, func.count()).group_by(col(Run.status))
        with reading(self.engine) as session:
            found = dict(session.exec(by_status).all())
            verdicts = tallies.verdicts(session)
        return {status.value: found.get(status, 0) for status in RunStatus}, verdicts


def _base(settings: WorkerSettings) -> BaseSpec | None:
    """What is to be served; None where nothing is named, as in tests."""
    return base_spec(locate(settings.base_model)) if settings.base_model else None


def _until_told() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop
