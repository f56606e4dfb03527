"""One run from the examples to the release. Killed at any moment, it goes on where it stopped.

Each step leaves its result in the database under the run's fence, and a step whose result is there
is not done again. The process does nothing else, so store calls are made without threads.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, col, select

from bot import deciding, releases, run_message, run_words
from bot.abstaining import Abstaining
from bot.embedder import BadEmbedder, Embedder, open_embedder
from bot.run_card import LOADING
from bot.store import pins
from bot.store.database import open_engine, reading, transaction
from bot.store.runs import LostRun, update_run
from bot.store.schema import (
    Adapter,
    AnswerMode,
    Dataset,
    Evaluation,
    EvaluationQuestion,
    Run,
    RunStatus,
)
from bot.store.teams import lock_team
from serving.adapters import AdapterFile, BadAdapter, publish
from serving.base import BaseSpec, NoBaseModel, base_spec, locate
from serving.client import BASE, ServingError, VllmClient
from serving.settings import name_of
from serving.settings import read as read_settings
from training import curve, dataset, ending, influence, reporting, slices, soundness, threads
from training.asked import Asked, Measured
from training.child import AGAIN, LOST, settle_in
from training.dataset import TooLittle
from training.exam import Pinned
from training.failures import TrainingFailed
from training.recipe import Recipe, named
from training.replay import Reply
from training.rows import Row, of_split, read
from training.servers import NoServer, Servers
from training.settings import WorkerSettings
from training.soundness import Unsound
from training.telling import News, somebody_waits

if TYPE_CHECKING:
    from training.train import Say, TrainJob

T = TypeVar("T")
PATIENCE_S = 600.0  # for a server: a restarted vLLM takes a minute or more
TELL_S = 1.0  # progress is written at most so often
PAUSED = (
    "Mynah is paused: after `/mynah resume` an admin may promote it, or the next run (`/mynah "
    "train`) measures it again, unless more was taught by then, and lets it go live if it passes"
)
EXPECTED = (TrainingFailed, BadAdapter, NoBaseModel, BadEmbedder, ServingError, NoServer)


class NothingNew(TooLittle):
    """The same examples were learned before, by the same recipe, from the same base model."""


class Verdict(Protocol):
    """What the gate says of an evaluation."""

    @property
    def passed(self) -> bool: ...
    @property
    def enough(self) -> bool: ...
    @property
    def reasons(self) -> Sequence[str]: ...


class Evaluate(Protocol):
    """How a candidate is measured against the live model and the base."""

    async def __call__(
        self,
        client: VllmClient,
        *,
        base_model: str,
        candidate: AdapterFile,
        live: str,
        rows: Sequence[Row],
        recipe: Recipe,
        say: Say,
        pins: Sequence[Pinned],
        cache: Path,
        withheld_below: float,
    ) -> Measured: ...


@dataclass(frozen=True)
class Parts:
    """What a cycle works with, wired at the edge."""

    settings: WorkerSettings
    engine: Engine
    base: Callable[[], Path]
    embedder: Callable[[], Embedder]
    # The rows are the trained ones; the path is a file to keep the answers in.
    replay: Callable[[VllmClient, Sequence[Row], Path], Awaitable[list[Reply]]]
    train: Callable[[TrainJob, Say], Path]
    evaluate: Evaluate
    decide: Callable[[Any], Verdict]  # of what `evaluate` returned
    patience_s: float = PATIENCE_S


async def run(run_id: int, fence: int, parts: Parts) -> RunStatus:
    """Bring the run to its end and return what it ended as.

    Raises:
        LostRun: another worker has taken the run over; nothing more was written.
    """
    cycle = _Cycle(run_id, fence, parts)
    try:
        frozen = cycle.freeze()
        adapter = await cycle.train(frozen)
        await cycle.load(adapter)
        verdict = await cycle.evaluate(frozen, adapter)
        reporting.keep(parts.engine, run_id, fence)
        return cycle.release(adapter, verdict)
    except TooLittle as error:
        return cycle.end(RunStatus.REFUSED, str(error))
    except Unsound as error:
        return cycle.end(RunStatus.FAILED, *error.reasons)
    except EXPECTED as error:
        return cycle.end(RunStatus.FAILED, str(error))


class _Cycle:
    def __init__(self, run_id: int, fence: int, parts: Parts) -> None:
        self.run_id, self.fence, self.parts = run_id, fence, parts
        self.engine = parts.engine
        self.servers = Servers(parts.engine, parts.settings, parts.patience_s)
        self.data_dir = parts.settings.data_dir.resolve()
        self.work_dir = self.data_dir / "runs" / str(run_id)
        self._told = ("", 0.0)
        self._news = News()
        run = self._run()
        self.team_id = run.team_id
        self.recipe = _recipe(run, parts.settings)

    def freeze(self) -> Dataset:
        """Choose, split and freeze the examples."""
        run = self._run()
        if run.dataset_id is not None:
            return self._get(Dataset, run.dataset_id)
        self.say("choosing examples", 0.0)
        while True:
            with reading(self.engine) as session:
                live = dataset.learnable(session, self.team_id)
                places = threads.of_team(session, self.team_id)
            most = self.parts.settings.most_share
            chosen, left_out = influence.balanced(live, most)
            refused = {influence.reason(most): left_out} if left_out else {}
            embedder = self.parts.embedder()
            vectors = dataset.embeddings(chosen, embedder.name, embedder.embed)
            rows = dataset.split(chosen, vectors, self.recipe.seed, places)
            with transaction(self.engine) as session:
                if not _still_live(session, self.team_id, rows):
                    continue  # one was taken back just now: it must not be learned
                directory = self.data_dir / "datasets"
                frozen = dataset.freeze(session, self.team_id, rows, directory, refused)
                recipe = self.recipe.model_dump(mode="json")
                update_run(
                    session, self.run_id, self.fence, dataset_id=frozen.id, recipe=recipe,
                    adapter_id=self._held_back(session, frozen),
                )  # fmt: skip
                return frozen

    async def train(self, frozen: Dataset) -> Adapter:
        """Train and publish the adapter."""
        run = self._run()
        if run.adapter_id is not None:
            return self._get(Adapter, run.adapter_id)
        from training.train import TrainJob

        spec = base_spec(self.parts.base())
        self.say("asking the base model", 0.0)
        cache = self._cache(spec, "replay")
        rows = of_split(read(Path(frozen.path)), "train")
        replay = await self.servers.ask(BASE, lambda client: self.parts.replay(client, rows, cache))
        job = TrainJob(
            dataset=Path(frozen.path),
            base_model=str(self.parts.base()),
            recipe=self.recipe,
            replay=replay,
            work_dir=self.work_dir,
        )
        try:
            staging = self.parts.train(job, self.say)
            soundness.check(staging, self.recipe.epochs)
        except TrainingFailed:
            self._keep_curve()
            raise
        self._keep_curve()
        self.say("publishing the adapter", 0.0)
        published = publish(staging, self.parts.settings.adapters_dir, spec)
        return self._record(published, spec)

    async def load(self, adapter: Adapter) -> None:
        """Make it a candidate, and wait until the worker has it loaded on a server."""
        self.say(LOADING, 0.0)
        with transaction(self.engine) as session:
            update_run(session, self.run_id, self.fence)
            releases.ensure_team(session, self.team_id)
            releases.add_candidate(session, self.team_id, adapter.id or 0, by=f"run {self.run_id}")
        await self.servers.ready(adapter.name)

    async def evaluate(self, frozen: Dataset, adapter: Adapter) -> Evaluation:
        """Measure it against what is live and against the base, and let the gate decide."""
        with reading(self.engine) as session:
            done = session.exec(select(Evaluation).where(Evaluation.run_id == self.run_id)).first()
            live = releases.adapter_of(session, releases.live(session, self.team_id))
            known = slices.of_dataset(session, frozen.id)
            pinned = [Pinned(one.question, one.must) for one in pins.pinned(session, self.team_id)]
        if done is not None:
            return done
        rows = [_sliced(row, known) for row in read(Path(frozen.path))]
        cache = self._cache(base_spec(self.parts.base()), "forgetting")
        limit = Abstaining(self.engine).threshold(self.team_id, AnswerMode.CLOSED_BOOK)
        file = AdapterFile(adapter.name, adapter.sha256, Path(adapter.path), adapter.rank)
        figures = await self.servers.ask(
            adapter.name,
            lambda client: self.parts.evaluate(
                client,
                base_model=str(self.parts.base()),
                candidate=file,
                live=live.name if live else BASE,
                rows=rows,
                recipe=self.recipe,
                say=self.say,
                pins=pinned,
                cache=cache,
                withheld_below=limit,
            ),
        )
        verdict = self.parts.decide(figures)
        found = json.loads(figures.model_dump_json())  # NaN, which PostgreSQL refuses, is null
        evaluation = Evaluation(
            team_id=self.team_id,
            run_id=self.run_id,
            adapter_id=adapter.id or 0,
            figures=found | {"score": run_words.score(found)},
            passed=verdict.passed,
            enough=verdict.enough,
            reasons=list(verdict.reasons),
        )
        with transaction(self.engine) as session:
            update_run(session, self.run_id, self.fence)
            session.add(evaluation)
            session.flush()
            session.add_all(_question(evaluation, one) for one in figures.asked)
        return evaluation

    def release(self, adapter: Adapter, evaluation: Evaluation) -> RunStatus:
        """Let the candidate answer, wait for an admin, or take it away; that and the run's end are
        one write."""
        if not evaluation.passed:
            status = RunStatus.KEPT if evaluation.enough else RunStatus.UNCLEAR
            return self.end(status, *evaluation.reasons)
        try:
            with transaction(self.engine) as session:
                status = self._let_answer(session, adapter, evaluation)
        except releases.ReleaseError as error:
            return self.end(RunStatus.KEPT, str(error))
        self._tidy()
        return status

    def _let_answer(self, session: Session, adapter: Adapter, evaluation: Evaluation) -> RunStatus:
        """Promote what passed, unless an admin has to do it."""
        reasons = list(evaluation.reasons)
        release = releases.add_candidate(session, self.team_id, adapter.id or 0, by="gate")
        paused = lock_team(session, self.team_id).paused  # before what may have changed in it
        if not paused:
            self._refuse_other_live(session, evaluation)
        if paused or self.parts.settings.release == "ask":
            self._end(session, RunStatus.PROVEN, [*reasons, PAUSED] if paused else reasons)
            return RunStatus.PROVEN
        releases.promote(session, release, by="gate", reason="; ".join(reasons))
        self._end(session, RunStatus.RELEASED, reasons)
        return RunStatus.RELEASED

    def end(self, status: RunStatus, *reasons: str) -> RunStatus:
        """End the run without a release."""
        with transaction(self.engine) as session:
            self._end(session, status, reasons)
        if status is not RunStatus.FAILED:  # what failed is kept to be looked at
            self._tidy()
        return status

    def say(self, phase: str, progress: float) -> None:
        """Write down how far the run is. Raises LostRun, which ends the work at once."""
        said, at = self._told
        if phase == said and time.monotonic() - at < TELL_S:
            return
        self._told = (phase, time.monotonic())
        print(f"{phase} {progress:.0%}", flush=True)
        with transaction(self.engine) as session:
            update_run(session, self.run_id, self.fence, phase=phase, progress=progress)
            if self._news.is_due(phase, progress, time.monotonic()):
                self._tell(session, phase, progress)

    def _tell(self, session: Session, phase: str, progress: float) -> None:
        run = session.get_one(Run, self.run_id)
        if not somebody_waits(run):
            return
        run_message.tell(
            session, run, step=f"{self.fence}:{phase}:{progress:.3f}",
            admin_channel=name_of(run.team_id, self.parts.settings.admin_channel),
            left_s=self._news.left_s(progress, time.monotonic()),
        )  # fmt: skip

    def _end(self, session: Session, status: RunStatus, reasons: Sequence[str]) -> None:
        run = session.get_one(Run, self.run_id)
        channel = name_of(run.team_id, self.parts.settings.admin_channel)
        ending.end(session, run, self.fence, status, reasons, admin_channel=channel)

    def _record(self, published: AdapterFile, spec: BaseSpec) -> Adapter:
        with transaction(self.engine) as session:
            known = session.exec(select(Adapter).where(Adapter.name == published.name)).first()
            adapter = known or Adapter(
                team_id=self.team_id,
                name=published.name,
                sha256=published.sha256,
                path=str(published.path),
                base_model=spec.model,
                base_sha256=spec.sha256,
                rank=published.rank,
            )
            if adapter.team_id != self.team_id:
                raise TrainingFailed("another workspace has this very adapter")
            session.add(adapter)
            session.flush()
            update_run(session, self.run_id, self.fence, adapter_id=adapter.id)
        return adapter

    def _keep_curve(self) -> None:
        curve.keep(self.engine, self.run_id, self.fence, self.work_dir)

    def _cache(self, spec: BaseSpec, name: str) -> Path:
        """Where the base model's own answers are kept: they are the same for every run."""
        directory = self.data_dir / "base-answers"
        directory.mkdir(parents=True, exist_ok=True)
        return directory / f"{name}-{spec.sha256[:12]}.jsonl"

    def _held_back(self, session: Session, frozen: Dataset) -> int | None:
        """The adapter of the same examples that passed while Mynah was paused: it is not trained
        again, but measured again, against what is live by now. None when they are new."""
        learned = self._learned(session, frozen)
        if learned is None:
            return None
        if learned.status is not RunStatus.PROVEN:
            raise NothingNew(f"nothing new since run {learned.id}, which ended as {learned.status}")
        if self.parts.settings.release == "auto":
            return learned.adapter_id
        one = deciding.waiting(session, self.team_id)
        name = f"v{one.release.number}" if one else "its candidate"
        raise NothingNew(f"nothing new since run {learned.id}: {name} waits for an admin")

    def _learned(self, session: Session, frozen: Dataset) -> Run | None:
        """The newest run that learned the same examples in the same way."""
        rows = (
            select(Run)
            .where(Run.team_id == self.team_id, Run.dataset_id == frozen.id, Run.id != self.run_id)
            .where(col(Run.status).in_(ending.TRAINED))
            .order_by(col(Run.id).desc())
        )
        spec = base_spec(self.parts.base())
        for run in session.exec(rows):
            base = session.get_one(Adapter, run.adapter_id).base_sha256
            if _recipe(run, self.parts.settings) == self.recipe and base == spec.sha256:
                return run
        return None

    def _refuse_other_live(self, session: Session, evaluation: Evaluation) -> None:
        """What is live may have changed since the evaluation: an admin rolled back meanwhile."""
        live = releases.live(session, self.team_id)
        adapter = releases.adapter_of(session, live)
        if (adapter.name if adapter else BASE) != evaluation.figures["live"]:
            raise releases.ReleaseError(
                f"v{live.number} went live meanwhile, and it was not compared with that"
            )

    def _run(self) -> Run:
        return self._get(Run, self.run_id)

    def _get(self, kind: type[T], key: int) -> T:
        with reading(self.engine) as session:
            return session.get_one(kind, key)

    def _tidy(self) -> None:
        shutil.rmtree(self.work_dir, ignore_errors=True)


