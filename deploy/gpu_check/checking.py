"""The whole check, from the base model to the last adapter's leave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deploy.base_model import small_base_model
from deploy.bench.releases import adapters
from deploy.gpu_check.apart import apart
from deploy.gpu_check.machine import peak
from deploy.gpu_check.served import Served
from deploy.gpu_check.steps import Steps, Told
from serving.adapters import AdapterFile, validate
from serving.base import base_spec, locate
from serving.command import MAX_LORAS
from serving.probes import restored

SHAPES = {
    # As Llama 3.1 8B and Llama 3.2 1B, with the small base model's vocabulary.
    "full": {
        "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8,
    },
    "small": {
        "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
        "num_attention_heads": 32, "num_key_value_heads": 8,
    },
}  # fmt: skip
STEPS_ON_GPU, STEPS_ON_CPU = 40, 6
LOUD = 0.06  # the spread of a made adapter's weights: what it says of an answer is far from others


@dataclass(frozen=True)
class Wanted:
    """What is to be checked: `base` is a path or Hugging Face id; None: random weights of a
    `size`, or on the CPU the small base model. `name` is the GPU's."""

    home: Path
    base: str | None
    size: str
    gpu: bool
    name: str

    @property
    def run(self) -> Path:
        """Where all is kept but the base model."""
        return self.home.resolve() / "run"


async def checked(wanted: Wanted, say: Callable[[str], None]) -> Steps:
    """Take every step; one thing at a time is on the GPU."""
    steps = Steps(say)

    async def bring(told: Told) -> Path:
        return await _base(wanted, told)

    base = await steps.take("a base model", bring)
    if base is None:
        return steps

    async def learn(told: Told) -> AdapterFile:
        return await _learned(wanted, base, told)

    trained = await steps.take("a short training", learn)

    async def expect(told: Told) -> list[AdapterFile]:
        made = await asyncio.to_thread(_made, wanted, base)
        return await _probed(wanted, base, [*made, *([trained] if trained else [])])

    known = await steps.take("torch says what to expect", expect)
    if known is not None:
        own = known[MAX_LORAS] if trained else None
        await Served(wanted.run, base, known[:MAX_LORAS], own).run(steps)
    return steps


async def _base(wanted: Wanted, told: Told) -> Path:
    if wanted.base is not None:
        base = await asyncio.to_thread(locate, wanted.base)
    elif not wanted.gpu:
        base = await asyncio.to_thread(small_base_model)
    else:
        base = wanted.home.resolve() / f"base-{wanted.size}"
        log, shape = wanted.run / "base.log", SHAPES[wanted.size]
        await apart("make_base", log, gpu=True, directory=str(base), shape=shape)
    weights = base_spec(base).shapes.values()
    told["base"] = base.name
    told["linear_weights"] = sum(outputs * inputs for outputs, inputs in weights)
    return base


async def _learned(wanted: Wanted, base: Path, told: Told) -> AdapterFile:
    found: dict[str, Any] = await apart(
        "learn", wanted.run / "training.log", gpu=wanted.gpu, base=str(base),
        home=str(wanted.run / "training"), adapters_dir=str(wanted.run / "adapters"),
        steps=STEPS_ON_GPU if wanted.gpu else STEPS_ON_CPU,
    )  # fmt: skip
    directory = wanted.run / "adapters" / found.pop("adapter")
    told.update(found)
    told["share_of_matmul"] = round(found["tflops"] / found["matmul_tflops"], 3)
    if best := peak(wanted.name):
        told["share_of_peak"] = round(found["tflops"] / best, 3)
    return validate(directory, base_spec(base))


def _made(wanted: Wanted, base: Path) -> list[AdapterFile]:
    place, seeds = wanted.run / "adapters", range(1, MAX_LORAS + 1)
    return [adapters.make(base, place, seed, spread=LOUD) for seed in seeds]


async def _probed(wanted: Wanted, base: Path, known: Sequence[AdapterFile]) -> list[AdapterFile]:
    probes = await apart(
        "probe", wanted.run / "probes.log", gpu=wanted.gpu, base=str(base),
        adapters=[str(one.path) for one in known],
    )  # fmt: skip
    return [replace(one, probe=restored(p)) for one, p in zip(known, probes, strict=True)]
