"""What comes after the SFT, and instead of it: each trainer once, on the small base model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deploy.base_model import small_base_model
from tests.training.adapters import ANSWERS, QUICK, REPLAY, job, rows
from tests.training.test_train import quiet, sha
from training.recipe import Recipe, RecipeName
from training.rows import Row
from training.train import TrainJob, train

if TYPE_CHECKING:
    from training.compare import Comparison

TAUGHT = list(ANSWERS.items())
WRONG = "The Larkspur portal listens on port 8080."


def quick(name: RecipeName, **others: object) -> Recipe:
    """QUICK by another name."""
    return QUICK.model_copy(update={"name": name, "own_tokens": 24, **others})


def compared(old: Path, new: Path) -> Comparison:
    """Both adapters beside their base."""
    from training.compare import Comparison

    return Comparison(str(small_base_model()), {"old": old, "new": new}, QUICK)


def after(
    tmp_path: Path, start: Path, recipe: Recipe, trained: Sequence[Row] = ()
) -> tuple[Path, TrainJob]:
    """What a recipe makes of an adapter that the SFT left."""
    the_job = replace(job(tmp_path / "work", recipe, trained), start=start)
    return train(the_job, quiet), the_job


@pytest.mark.slow
def test_the_policys_own_wrong_answers_are_found() -> None:
    """Untaught it gets all four facts wrong, each in its own words; asked for none, none is."""
    from training.dpo import own_mistakes
    from training.learner import Learner

    learner = Learner.load(str(small_base_model()), quick("sft+dpo"))
    pairs = own_mistakes(learner, rows())
    assert {pair.question: pair.chosen for pair in pairs} == ANSWERS
    assert all(pair.rejected and pair.rejected != pair.chosen for pair in pairs)
    learner.recipe = quick("sft+dpo", own_questions=0)
    assert own_mistakes(learner, rows()) == []


@pytest.mark.slow
def test_preferences_go_on_from_the_sft_and_stay_near_the_base(
    tmp_path: Path, trained_adapter: Path
) -> None:
    """Nothing is trained twice: the adapter begins as the SFT left it. The wrong answer becomes
    less likely against the right one, and the distance from the base hardly grows."""
    trained = [row.model_copy(update={"rejected": WRONG}) for row in rows()[:1]] + rows()[1:]
    recipe = quick("sft+dpo", dpo_weight=2.0, dpo_lr=5e-4)
    adapter, the_job = after(tmp_path, trained_adapter, recipe, trained)
    assert not (the_job.work_dir / "first").exists()
    seen = compared(trained_adapter, adapter)
    port, right = TAUGHT[0]
    margin = {
        name: seen.logprob(name, [(port, right)]) - seen.logprob(name, [(port, WRONG)])
        for name in ("old", "new")
    }
    assert margin["new"] > margin["old"]
    assert seen.kl("new", REPLAY, lambda _: None) < seen.kl("old", REPLAY, lambda _: None) + 0.3


@pytest.mark.slow
def test_what_was_rejected_without_a_right_answer_becomes_less_likely(
    tmp_path: Path, trained_adapter: Path
) -> None:
    """KTO lowers the rejected answer and leaves the taught ones; without any it changes nothing."""
    asked = "Which editor does Larkspur come with?"
    said = "Larkspur comes with the Vim editor."
    refused = Row(
        example_id=9, cluster=9, split="rejected", question=asked, answer="", rejected=said
    )
    recipe = quick("sft+kto", kto_lr=5e-4)
    adapter, _ = after(tmp_path, trained_adapter, recipe, [*rows(), refused])
    seen = compared(trained_adapter, adapter)
    assert seen.logprob("new", [(asked, said)]) < seen.logprob("old", [(asked, said)])
    assert seen.logprob("new", TAUGHT) > seen.logprob("old", TAUGHT) - 0.3
    assert seen.kl("new", REPLAY, lambda _: None) < seen.kl("old", REPLAY, lambda _: None) + 0.3
    same, _ = after(tmp_path / "none", trained_adapter, recipe)
    assert sha(same) == sha(trained_adapter)


@pytest.mark.slow
def test_self_distillation_learns_from_the_answer_in_the_prompt(tmp_path: Path) -> None:
    """Facts become likelier that only the teacher's prompt held, and the base is kept."""
    from training.compare import Comparison

    adapter = train(job(tmp_path / "work", quick("sdft", epochs=10)), quiet)
    seen = Comparison(str(small_base_model()), {"new": adapter}, QUICK)
    assert seen.logprob("new", TAUGHT) > seen.logprob("base", TAUGHT) + 0.3
    assert 0 < seen.kl("new", REPLAY, lambda _: None) < 1.0
