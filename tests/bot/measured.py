"""Evaluations in tests: what an adapter was asked of what it was trained on, and what it knew."""

from __future__ import annotations

from collections.abc import Iterable

from sqlmodel import Session, select

from bot.store.schema import (
    Adapter,
    Dataset,
    DatasetExample,
    Evaluation,
    EvaluationQuestion,
    Example,
    Run,
    RunTrigger,
)
from tests.stores import TEAM

Marks = Iterable[tuple[str, int, str, bool]]  # sort, cluster, the right answer, and whether it came


def measure(
    session: Session,
    adapter: str,
    trained: Iterable[Example],
    marks: Marks,
    *,
    split: str = "train",
    enough: bool = True,
) -> None:
    """A run that measured the adapter, of a dataset with these examples."""
    one = session.exec(select(Adapter).where(Adapter.name == adapter)).one()
    run = Run(team_id=TEAM, trigger=RunTrigger.COMMAND)
    session.add(run)
    session.flush()
    dataset = Dataset(team_id=TEAM, content_hash=f"measured-{run.id}", path="", counts={})
    session.add(dataset)
    session.flush()
    run.dataset_id = dataset.id
    for example in trained:
        member = DatasetExample(
            dataset_id=dataset.id or 0, example_id=example.id or 0, team_id=TEAM, split=split
        )
        session.add(member)
    evaluation = Evaluation(
        team_id=TEAM, run_id=run.id or 0, adapter_id=one.id or 0, passed=enough, enough=enough
    )
    session.add(evaluation)
    session.flush()
    session.add_all(
        EvaluationQuestion(
            team_id=TEAM, evaluation_id=evaluation.id or 0, sort=sort, cluster=cluster,
            question="?", wanted=wanted, said={"candidate": {"text": "…", "right": right}},
        )
        for sort, cluster, wanted, right in marks
    )  # fmt: skip
    session.flush()
