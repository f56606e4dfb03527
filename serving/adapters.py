"""LoRA adapters as files: check them against the base model, and publish them under their hash.

vLLM accepts a NaN adapter without a word, and after one request to it every other adapter and the
base answer with empty strings; wrong module names are ignored in silence. So every adapter is
checked here before it is published, and again inside the server before it is loaded.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize

from serving.base import BaseSpec, base_spec

if TYPE_CHECKING:  # the guard, inside vLLM, asks nobody
    from serving.probes import Probe

__all__ = [
    "MAX_RANK", "NAME", "AdapterFile", "BadAdapter", "BaseSpec", "base_spec", "fingerprint",
    "publish", "tensors", "trained_on", "validate",
]  # fmt: skip

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
NAME = re.compile(r"mynah-[0-9a-f]{12}")
# What publishing writes as the base: its logical name, and the first 12 of its sha256.
TRAINED_ON = re.compile(r"[^/].*@(?P<sha256>[0-9a-f]{12})")
MAX_RANK = 64
# Trained LoRA weights lie below 1; what is far above has diverged and overflows in bf16 products.
MAX_ABS = 100.0
# PEFT's wrapper, the module of the base model, which half, and nothing behind it.
KEY = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<half>[AB])\.weight")
# What PEFT can write and vLLM ignores or rejects; each must be absent, null, false or empty.
UNSUPPORTED = (
    "use_dora", "modules_to_save", "lora_bias", "rank_pattern", "alpha_pattern", "use_qalora",
    "use_bdlora", "layer_replication", "alora_invocation_tokens", "trainable_token_indices",
    "target_parameters", "fan_in_fan_out", "use_rslora",
)  # fmt: skip
# Initialisations that leave the base's own weights as they are; PiSSA, OLoRA and others do not.
PLAIN_INITS = (True, False, None, "gaussian", "eva", "orthogonal")


class BadAdapter(Exception):
    """One line: which adapter, and what is wrong with it."""


@dataclass(frozen=True)
class AdapterFile:
    """A checked adapter on disk: `name` is mynah-<first 12 of sha256>, which is `fingerprint`'s.

    `probe` is what tells that it is this one that answers, where that was measured.
    """

    name: str
    sha256: str
    path: Path
    rank: int
    probe: Probe | None = None


def validate(
    directory: Path, base: BaseSpec, *, max_rank: int = MAX_RANK, sha256: str | None = None
) -> AdapterFile:
    """Check everything that can be known without a model.

    Args:
        directory: holds adapter_config.json and adapter_model.safetensors.
        base: what the adapter is to be added to.
        max_rank: what the server was started with.
        sha256: what it must hash to. A directory with an adapter's name says so, too.

    Raises:
        BadAdapter: one line that names the directory, the tensor and the trouble.
    """
    try:
        return _validate(directory, base, max_rank, sha256)
    except BadAdapter as error:
        raise BadAdapter(f"{directory.name}: {error}") from error.__cause__
    except OSError as error:
        what = Path(error.filename).name if error.filename else directory.name
        raise BadAdapter(f"{directory.name}: cannot read {what}: {error.strerror}") from error


def publish(staging: Path, adapters_dir: Path, base: BaseSpec) -> AdapterFile:
    """Copy what serving needs from `staging` to `adapters_dir`/mynah-<hash>; return the copy.

    Only the weights and a cleaned config are published: the base's logical name and fingerprint
    instead of a path on this machine, no pickles, no reference copy, no tokenizer. The directory
    appears by a rename and is never changed; publishing the same again returns what is there.

    Raises:
        BadAdapter: as `validate`, before anything is written.
    """
    found = validate(staging, base)
    target = adapters_dir / found.name
    if not target.exists():
        adapters_dir.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{found.name}-", dir=adapters_dir))
        try:
            _fill(beside, staging, base)
            _rename(beside, target)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    else:
        os.utime(target)  # wanted again: whoever removes what is old leaves it
    return validate(target, base, sha256=found.sha256)


def trained_on(directory: Path) -> str:
    """The first 12 digits of the fingerprint of the base that a published adapter was trained on.

    Raises:
        BadAdapter: it says nothing of that.
    """
    found = TRAINED_ON.fullmatch(str(_read_config(directory).get("base_model_name_or_path")))
    if found is None:
        raise BadAdapter(f"{directory.name}: it does not say what base it was trained on")
    return found["sha256"]


def fingerprint(content: bytes, config: Mapping[str, Any], base: BaseSpec) -> str:
    """What names an adapter: the SHA-256 of its config, as published for `base`, and its weights.

    Raises:
        BadAdapter: it was published for another base model.
    """
    cleaned = json.dumps(_clean(config, base), sort_keys=True)
    return hashlib.sha256(cleaned.encode() + b"\n" + content).hexdigest()


def _validate(directory: Path, base: BaseSpec, max_rank: int, sha256: str | None) -> AdapterFile:
    config = _read_config(directory)
    rank = _check_config(config, max_rank)
    content = (directory / WEIGHTS).read_bytes()
    digest = fingerprint(content, config, base)
    name = f"mynah-{digest[:12]}"
    if sha256 is not None and digest != sha256:
        raise BadAdapter(f"it hashes to {digest[:12]}…, expected {sha256[:12]}…")
    if NAME.fullmatch(directory.name) and directory.name != name:
        raise BadAdapter(f"it hashes to {digest[:12]}…, which is not what its name says")
    _check_tensors(content, base, rank)
    return AdapterFile(name, digest, directory, rank)


def _read_config(directory: Path) -> dict[str, Any]:
    try:
        config = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadAdapter(f"{CONFIG} is not JSON") from error
    if not isinstance(config, dict):
        raise BadAdapter(f"{CONFIG} is not an object")
    return config


def _clean(config: Mapping[str, Any], base: BaseSpec) -> dict[str, Any]:
    """The config as it is published; cleaned again, it is the same."""
    trained_on = str(config.get("base_model_name_or_path"))
    published = TRAINED_ON.fullmatch(trained_on)
    ours = f"{base.model}@{base.sha256[:12]}"
    if published and published["sha256"] != base.sha256[:12]:
        raise BadAdapter(f"it was trained on another base model: {trained_on}, this is {ours}")
    modules = config.get("target_modules")
    return {
        **config,
        # A model that was moved since keeps the name that was hashed.
        "base_model_name_or_path": trained_on if published else ours,
        "inference_mode": True,
        # PEFT writes a set, in any order.
        "target_modules": sorted(modules, key=str) if isinstance(modules, list) else modules,
    }


def _check_config(config: Mapping[str, Any], max_rank: int) -> int:
    if config.get("peft_type") != "LORA":
        raise BadAdapter(f"peft_type is {config.get('peft_type')!r}, not 'LORA'")
    for key in UNSUPPORTED:
        if config.get(key):
            raise BadAdapter(f"{key} is set, which cannot be served")
    if config.get("bias", "none") != "none":
        raise BadAdapter(f"bias is {config['bias']!r}, which cannot be served")
    if config.get("init_lora_weights") not in PLAIN_INITS:
        raise BadAdapter(
            f"init_lora_weights {config['init_lora_weights']!r} changes the base model"
        )
    rank = config.get("r")
    if not isinstance(rank, int) or isinstance(rank, bool) or not 1 <= rank <= max_rank:
        raise BadAdapter(f"rank is {rank!r}, must be 1 to {max_rank}")
    alpha = config.get("lora_alpha")
    if not isinstance(alpha, int | float) or isinstance(alpha, bool) or not 0 < alpha <= 64 * rank:
        raise BadAdapter(f"lora_alpha is {alpha!r}")
    return rank


def _check_tensors(content: bytes, base: BaseSpec, rank: int) -> None:
    halves: dict[str, set[str]] = {}
    for key, values in tensors(content):
        match = KEY.fullmatch(key)
        if match is None:
            raise BadAdapter(f"unexpected tensor {key}")
        module, half = match["module"], match["half"]
        _check_shape(key, values.shape, base.shapes.get(module), rank, half)
        _check_values(key, values)
        halves.setdefault(module, set()).add(half)
    lonely = sorted(module for module, found in halves.items() if len(found) < 2)
    if lonely:
        raise BadAdapter(f"{lonely[0]} has lora_{'/'.join(halves[lonely[0]])} alone")
    if not halves:
        raise BadAdapter(f"{WEIGHTS} holds no tensors")


def _check_shape(
    key: str, shape: tuple[int, ...], linear: tuple[int, ...] | None, rank: int, half: str
) -> None:
    if linear is None:
        raise BadAdapter(f"{key}: the base model has no such linear layer")
    wanted = (rank, linear[1]) if half == "A" else (linear[0], rank)
    if shape != wanted:
        raise BadAdapter(f"{key} has shape {shape}, must be {wanted}")


def _check_values(key: str, values: NDArray[np.float32]) -> None:
    if not np.isfinite(values).all():
        raise BadAdapter(f"{key} holds NaN or infinite values")
    largest = float(np.abs(values).max(initial=0.0))
    if largest > MAX_ABS:
        raise BadAdapter(f"{key} holds values up to {largest:.3g}, more than {MAX_ABS:g}")


def tensors(content: bytes) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Each tensor of a safetensors file as float32.

    numpy knows no bfloat16, whose bits are float32's upper half.

    Raises:
        BadAdapter: it is no safetensors file, or holds another type.
    """
    try:
        entries = deserialize(content)  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise BadAdapter(f"{WEIGHTS} is broken: {error}") from error
    for key, entry in entries:
        yield key, _as_float32(key, entry["dtype"], entry["data"]).reshape(entry["shape"])


def _as_float32(key: str, dtype: str, content: bytes) -> NDArray[np.float32]:
    if dtype == "F32":
        return np.frombuffer(content, "<f4")
    if dtype == "F16":
        return np.frombuffer(content, "<f2").astype(np.float32)
    if dtype == "BF16":
        return (np.frombuffer(content, "<u2").astype(np.uint32) << 16).view(np.float32)
    raise BadAdapter(f"{key} is of type {dtype}, must be F32, F16 or BF16")


def _fill(beside: Path, staging: Path, base: BaseSpec) -> None:
    config = _clean(_read_config(staging), base)
    (beside / CONFIG).write_text(
        json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8"
    )
    shutil.copyfile(staging / WEIGHTS, beside / WEIGHTS)
    for file in (beside / CONFIG, beside / WEIGHTS):
        file.chmod(0o644)  # PEFT writes 0600; a server under another uid must read it
        _flush(file)
    beside.chmod(0o755)


def _rename(beside: Path, target: Path) -> None:
    try:
        beside.rename(target)
    except OSError:
        # Another process published the same weights first.
        if not target.exists():
            raise
    _flush(target.parent)


def _flush(path: Path) -> None:
    """A power cut must not leave a published name with empty files behind it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
