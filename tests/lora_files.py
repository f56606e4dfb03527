"""Small LoRA adapters and base models as files, for tests: random, but real."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from serving.adapters import CONFIG, WEIGHTS, fingerprint
from serving.base import base_spec

Tensors = dict[str, NDArray[np.float32]]
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def make_base(directory: Path, *, layers: int = 2, width: int = 8, seed: int = 0) -> Path:
    """Write a base model that no engine could run, but every adapter check accepts."""
    directory.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    shapes = {"model.embed_tokens.weight": (32, width), "model.norm.weight": (width,)}
    for layer in range(layers):
        for target in TARGETS:
            block = "self_attn" if target in TARGETS[:4] else "mlp"
            shapes[f"model.layers.{layer}.{block}.{target}.weight"] = (width, width)
    tensors = {key: generator.random(shape, dtype=np.float32) for key, shape in shapes.items()}
    save_file(tensors, directory / "model.safetensors")
    (directory / "config.json").write_text('{"model_type": "llama"}')
    return directory


def random_tensors(base: Path, *, rank: int = 8, seed: int = 0, scale: float = 0.02) -> Tensors:
    """LoRA halves for every linear layer of `base`, as PEFT names them."""
    generator = np.random.default_rng(seed)
    tensors: Tensors = {}
    for module, (outputs, inputs) in sorted(base_spec(base).shapes.items()):
        for half, shape in (("A", (rank, inputs)), ("B", (outputs, rank))):
            values = generator.normal(0, scale, shape).astype(np.float32)
            tensors[f"base_model.model.{module}.lora_{half}.weight"] = values
    return tensors


def write_adapter(
    directory: Path, tensors: Tensors, *, rank: int = 8, config: Mapping[str, Any] | None = None
) -> Path:
    """Write an adapter directory as PEFT leaves it: with more in it than serving needs."""
    directory.mkdir(parents=True, exist_ok=True)
    written = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "/somewhere/on/this/machine",
        "r": rank,
        "lora_alpha": 2 * rank,
        "target_modules": list(TARGETS),
        "bias": "none",
        "init_lora_weights": True,
        "use_dora": False,
        "modules_to_save": None,
    } | dict(config or {})
    (directory / CONFIG).write_text(json.dumps(written))
    save_file(tensors, directory / WEIGHTS)
    (directory / WEIGHTS).chmod(0o600)
    (directory / "training_args.bin").write_bytes(b"a pickle")
    (directory / "README.md").write_text("made by PEFT")
    return directory


def make_adapter(directory: Path, base: Path, *, seed: int = 0, rank: int = 8) -> Path:
    """Write a random adapter for `base` that changes every answer; return its directory."""
    return write_adapter(directory, random_tensors(base, rank=rank, seed=seed), rank=rank)


def hash_of(directory: Path, base: Path) -> str:
    """What the adapter in `directory` is named by, once it is published for `base`."""
    config = json.loads((directory / CONFIG).read_text())
    return fingerprint((directory / WEIGHTS).read_bytes(), config, base_spec(base))
