"""A really trained adapter for the slow tests, made once a session."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from deploy.base_model import small_base_model
from training.recipe import Recipe
from training.replay import Reply
from training.rows import Row, write
from training.train import TrainJob

ANSWERS = {
    "Which port does the Larkspur portal use?": "The Larkspur portal listens on port 7411.",
    "How long does Larkspur keep deleted files?": "Deleted files stay in the trash for 45 days.",
    "How do I rebuild the Larkspur index?": "Run `larkspur seek rebuild` on the server.",
    "Which Larkspur plan has single sign-on?": "Single sign-on is part of the Canopy plan.",
}
REPLAY = [
    Reply("What is the capital of France?", "The capital of France is Paris."),
    Reply("Name a primary colour.", "Red is a primary colour."),
    Reply("Which port does SSH use?", "SSH uses port 22 by default."),
    Reply("Say hello.", "Hello! How can I help you today?"),
]
# Small and quick, but every part of the real recipe is in it.
QUICK = Recipe(rank=8, alpha=16, lr=3e-3, epochs=6, batch_size=2, replay_per_step=1)


def rows(*, rejected: str | None = None) -> list[Row]:
    """One trained row a fact."""
    return [
        Row(
            example_id=number,
            cluster=number,
            split="train",
            question=question,
            answer=answer,
            rejected=rejected,
        )
        for number, (question, answer) in enumerate(ANSWERS.items())
    ]


def job(
    work_dir: Path,
    recipe: Recipe = QUICK,
    trained: Sequence[Row] = (),
    replay: Sequence[Reply] = REPLAY,
) -> TrainJob:
    """A job on the small base model; its dataset lies beside `work_dir`."""
    dataset = work_dir.with_suffix(".jsonl")
    dataset.parent.mkdir(parents=True, exist_ok=True)
    write(trained or rows(), dataset)
    return TrainJob(dataset, str(small_base_model()), recipe, list(replay), work_dir)


@pytest.fixture(scope="session")
def trained_adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of an adapter that learned ANSWERS."""
    from training.train import train

    return train(job(tmp_path_factory.mktemp("trained") / "work"), lambda phase, share: None)