def _still_live(session: Session, team_id: str, rows: Sequence[Row]) -> bool:
    live = {example.id for example in dataset.learnable(session, team_id)}
    return all(row.example_id in live for row in rows)


def _sliced(row: Row, known: Mapping[int, Mapping[str, str]]) -> Row:
    return row.model_copy(update={"slices": known.get(row.example_id, {})})


def _question(evaluation: Evaluation, one: Asked) -> EvaluationQuestion:
    return EvaluationQuestion(
        team_id=evaluation.team_id,
        evaluation_id=evaluation.id or 0,
        sort=one.sort,
        example_id=one.example_id,
        cluster=one.cluster,
        question=one.question,
        wanted=one.wanted,
        tokens=one.tokens,
        said=json.loads(one.model_dump_json(include={"said"}))["said"],
        slices=dict(one.slices),
    )


def _recipe(run: Run, settings: WorkerSettings) -> Recipe:
    return Recipe.model_validate(run.recipe) if run.recipe else named(settings.recipe)


def real_parts(settings: WorkerSettings) -> Parts:
    """The parts of a real run. torch comes along here."""
    from training.evaluate import evaluate
    from training.gate import decide
    from training.replay import replay
    from training.train import train

    async def replayed(client: VllmClient, rows: Sequence[Row], cache: Path) -> list[Reply]:
        return await replay(client, rows, open_embedder(settings.embedder).embed, cache)

    return Parts(
        settings=settings,
        engine=open_engine(settings.database_url),
        base=lambda: locate(settings.base_model),
        embedder=lambda: open_embedder(settings.embedder),
        replay=replayed,
        train=train,
        evaluate=partial(evaluate, judging=settings.judging),
        decide=decide,
    )


def main(arguments: Sequence[str], build: Callable[[WorkerSettings], Parts] = real_parts) -> int:
    """`python -m training.cycle RUN FENCE`, as the worker starts it; returns the exit status."""
    settle_in()
    run_id, fence = map(int, arguments)
    try:
        status = asyncio.run(run(run_id, fence, build(read_settings(WorkerSettings))))
    except LostRun as error:
        print(error, flush=True)
        return LOST
    except DBAPIError as error:
        print(error.orig, flush=True)
        return AGAIN
    print(f"run {run_id} ended as {status}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
