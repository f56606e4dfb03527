"""What is compared, and what each row depends on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bot.prompt import build
from deploy.bench.learning import factory, measuring, schooling, trl_sft
from deploy.bench.learning.lessons import Lessons, general, kl_prompts
from deploy.bench.learning.prints import behind, digest, sources
from serving.base import BaseSpec
from training.recipe import Recipe
from training.replay import load_prompts


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
HERE = "deploy/bench/learning"
MYNAH = (
    "training/contrast.py", "training/curriculum.py", "training/learner.py", "training/logits.py",
    "training/neighbours.py", "training/replay.py", "training/sft.py", "training/tokens.py",
    "training/train.py", "training/variation.py",
)  # fmt: skip


def trained(trainer: str, lessons: Lessons, base: BaseSpec, budget_s: float, seed: int) -> str:
    """Changes with anything that the adapter depends on."""
    return digest(taught(trainer, lessons, base), budget_s, seed, schooling.MARGIN)


def taught(trainer: str, lessons: Lessons, base: BaseSpec) -> str:
    """Changes with the recipe and with what it is taught, but not with how long or which seed."""
    return digest(trainer, lessons.taught, base.sha256, build("?"), _recipe(trainer))


def measured(system: System, lessons: Lessons, base: BaseSpec, budget_s: float, seed: int) -> str:
    """Changes with anything that the row depends on, but for installed packages and hardware."""
    adapter = system.trainer and trained(system.trainer, lessons, base, budget_s, seed)
    return digest(
        adapter, base.sha256, lessons.digest(), general(), kl_prompts(), load_prompts("leak"),
        measuring.VERSION, sources(*code(system)),
    )  # fmt: skip


def code(system: System) -> list[str]:
    """The files that a row's figures come from."""
    house = f"{HERE}/house.py"
    weights = behind(f"{HERE}/measuring.py", without=house)
    return sorted({*weights, *behind(house)}) if system.memory else weights


def spoken(base: BaseSpec) -> str:
    """Changes with anything that an answer depends on, but for its adapter and what was asked."""
    return digest(base.sha256, sources(f"{HERE}/speaking.py"))[:8]


def _recipe(trainer: str) -> Any:
    if trainer == "trl-sft":
        return trl_sft.SETTINGS
    if trainer == "llamafactory-sft":
        return [dict(factory.SFT), factory.PINS]
    if trainer == "llamafactory-dpo":
        return [dict(factory.SFT), dict(factory.DPO), factory.PINS, schooling.REJECTED_TOKENS]
    tested = [load_prompts("forgetting"), load_prompts("leak")]  # what is like them is not replayed
    return [Recipe().model_dump(), sources(*MYNAH), load_prompts(), tested]
