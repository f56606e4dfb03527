"""The third step of a cycle: each candidate is loaded, measured, and gives way to the next."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from sqlmodel import Session, select

from bot import examples, releases, run_words
from bot.abstaining import Abstaining
from bot.run_card import LOADING
from bot.store import pins
from bot.store.database import reading
from bot.store.run_view import candidate
from bot.store.schema import (
    Adapter,
    AnswerMode,
    Dataset,
    Evaluation,
    EvaluationQuestion,
    Release,
    Run,
    Trial,
)
from serving.adapters import AdapterFile
from serving.client import BASE
from training import choice, comparing, curve, ending, slices
from training.asked import Asked, Measured
from training.exam import Pinned
from training.failures import GoOn
from training.held import Held
from training.parts import Verdict
from training.recipe import Recipe
from training.rows import Row, read
from training.servers import Servers


class Measuring:
    """Measures a run's adapters one after the other: a server has room for one candidate."""

    def __init__(self, held: Held, servers: Servers, frozen: Dataset) -> None:
        self.held, self.servers, self.frozen = held, servers, frozen

    async def best(self) -> Evaluation:
        """Measure what is not yet; the best one stays, or is loaded again if it passed.

        Afterwards the run's adapter is the best one's, and none of its other candidates is loaded.
        """
        *others, last = [one for one in self.held.trials() if one.adapter_id is not None]
        newest = self._stored(last)
        if newest is None:
            for trial in others:
                evaluation = self._stored(trial) or await self._measure(trial)
                why = f"run {self.held.run_id} goes on to its next recipe"
                self._unload(trial, evaluation, why)
            newest = await self._measure(last)
        earlier = [one for one in map(self._stored, others) if one]
        best = choice.best([*earlier, newest])
        if best.id != newest.id:
            chosen = next(one for one in others if one.adapter_id == best.adapter_id)
            self._unload(last, newest, f"run {self.held.run_id} chose {chosen.name}")
            await self._take(chosen, loaded=best.passed)
        elif best.passed:
            await self.servers.ready(self.held.get(Adapter, best.adapter_id).name)
        return best

    def live(self) -> str:
        """The name of the adapter that answers now, or "base"."""
        with reading(self.held.engine) as session:
            live = releases.adapter_of(session, releases.live(session, self.held.team_id))
        return live.name if live else BASE

    def lacks_comparison(self, trial: Trial) -> bool:
        """Whether it is to be measured, and was not compared with what is live by now."""
        name = self.held.get(Adapter, trial.adapter_id).name
        return self._stored(trial) is None and not comparing.kept(
            self.held.work_dir, name, self.live()
        )

    async def _measure(self, trial: Trial) -> Evaluation:
        """Measure it against what is live and against the base, and let the gate decide."""
        await self._take(trial, loaded=True)
        adapter = self.held.get(Adapter, trial.adapter_id)
        live = self.live()
        compared = comparing.kept(self.held.work_dir, adapter.name, live)
        if compared is None and self.held.settings.train_alone:
            raise GoOn("what is live has changed, and is compared with anew")
        with reading(self.held.engine) as session:
            known = slices.of_dataset(session, self.frozen.id)
            pinned = [
                Pinned(one.question, one.must) for one in pins.pinned(session, self.held.team_id)
            ]
        rows = [_sliced(row, known) for row in read(Path(self.frozen.path))]
        cache = self.held.cache("forgetting")
        limit = Abstaining(self.held.engine).threshold(self.held.team_id, AnswerMode.CLOSED_BOOK)
        figures = await self.servers.ask(
            adapter.name,
            lambda client: self.held.parts.evaluate(
                client,
                base_model=str(self.held.parts.base()),
                candidate=AdapterFile(
                    adapter.name, adapter.sha256, Path(adapter.path), adapter.rank
                ),
                live=live,
                rows=rows,
                recipe=Recipe.model_validate(trial.recipe),
                say=self.held.say,
                pins=pinned,
                cache=cache,
                withheld_below=limit,
                compared=compared,
            ),
        )
        rivals = [one for one in self.held.trials() if one.adapter_id is not None]
        figures = figures.model_copy(update={"among": len(rivals)})
        return self._store(trial, figures, self.held.parts.decide(figures))

    async def _take(self, trial: Trial, *, loaded: bool) -> None:
        """Let it be the run's adapter; `loaded`: and a candidate that a server has ready."""
        adapter = self.held.get(Adapter, trial.adapter_id)
        if loaded:
            self.held.say(LOADING, 0.0)
        with self.held.writing(adapter_id=adapter.id, recipe=trial.recipe) as session:
            if loaded:
                releases.ensure_team(session, self.held.team_id)
                by = f"run {self.held.run_id}"
                releases.add_candidate(session, self.held.team_id, adapter.id or 0, by=by)
        trained = [self.held.work_dir / name for name in (trial.name, trial.name.split("+")[0])]
        curve.keep(self.held.engine, self.held.run_id, self.held.fence, *trained)
        if loaded:
            await self.servers.ready(adapter.name)

    def _unload(self, trial: Trial, evaluation: Evaluation, why: str) -> None:
        """Make room; why it does not stay is in the release's history."""
        reasons = [] if evaluation.passed else evaluation.reasons
        with self.held.writing() as session:
            release = _release(session, trial)
            if release is not None and not ending.waits(session, release):
                reason = "; ".join([*reasons, why])
                releases.discard(session, release, by="gate", reason=reason)

    def _stored(self, trial: Trial) -> Evaluation | None:
        with reading(self.held.engine) as session:
            rows = select(Evaluation).where(
                Evaluation.run_id == self.held.run_id, Evaluation.adapter_id == trial.adapter_id
            )
            return session.exec(rows).first()

    def _store(self, trial: Trial, figures: Measured, verdict: Verdict) -> Evaluation:
        found = json.loads(figures.model_dump_json())  # NaN, which PostgreSQL refuses, is null
        evaluation = Evaluation(
            team_id=self.held.team_id,
            run_id=self.held.run_id,
            adapter_id=trial.adapter_id or 0,
            figures=found | {"score": run_words.score(found)},
            passed=verdict.passed,
            enough=verdict.enough,
            reasons=list(verdict.reasons),
        )
        with self.held.writing() as session:
            session.add(evaluation)
            session.flush()
            session.add_all(_question(evaluation, one) for one in figures.asked)
            session.flush()
            examples.forget_measured(session, evaluation)
        return evaluation


def _release(session: Session, trial: Trial) -> Release | None:
    return candidate(session, Run(team_id=trial.team_id, adapter_id=trial.adapter_id))


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
