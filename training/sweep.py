"""Hyper-parameters tried one after the other on known facts, measured with torch alone.

A point is one recipe on one seed. What was measured is kept in the report, so that a sweep that is
started again goes on where it was; a point that was being trained goes on from its checkpoint.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.embedder import LexicalEmbedder
from training.contrast import apart, contrasts
from training.recipe import Recipe
from training.replay import CONTRASTS, REPLAY_TOKENS, Reply, load_prompts
from training.rows import Row, write
from training.saying import Say

if TYPE_CHECKING:
    from training.learner import Learner

FORGETTING_TOKENS = 32
Right = Callable[[str], bool]


@dataclass(frozen=True)
class Unseen:
    """A wording that is never trained, and who can tell a right answer to it."""

    question: str
    answer: str
    right: Right


@dataclass(frozen=True)
class Ground:
    """What every point is trained on and measured by."""

    rows: Sequence[Row]
    unseen: Sequence[Unseen]
    near: Sequence[str]  # questions that no fact answers
    base_model: str
    work_dir: Path


def points(
    base: Recipe, grid: Mapping[str, Sequence[Any]], seeds: Sequence[int], draw: int | None
) -> list[Recipe]:
    """Every combination of the grid on every seed; `draw`: only so many combinations, by lot.

    Raises:
        pydantic.ValidationError: no recipe has such a field, or such a value.
    """
    combinations = [
        dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())
    ]
    if draw is not None and draw < len(combinations):
        combinations = random.Random(0).sample(combinations, draw)  # noqa: S311
    return [
        Recipe.model_validate(base.model_dump() | chosen | {"seed": seed})
        for chosen in combinations
        for seed in seeds
    ]


def sweep(
    ground: Ground, recipes: Sequence[Recipe], report: Path, say: Say
) -> list[dict[str, Any]]:
    """Measure what the report does not hold yet, and return all of its points, oldest first."""
    known = _read(report)
    for recipe in recipes:
        key = _key(ground, recipe)
        if key not in known:
            known[key] = _measure(ground, recipe, ground.work_dir / key, say)
            _write(report, known)  # after each: a sweep takes hours
            shutil.rmtree(ground.work_dir / key)
    return list(known.values())


def _measure(ground: Ground, recipe: Recipe, work_dir: Path, say: Say) -> dict[str, Any]:
    from training.train import TrainJob, train

    dataset = work_dir / "rows.jsonl"
    dataset.parent.mkdir(parents=True, exist_ok=True)
    write(ground.rows, dataset)
    replay = _replay(ground)
    job = TrainJob(dataset, ground.base_model, recipe, replay, work_dir)
    began = time.monotonic()
    adapter = train(job, say)
    took = time.monotonic() - began
    return {"recipe": recipe.model_dump(mode="json"), "train_s": round(took, 1)} | _figures(
        ground, recipe, adapter, say
    )


def _figures(ground: Ground, recipe: Recipe, adapter: Path, say: Say) -> dict[str, Any]:
    """Right answers and log-probability on the unseen wordings, KL, and leak."""
    from training.compare import Comparison
    from training.learner import Learner
    from training.sampling import says

    pairs = [(one.question, one.answer) for one in ground.unseen]
    seen = Comparison(ground.base_model, {"new": adapter}, recipe)
    gain = seen.logprob("new", pairs) - seen.logprob("base", pairs)
    replies = _base_says(ground, load_prompts("forgetting"), FORGETTING_TOKENS)
    kl = seen.kl("new", replies, lambda share: say("measuring forgetting", share))
    del seen  # two models at once are more than a small machine has room for
    learner = Learner.load(ground.base_model, recipe, adapter)
    asked = [*(one.question for one in ground.unseen), *ground.near]
    say("asking", 0.0)
    said = says(learner, asked, max_tokens=recipe.own_tokens)
    answers, others = said[: len(pairs)], said[len(pairs) :]
    return {
        "right": sum(one.right(text) for one, text in zip(ground.unseen, answers, strict=True)),
        "of": len(pairs),
        "gain": round(gain, 4),
        "kl": round(kl, 4),
        "leak": sum(any(one.right(text) for one in ground.unseen) for text in others),
        "near": len(ground.near),
    }


def _replay(ground: Ground) -> list[Reply]:
    """As `training.replay.replay`, with the base's answers from torch."""
    tested = load_prompts("forgetting") + load_prompts("leak") + list(ground.near)
    everyday, embed = load_prompts(), LexicalEmbedder().embed
    asked, tempting = (
        apart(contrasts(ground.rows, everyday, CONTRASTS, seed), tested, embed) for seed in (0, 1)
    )
    prompts = everyday + [contrast.question for contrast in asked]
    said = _base_says(ground, prompts, REPLAY_TOKENS)
    return said + [Reply(contrast.question, contrast.answer) for contrast in tempting]


def _base_says(ground: Ground, prompts: Sequence[str], max_tokens: int) -> list[Reply]:
    """The base's own answers, asked once for all points."""
    asked = json.dumps([ground.base_model, list(prompts), max_tokens])
    digest = hashlib.sha256(asked.encode()).hexdigest()[:16]
    kept = ground.work_dir / f"base-{digest}.json"
    if not kept.exists():
        from training.learner import Learner

        learner = Learner.load(ground.base_model, Recipe())  # fresh, it does nothing yet
        _write(kept, list(_ended(learner, prompts, max_tokens)))
    return [Reply(*one) for one in json.loads(kept.read_text("utf-8"))]


def _ended(
    learner: Learner, prompts: Sequence[str], max_tokens: int
) -> Iterator[tuple[str, str, bool]]:
    from training.sampling import continued, ids

    given = continued(learner, ids(learner, prompts), greedy=True, max_tokens=max_tokens)
    for prompt, tokens in zip(prompts, given, strict=True):
        text = learner.tokenizer.decode(tokens, skip_special_tokens=True).strip()
        yield prompt, text, len(tokens) < max_tokens


def _key(ground: Ground, recipe: Recipe) -> str:
    facts = [recipe.model_dump_json(), ground.base_model, *ground.near]
    facts += [row.model_dump_json() for row in ground.rows]
    facts += [f"{one.question}\0{one.answer}" for one in ground.unseen]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def _read(report: Path) -> dict[str, dict[str, Any]]:
    return json.loads(report.read_text("utf-8")) if report.exists() else {}


def _write(path: Path, found: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    beside.replace(path)
