"""What is compared, and what each row depends on."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.prompt import Note, build
from deploy.bench.learning import factory, measuring, schooling, trl_sft
from deploy.bench.learning.lessons import Lessons, general, kl_prompts
from serving.base import BaseSpec
from training.recipe import Recipe

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class System:
    """A trainer or none, with memory or without. Untrained ones are the same for every seed."""

    name: str
    trainer: str | None = None
    memory: bool = False


SYSTEMS = (
    System("base"),
    System("base+memory", memory=True),
    System("trl-sft", "trl-sft"),
    System("llamafactory-sft", "llamafactory-sft"),
    System("llamafactory-sft+memory", "llamafactory-sft", memory=True),
    System("llamafactory-dpo", "llamafactory-dpo"),
    System("mynah", "mynah"),
    System("mynah+memory", "mynah", memory=True),
)
NAMES = [system.name for system in SYSTEMS]
MEMORY = (
    "bot/answering.py", "bot/embedder.py", "bot/grounding.py", "bot/memory.py", "bot/ranking.py",
    "bot/recognising.py",
)  # fmt: skip
MYNAH = (
    "training/contrast.py", "training/curriculum.py", "training/learner.py", "training/logits.py",
    "training/replay.py", "training/sft.py", "training/tokens.py", "training/train.py",
    "training/variation.py",
)  # fmt: skip


def trained(trainer: str, lessons: Lessons, base: BaseSpec, budget_s: float, seed: int) -> str:
    """Changes with anything that the adapter depends on."""
    return _digest(taught(trainer, lessons, base), budget_s, seed, schooling.MARGIN)


def taught(trainer: str, lessons: Lessons, base: BaseSpec) -> str:
    """Changes with the recipe and with what it is taught, but not with how long or which seed."""
    return _digest(trainer, lessons.taught, base.sha256, build("?"), _recipe(trainer))


def measured(system: System, lessons: Lessons, base: BaseSpec, budget_s: float, seed: int) -> str:
    """Changes with anything that the row depends on."""
    adapter = system.trainer and trained(system.trainer, lessons, base, budget_s, seed)
    note = system.memory and [build("?", note=Note("?", "!")), _sources(MEMORY)]
    return _digest(
        adapter, base.sha256, lessons.digest(), build("?"), note, measuring.VERSION,
        general(), kl_prompts(), _sources(["training/judge.py"]),
    )  # fmt: skip


def _recipe(trainer: str) -> Any:
    if trainer == "trl-sft":
        return trl_sft.SETTINGS
    if trainer == "llamafactory-sft":
        return [dict(factory.SFT), factory.PINS]
    if trainer == "llamafactory-dpo":
        return [dict(factory.SFT), dict(factory.DPO), factory.PINS, schooling.REJECTED_TOKENS]
    prompts = (ROOT / "training" / "prompts" / "replay.jsonl").read_text("utf-8")
    return [Recipe().model_dump(), _sources(MYNAH), prompts]


def _sources(paths: Iterable[str]) -> list[str]:
    """The code without its comments and layout, which change nothing."""
    return [ast.dump(ast.parse((ROOT / path).read_text("utf-8"))) for path in paths]


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
