"""One run at a time: claim it, start its trainer, hold its lease, and see how it ended."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Sequence

from sqlalchemy import Engine, update
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, col

from bot.store.database import transaction
from bot.store.run_view import id_of
from bot.store.runs import LostRun, claim_run, hand_back_run, renew_run
from bot.store.schema import Run, RunStatus
from serving import resting
from serving.settings import name_of
from training import curve, ending
from training.child import AGAIN, LOST, MAX_ATTEMPTS, ON, Trainer
from training.settings import WorkerSettings

log = logging.getLogger("mynah.runner")


class Runner:
    """The worker's hands: at most one trainer process."""

    def __init__(
        self,
        settings: WorkerSettings,
        engine: Engine,
        owner: str,
        lease_s: float,
        command: Sequence[str],
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._owner = owner
        self._lease_s = lease_s
        self._command = command
        self._following: asyncio.Task[None] | None = None
        self._stopping = False
        self.trainer: Trainer | None = None

    async def look(self) -> None:
        """Start the trainer of the next run, if none is running."""
        if self._stopping or (self._following is not None and not self._following.done()):
            return
        run = await asyncio.to_thread(self._claim)
        if run is not None:
            self._following = asyncio.create_task(self._follow(run))

    async def stop(self) -> None:
        """Stop the trainer; its run stays as it is, for another worker to go on with."""
        self._stopping = True
        if self.trainer is not None:
            await self.trainer.stop()
        if self._following is not None:
            await self._following

    def _claim(self) -> Run | None:
        with transaction(self._engine) as session:
            run = claim_run(session, self._owner, self._lease_s)
            if run is None or run.attempts <= MAX_ATTEMPTS:
                return run
            why = f"the trainer did not come to an end in {MAX_ATTEMPTS} attempts"
            self._end(session, run, why)
            return None

    async def _follow(self, run: Run) -> None:
        number = id_of(run)
        try:
            status, last_words = await self._play(run, number)
            log.info("run %s: the trainer ended with %s", number, status)
            await asyncio.to_thread(self._settle, run, status, last_words)
        except LostRun:
            log.warning("run %s was taken over by another worker", number)
        except DBAPIError as error:
            # The lease runs out, and the run is taken up again when the database is back.
            log.warning("run %s: the database cannot be used: %s", number, error.orig)
        finally:
            if self.trainer is not None:
                await self.trainer.stop()
            self.trainer = None

    async def _play(self, run: Run, number: int) -> tuple[int, str]:
        """Let the trainer play the run; return its exit status and its last words."""
        file = self._settings.data_dir.resolve() / "logs" / f"run-{number}.log"
        command = [*self._command, str(number), str(run.fence)]
        while True:
            try:
                self.trainer = await Trainer.start(command, self._settings, file)
            except OSError as error:  # a full disk, say
                return 1, f"the trainer cannot be started: {error.strerror or error}"
            log.info("run %s: attempt %s, process %s", number, run.attempts, self.trainer.pid)
            if self._stopping:  # meanwhile the worker was told to stop
                await self.trainer.stop()
            status = await self._watch(self.trainer, number, run.fence)
            if status != ON or self._stopping:
                return status, self.trainer.last_words()

    async def _watch(self, trainer: Trainer, run_id: int, fence: int) -> int:
        held_until = time.monotonic() + self._lease_s
        while (status := await trainer.ended(self._lease_s / 3)) is None:
            asked = time.monotonic()
            await self._end_late_rest(trainer, run_id)
            try:
                await asyncio.to_thread(self._renew, run_id, fence)
                held_until = asked + self._lease_s
            except DBAPIError as error:
                if time.monotonic() >= held_until:
                    raise
                # The lease still runs for a while: try again at the next turn.
                log.warning("run %s: cannot renew its lease: %s", run_id, error.orig)
        return status

    async def _end_late_rest(self, trainer: Trainer, run_id: int) -> None:
        """It ends itself when its maintenance window is over, unless it hangs."""
        rest = resting.asked(self._settings.data_dir) if self._settings.train_alone else None
        if rest is not None and rest.is_late:
            log.warning("run %s: the trainer did not end with its maintenance window", run_id)
            await trainer.stop()

    def _renew(self, run_id: int, fence: int) -> None:
        with transaction(self._engine) as session:
            renew_run(session, run_id, fence, self._lease_s)

    def _settle(self, claimed: Run, status: int, last_words: str) -> None:
        """Act on how the trainer ended; what it has finished itself stays as it is."""
        with transaction(self._engine) as session:
            run = session.get_one(Run, claimed.id)
            if status in (0, LOST) or (run.status, run.fence) != (RunStatus.RUNNING, claimed.fence):
                return
            if status > 0 and status != AGAIN and not self._stopping:
                self._end(session, run, last_words)
            elif run.attempts >= MAX_ATTEMPTS and not self._stopping:
                self._end(session, run, _killed(status, run.attempts, last_words))
            else:
                self._hand_back(session, run)

    def _hand_back(self, session: Session, run: Run) -> None:
        hand_back_run(session, id_of(run), run.fence)
        if self._stopping:  # an orderly restart says nothing against the run
            fewer = update(Run).where(col(Run.id) == run.id).values(attempts=Run.attempts - 1)
            session.execute(fewer)

    def _end(self, session: Session, run: Run, why: str) -> None:
        channel = name_of(run.team_id, self._settings.admin_channel)
        work_dir = self._settings.data_dir.resolve() / "runs" / str(run.id)
        run.curve = run.curve or curve.of_run(work_dir).model_dump(mode="json")
        ending.end(session, run, run.fence, RunStatus.FAILED, [why], admin_channel=channel)


def _killed(status: int, attempts: int, last_words: str) -> str:
    if status == AGAIN:
        return f"the database went away {attempts} times: {last_words}"
    name = signal.Signals(-status).name
    hint = ", perhaps because memory ran out" if -status == signal.SIGKILL else ""
    return f"the trainer was killed {attempts} times (by {name}{hint})"
