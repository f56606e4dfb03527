"""Adapters of random weights, each with a voice of its own: which one speaks is heard at once."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from serving.adapters import CONFIG, WEIGHTS, AdapterFile, publish
from serving.base import base_spec

RANK = 8
SPREAD = 0.02  # of the weights: as large as a short training leaves them


def make(base_model: Path, adapters_dir: Path, seed: int, *, spread: float = SPREAD) -> AdapterFile:
    """Publish the adapter of this seed for a base model."""
    base = base_spec(base_model)
    dice = np.random.default_rng(seed)
    weights = {
        f"base_model.model.{module}.lora_{half}.weight": dice.normal(0, spread, shape).astype("f4")
        for module, (outputs, inputs) in sorted(base.shapes.items())
        for half, shape in (("A", (RANK, inputs)), ("B", (outputs, RANK)))
    }
    with tempfile.TemporaryDirectory(prefix="mynah-bench-") as name:
        staging = Path(name)
        save_file(weights, staging / WEIGHTS)
        (staging / CONFIG).write_text(json.dumps(_config(sorted(base.shapes))))
        return publish(staging, adapters_dir, base)


def _config(modules: list[str]) -> dict[str, object]:
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": RANK,
        "lora_alpha": 2 * RANK,
        "target_modules": sorted({module.rpartition(".")[2] for module in modules}),
        "bias": "none",
        "init_lora_weights": True,
    }
