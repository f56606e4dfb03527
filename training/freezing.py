"""The first step of a cycle: what is learned from, and by which recipes."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import Session, col, select

from bot import deciding
from bot.store import rollouts
from bot.store.database import reading, transaction
from bot.store.runs import update_run
from bot.store.schema import Adapter, Dataset, Run, RunStatus, Trial
from training import candidates, dataset, ending, influence, threads
from training.dataset import TooLittle
from training.held import Held
from training.recipe import Recipe, named
from training.rows import Row


class NothingNew(TooLittle):
    """The same examples were learned before, by the same recipes, from the same base model."""


def freeze(held: Held) -> Dataset:
    """Choose, split and freeze the examples, and say what will be tried on them.

    Raises:
        TooLittle: there is too little to learn from, or nothing new.
    """
    run = held.run()
    if run.dataset_id is not None:
        return held.get(Dataset, run.dataset_id)
    held.say("choosing examples", 0.0)
    wished = _wished(held, run)
    frozen = None
    while frozen is None:  # an example was taken back just now: it must not be learned
        frozen = _freeze(held, wished)
    return frozen


def _freeze(held: Held, wished: Sequence[Recipe]) -> Dataset | None:
    with reading(held.engine) as session:
        live = dataset.learnable(session, held.team_id)
        places = threads.of_team(session, held.team_id)
    most = held.settings.most_share
    chosen, left_out = influence.balanced(live, most)
    refused = {influence.reason(most): left_out} if left_out else {}
    embedder = held.parts.embedder()
    vectors = dataset.embeddings(chosen, embedder.name, embedder.embed)
    rows = dataset.split(chosen, vectors, wished[0].seed, places)
    # What takes long comes before the transaction, which keeps all others from writing. The file is
    # written in it: before, it might hold for good what is taken back just now.
    unfit = [candidates.left_out(recipe, rows) for recipe in wished]
    base_sha256 = held.spec().sha256
    with transaction(held.engine) as session:
        if not _still_live(session, held.team_id, rows):
            return None
        directory = held.data_dir / "datasets"
        frozen = dataset.freeze(session, held.team_id, rows, directory, refused)
        learned = _learned(session, held, frozen, wished, base_sha256)
        session.add_all(_trials(session, held, learned, wished, unfit))
        update_run(session, held.run_id, held.fence, dataset_id=frozen.id)
        return frozen


def _wished(held: Held, run: Run) -> list[Recipe]:
    return [Recipe.model_validate(run.recipe)] if run.recipe else named(held.settings.recipe)


def _still_live(session: Session, team_id: str, rows: Sequence[Row]) -> bool:
    live = dataset.learnable_ids(session, team_id)
    return all(row.example_id in live for row in rows)


def _trials(
    session: Session,
    held: Held,
    learned: Run | None,
    wished: Sequence[Recipe],
    unfit: Sequence[str | None],
) -> list[Trial]:
    """What the run tries, and what it leaves out.

    What passed while Mynah was paused, or a canary was out, is not trained again, but measured
    again, against what is live by now. What had its own trial waits for an admin.
    """
    if learned is None:
        return _new_trials(held, wished, unfit)
    if learned.status is not RunStatus.PROVEN:
        raise NothingNew(f"nothing new since run {learned.id}, which ended as {learned.status}")
    one = deciding.waiting(session, held.team_id)
    had_its_trial = one is not None and rollouts.answered(session, one.release)
    if held.settings.release == "auto" and not had_its_trial:
        return [_again(held, learned, one) for one in _of_run(session, learned)]
    name = f"v{one.release.number}" if one else "its candidate"
    raise NothingNew(f"nothing new since run {learned.id}: {name} waits for an admin")


def _new_trials(held: Held, wished: Sequence[Recipe], unfit: Sequence[str | None]) -> list[Trial]:
    """`unfit`: why the examples do not allow a recipe, None where they do."""
    if all(unfit):
        told = [f"{one.name}: {no}" for one, no in zip(wished, unfit, strict=True)]
        raise TooLittle("; ".join(told))
    return [_trial(held, one, left_out=no) for one, no in zip(wished, unfit, strict=True)]


def _learned(
    session: Session, held: Held, frozen: Dataset, wished: Sequence[Recipe], base_sha256: str
) -> Run | None:
    """The newest run that looked at the same examples in all these ways."""
    rows = (
        select(Run)
        .where(Run.team_id == held.team_id, Run.dataset_id == frozen.id, Run.id != held.run_id)
        .where(col(Run.status).in_(ending.TRAINED))
        .order_by(col(Run.id).desc())
    )
    missed: list[Recipe] = []  # what failed, or there was no time for, is tried once more
    for run in session.exec(rows):
        trials = [
            (one.try_again, Recipe.model_validate(one.recipe)) for one in _of_run(session, run)
        ]
        known = [recipe for again, recipe in trials if not again or recipe in missed]
        missed += [recipe for again, recipe in trials if again]
        on_base = session.get_one(Adapter, run.adapter_id).base_sha256 == base_sha256
        if on_base and all(recipe in known for recipe in wished):
            return run
    return None


def _of_run(session: Session, run: Run) -> list[Trial]:
    rows = select(Trial).where(Trial.run_id == run.id).order_by(col(Trial.id))
    return list(session.exec(rows))


def _again(held: Held, learned: Run, one: Trial) -> Trial:
    recipe = Recipe.model_validate(one.recipe)
    if one.adapter_id == learned.adapter_id:
        return _trial(held, recipe, adapter_id=one.adapter_id)
    return _trial(held, recipe, left_out=one.left_out or f"run {learned.id} measured it")


def _trial(
    held: Held, recipe: Recipe, *, adapter_id: int | None = None, left_out: str | None = None
) -> Trial:
    return Trial(
        team_id=held.team_id, run_id=held.run_id, name=recipe.name,
        recipe=recipe.model_dump(mode="json"), adapter_id=adapter_id, left_out=left_out,
    )  # fmt: skip
