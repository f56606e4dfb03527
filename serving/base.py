"""The base model as files: where it lies, what its linear layers look like, and its fingerprint."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONFIG = "config.json"
SAMPLE_BYTES = 4096  # of each tensor; any training moves every weight, so the start tells
NOT_LINEAR = ("embed", "norm", "lm_head", "wte", "wpe")  # two-dimensional or not, no LoRA on these


class NoBaseModel(Exception):
    """One line: the base model's name or path, and why it cannot be used."""


@dataclass(frozen=True)
class BaseSpec:
    """What an adapter must fit.

    `model` is a logical name without a path of this machine; `shapes` maps each linear layer
    ("model.layers.0.self_attn.q_proj") to (outputs, inputs). `sha256` is a fingerprint of
    config.json, the safetensors headers and the first 4 KiB of every tensor: it tells two
    fine-tunes of one architecture apart, without reading gigabytes at each start.
    """

    model: str
    sha256: str
    shapes: Mapping[str, tuple[int, ...]]


def locate(model: str) -> Path:
    """Return the directory of a model given as a path or a Hugging Face id, downloading an id.

    Raises:
        NoBaseModel: there is no such directory or repository, or it holds no safetensors.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        return _complete(path.resolve())
    if path.is_absolute() or model.startswith((".", "~")) or model.count("/") != 1:
        raise NoBaseModel(f"MYNAH_BASE_MODEL: there is no directory {model}")
    return _complete(_download(model))


def base_spec(directory: Path) -> BaseSpec:
    """Read a base model's shapes and fingerprint.

    Raises:
        NoBaseModel: the directory is not a Hugging Face model in safetensors.
    """
    _complete(directory)
    digest = hashlib.sha256((directory / CONFIG).read_bytes())
    shapes: dict[str, tuple[int, ...]] = {}
    for file in sorted(directory.glob("*.safetensors")):
        shapes |= _read_shapes(file, digest)
    return BaseSpec(_logical_name(directory), digest.hexdigest(), shapes)


def _complete(directory: Path) -> Path:
    if not (directory / CONFIG).is_file():
        raise NoBaseModel(f"MYNAH_BASE_MODEL: {directory} holds no {CONFIG}")
    if not any(directory.glob("*.safetensors")):
        raise NoBaseModel(f"MYNAH_BASE_MODEL: {directory} holds no *.safetensors")
    return directory


def _download(model: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    wanted = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]
    try:
        return Path(snapshot_download(model, allow_patterns=wanted))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise NoBaseModel(f"MYNAH_BASE_MODEL: cannot get {model}: {reason}") from error


def _logical_name(directory: Path) -> str:
    # The Hugging Face cache: models--ORG--NAME/snapshots/REVISION
    cached = directory.parent.parent.name
    if directory.parent.name == "snapshots" and cached.startswith("models--"):
        return cached.removeprefix("models--").replace("--", "/")
    return directory.name


def _read_shapes(file: Path, digest: hashlib._Hash) -> dict[str, tuple[int, ...]]:
    """The linear layers in one safetensors file, whose header and samples go into `digest`."""
    with file.open("rb") as stream:
        try:
            (length,) = struct.unpack("<Q", stream.read(8))
            raw = stream.read(length)
            header: dict[str, Any] = json.loads(raw)
        except (struct.error, ValueError, OverflowError, MemoryError) as error:
            raise NoBaseModel(f"MYNAH_BASE_MODEL: {file} is not a safetensors file") from error
        digest.update(raw)
        header.pop("__metadata__", None)
        for entry in header.values():
            start, end = entry["data_offsets"]
            stream.seek(8 + length + start)
            digest.update(stream.read(min(SAMPLE_BYTES, end - start)))
    return {
        name.removesuffix(".weight"): tuple(entry["shape"])
        for name, entry in header.items()
        if _is_linear(name, entry["shape"])
    }


def _is_linear(name: str, shape: list[int]) -> bool:
    known_not = any(part in name for part in NOT_LINEAR)
    return name.endswith(".weight") and len(shape) == 2 and not known_not
