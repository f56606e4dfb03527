"""What is stored of one run, read together: its report and its picture are made of nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from sqlmodel import Session, col, select

from bot.store import rollouts
from bot.store.run_view import Tried, candidate, evaluation, id_of, share, tried
from bot.store.schema import Adapter, Dataset, EvaluationQuestion, Release, Run, RunStatus, Trial
from training.asked import Asked
from training.curve import Curve


class Made(BaseModel):
    """The adapter that a run measured."""

    model_config = ConfigDict(frozen=True)

    name: str
    sha256: str
    base_model: str
    base_sha256: str
    at: datetime


class RunReport(BaseModel):
    """One run; None or empty for what it has not come to, or what was not measured."""

    model_config = ConfigDict(frozen=True)

    id: int
    status: RunStatus
    phase: str = ""
    progress: float = 0.0  # of this phase, 0 to 1
    reasons: Sequence[str] = ()
    attempts: int = 0
    queued_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    recipe: Mapping[str, Any] = {}
    number: int | None = None  # of the release of its adapter
    share: float | None = None  # of new threads, while that release is a canary
    only_tried: bool = False  # it was a canary, and never answered all
    counts: Mapping[str, Any] | None = None  # of the dataset
    dataset: str = ""  # its content hash
    adapter: Made | None = None
    curve: Curve = Curve()
    verdict: Literal["pass", "fail", "unclear"] | None = None
    why: Sequence[str] = ()  # the gate's reasons
    figures: Mapping[str, Any] = {}  # `training.evaluate.Figures`
    measured_at: datetime | None = None
    asked: Sequence[Asked] = ()
    tried: Sequence[Tried] = ()  # its recipes
    trained_s: float | None = None  # how long all of them trained together


def read(session: Session, run: Run) -> RunReport:
    """The run with everything that it left."""
    release = candidate(session, run)
    frozen = session.get_one(Dataset, run.dataset_id) if run.dataset_id else None
    adapter = session.get_one(Adapter, run.adapter_id) if run.adapter_id else None
    return RunReport(
        id=id_of(run), status=run.status, phase=run.phase, progress=run.progress,
        reasons=run.reasons, attempts=run.attempts, queued_at=run.queued_at,
        started_at=run.started_at, finished_at=run.finished_at, recipe=run.recipe,
        number=release.number if release else None, share=share(session, release),
        only_tried=release is not None and _only_tried(session, release),
        counts=frozen.counts if frozen else None,
        dataset=frozen.content_hash if frozen else "", adapter=_made(adapter) if adapter else None,
        curve=Curve.model_validate(run.curve), tried=_tried(session, run),
        trained_s=_trained_s(session, run), **_measured(session, run),
    )  # fmt: skip


def _only_tried(session: Session, release: Release) -> bool:
    return rollouts.answered(session, release) and not rollouts.was_live(session, release)


def _tried(session: Session, run: Run) -> list[Tried]:
    """A page is made before the run is over, but when all are measured the best one is its own."""
    found = tried(session, run)
    chosen = run.recipe.get("name") if all(one.verdict or one.left_out for one in found) else ""
    return [replace(one, best=bool(one.verdict) and one.name == chosen) for one in found]


def _trained_s(session: Session, run: Run) -> float | None:
    """None where nothing was, or where it was not counted yet."""
    rows = select(Trial.train_s).where(Trial.run_id == run.id)
    return sum(session.exec(rows)) or None


def _made(adapter: Adapter) -> Made:
    return Made(
        name=adapter.name, sha256=adapter.sha256, base_model=adapter.base_model,
        base_sha256=adapter.base_sha256, at=adapter.created_at,
    )  # fmt: skip


def _measured(session: Session, run: Run) -> dict[str, Any]:
    found = evaluation(session, run)
    if found is None:
        return {}
    rows = select(EvaluationQuestion).where(EvaluationQuestion.evaluation_id == found.id)
    return {
        "verdict": found.verdict,
        "why": found.reasons,
        "figures": found.figures,
        "measured_at": found.created_at,
        "asked": [_asked(row) for row in session.exec(rows.order_by(col(EvaluationQuestion.id)))],
    }


def _asked(row: EvaluationQuestion) -> Asked:
    return Asked.model_validate(row.model_dump(include=set(Asked.model_fields)))
