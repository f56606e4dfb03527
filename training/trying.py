"""The second step of a cycle: each recipe that there is time for becomes a published adapter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from sqlmodel import select

from bot.store.schema import Adapter, Dataset, Trial, now
from serving.adapters import AdapterFile, BadAdapter, publish
from serving.client import BASE
from training import candidates, curve, soundness, spent
from training.child import MAX_ATTEMPTS
from training.failures import TrainingFailed
from training.held import Held
from training.recipe import Recipe
from training.replay import Reply
from training.rows import of_split, read
from training.saying import Say
from training.servers import Servers
from training.soundness import Unsound

if TYPE_CHECKING:
    from training.train import TrainJob

MOST_KILLS = 2  # of the trainer while it was at one recipe, where there are others
FIRST = "sft"  # what "sft+…" goes on from


class Trying:
    """Trains a run's recipes one after the other; a recipe that fails leaves the others theirs."""

    def __init__(self, held: Held, servers: Servers, frozen: Dataset) -> None:
        self.held, self.servers, self.frozen = held, servers, frozen
        self._replies: list[Reply] | None = None

    def open(self) -> list[Trial]:
        """What is neither trained nor left out yet."""
        return [one for one in self.held.trials() if one.adapter_id is None and not one.left_out]

    async def ask(self) -> None:
        """Ask a server all that `train` needs of one."""
        if self.open():
            await self._replay()

    async def train(self) -> None:
        """Train and publish what is not yet.

        Raises:
            TrainingFailed, BadAdapter: no recipe came to an adapter; what the first one came to.
        """
        failed: list[TrainingFailed | BadAdapter] = []
        for trial in self.open():
            if why := self._why_not(trial):
                self._leave_out(trial, why)
                continue
            try:
                await self._train(trial)
            except (TrainingFailed, BadAdapter) as error:
                failed.append(error)
                self._leave_out(trial, "; ".join(_reasons(error)))
        if not any(trial.adapter_id for trial in self.held.trials()):
            raise failed[0] if failed else TrainingFailed(self._why_none())

    async def _train(self, trial: Trial) -> None:
        from training.train import TrainJob

        replay = await self._replay()
        recipe = Recipe.model_validate(trial.recipe)
        job = TrainJob(
            dataset=Path(self.frozen.path),
            base_model=str(self.held.parts.base()),
            recipe=recipe,
            replay=replay,
            work_dir=self._work_dir(trial),
            start=self._start(trial),
        )
        clock = spent.Clock(job.work_dir, self.held.run().attempts)
        try:
            staging = self.held.parts.train(job, self._say(trial, clock))
            clock.keep()
            soundness.check(staging, recipe.falls_over)
        except Exception:
            clock.ended()
            raise
        finally:
            self._keep_curve(job)
        self.held.say("publishing the adapter", 0.0)
        published = publish(staging, self.held.settings.adapters_dir, self.held.spec())
        probe = self.held.parts.expect(str(self.held.parts.base()), published.path)
        self._record(trial, replace(published, probe=probe), clock.seconds)

    async def _replay(self) -> list[Reply]:
        if self._replies is None:
            self.held.say("asking the base model", 0.0)
            rows = of_split(read(Path(self.frozen.path)), "train")
            cache = self.held.cache("replay")
            replay = self.held.parts.replay
            self._replies = await self.servers.ask(BASE, lambda client: replay(client, rows, cache))
        return self._replies

    def _keep_curve(self, job: TrainJob) -> None:
        curve.keep(self.held.engine, self.held.run_id, self.held.fence, job.work_dir)

    def _say(self, trial: Trial, clock: spent.Clock) -> Say:
        """Tells which recipe it is, where there are several."""
        prefix = f"{trial.name}: " if len(self.held.trials()) > 1 else ""

        def say(phase: str, share: float) -> None:
            clock.keep()
            self.held.say(prefix + phase, share)

        return say

    def _record(self, trial: Trial, published: AdapterFile, train_s: float) -> None:
        spec = self.held.spec()
        with self.held.writing() as session:
            known = session.exec(select(Adapter).where(Adapter.name == published.name)).first()
            adapter = known or Adapter(
                team_id=self.held.team_id,
                name=published.name,
                sha256=published.sha256,
                path=str(published.path),
                base_model=spec.model,
                base_sha256=spec.sha256,
                rank=published.rank,
            )
            adapter.probe = None if published.probe is None else published.probe.stored()
            if adapter.team_id != self.held.team_id:
                raise TrainingFailed("another workspace has this very adapter")
            session.add(adapter)
            session.flush()
            same = select(Trial).where(
                Trial.run_id == self.held.run_id, Trial.adapter_id == adapter.id
            )
            twin = session.exec(same).first()
            row = session.get_one(Trial, trial.id)
            row.train_s = train_s
            if twin is None:
                row.adapter_id = adapter.id
            else:  # a preference step without a preference, say
                row.left_out = f"it came to the very adapter of {twin.name}"

    def _why_not(self, trial: Trial) -> str | None:
        """Why a recipe is not trained."""
        return self._too_late(trial) or self._nothing_to_go_on_from(trial) or self._deadly(trial)

    def _deadly(self, trial: Trial) -> str | None:
        """A recipe that kills the process (memory ran out, say) takes none of the others along."""
        attempt = self.held.run().attempts
        if attempt >= MAX_ATTEMPTS and self._first() is not None:
            return "the trainer was killed too often: its last attempt measures what there is"
        before = [one for one in spent.so_far(self._work_dir(trial)).attempts if one < attempt]
        others = [one for one in self.held.trials() if one.id != trial.id and not one.left_out]
        if len(before) < MOST_KILLS or not others:
            return None
        return f"the trainer was killed {len(before)} times at it, perhaps because memory ran out"

    def _work_dir(self, trial: Trial) -> Path:
        return self.held.work_dir / trial.name

    def _too_late(self, trial: Trial) -> str | None:
        first = self._first()
        if first is None:
            return None
        recipe = Recipe.model_validate(trial.recipe)
        late = (
            candidates.too_late(recipe, first.train_s, (over - now()).total_seconds(), budget)
            for budget, over in self._budgets()
        )
        return next(filter(None, late), None)

    def _budgets(self) -> Iterator[tuple[str, datetime]]:
        """By when there is to be an end, and what says so. It is counted from the run's first
        start, so what a restart cost counts, too."""
        if minutes := self.held.settings.train_minutes:
            start = self.held.run().started_at or now()
            yield "MYNAH_TRAIN_MINUTES", start + timedelta(minutes=minutes)
        if self.held.rests_until is not None:
            yield "MYNAH_REST_MINUTES", self.held.rests_until

    def _nothing_to_go_on_from(self, trial: Trial) -> str | None:
        if not _goes_on(trial) or self._sft() is not None or not self._of_name(FIRST):
            return None
        return f"{FIRST}, from which it goes on, came to nothing"

    def _start(self, trial: Trial) -> Path | None:
        sft = self._sft() if _goes_on(trial) else None
        return None if sft is None else Path(self.held.get(Adapter, sft.adapter_id).path)

    def _sft(self) -> Trial | None:
        return next((one for one in self._of_name(FIRST) if one.adapter_id is not None), None)

    def _of_name(self, name: str) -> list[Trial]:
        return [one for one in self.held.trials() if one.name == name]

    def _first(self) -> Trial | None:
        """What was trained first: how long it took is what the others are estimated by."""
        return next((one for one in self.held.trials() if one.adapter_id is not None), None)

    def _leave_out(self, trial: Trial, why: str) -> None:
        with self.held.writing() as session:
            row = session.get_one(Trial, trial.id)
            row.left_out, row.try_again = why, True

    def _why_none(self) -> str:
        return "; ".join(f"{one.name}: {one.left_out}" for one in self.held.trials())


def _goes_on(trial: Trial) -> bool:
    return trial.name.startswith(f"{FIRST}+")


def _reasons(error: Exception) -> Sequence[str]:
    return error.reasons if isinstance(error, Unsound) else [str(error)]
