"""LLaMA-Factory in an environment of its own: its SFT, and its DPO after half as much SFT.

It wants other versions of nearly everything, so it never meets the project's environment.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bot.prompt import SYSTEM
from training.recipe import Recipe
from training.rows import Row

VERSION = "0.9.5"
PINS = (
    f"llamafactory=={VERSION}",
    "torch==2.13.0+cpu",
    "transformers==5.6.0",
    "trl==0.24.0",
    "peft==0.18.1",
    "accelerate==1.11.0",
    "datasets==4.0.0",
)
READY = "ready.json"
RECIPE = Recipe()
SFT: Mapping[str, Any] = {
    "stage": "sft",
    "do_train": True,
    "finetuning_type": "lora",
    "lora_target": "all",
    "lora_rank": RECIPE.rank,
    "lora_alpha": RECIPE.alpha,
    "template": "smollm2",
    "cutoff_len": 512,
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 1,
    "learning_rate": 1e-3,
    "lr_scheduler_type": "cosine",
    "warmup_ratio": 0.05,
    "bf16": True,
    "flash_attn": "disabled",  # eager, which is the quickest on a CPU
    "disable_gradient_checkpointing": True,
}
# The reference is what the SFT left. The SFT loss beside the preference holds the right answer up:
# without it, DPO on what the base model said has made answers worse. Half the learning rate: the
# facts are not learned by then, as half the budget was half the epochs.
DPO: Mapping[str, Any] = {
    **SFT,
    "stage": "dpo",
    "learning_rate": 5e-4,
    "pref_beta": 0.1,
    "pref_loss": "sigmoid",
    "pref_ftx": 1.0,
}
MOST_EPOCHS = 7


class NoFactory(Exception):
    """LLaMA-Factory cannot be installed; the message says why."""


def home() -> Path:
    """Where its environment is kept between clones and runs."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "mynah" / f"llamafactory-{VERSION}"


def command() -> Path:
    """Its command, installed on first use.

    Raises:
        NoFactory: with the last line of what pip said.
    """
    place = home()
    if not (place / READY).exists():
        try:
            _install(place)
        except (OSError, subprocess.CalledProcessError) as error:
            raise NoFactory(str(error)) from error
    return place / "bin" / "llamafactory-cli"


def _install(place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    venv.create(place, with_pip=True)
    _pip(place, "install", *PINS)
    _without_media(place)
    (place / READY).write_text(json.dumps(PINS))


def write(
    job: Mapping[str, Any],
    rows: Sequence[Row],
    rejected: Mapping[str, str] | None,
    settings: Mapping[str, Any],
    after: Path | None,
) -> Path:
    """Write one stage's data and settings beside each other.

    Args:
        job: seed, steps, base and out, and `work`, the directory to write into.
        rejected: for DPO, the wrong answer to each question.
        after: the adapter to go on from.

    Returns:
        The file of settings.
    """
    work = Path(job["work"])
    work.mkdir(parents=True, exist_ok=True)
    data = [_example(row, rejected) for row in rows]
    (work / "lessons.json").write_text(json.dumps(data), "utf-8")
    (work / "dataset_info.json").write_text(json.dumps({"lessons": _columns(rejected)}))
    stage = {
        **settings,
        "model_name_or_path": job["base"],
        "dataset_dir": str(work),
        "dataset": "lessons",
        "output_dir": str(job["out"]),
        "max_steps": job["steps"],
        "seed": job["seed"],
        "use_cpu": True,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": False,
        "logging_steps": 10,
        "save_strategy": "no",
        "report_to": "none",
    }
    if after is not None:
        stage |= {
            "adapter_name_or_path": str(after),
            "ref_model": job["base"],
            "ref_model_adapters": str(after),
        }
    path = work / "settings.yaml"  # JSON is YAML; its own reader of .json files is broken
    path.write_text(json.dumps(stage, indent=2))
    return path


def _example(row: Row, rejected: Mapping[str, str] | None) -> dict[str, str]:
    asked = {"system": SYSTEM, "instruction": row.question, "input": ""}
    if rejected is None:
        return {**asked, "output": row.answer}
    return {**asked, "chosen": row.answer, "rejected": rejected[row.question]}


def _columns(rejected: Mapping[str, str] | None) -> dict[str, Any]:
    asked = {"prompt": "instruction", "query": "input", "system": "system"}
    if rejected is None:
        return {"file_name": "lessons.json", "columns": {**asked, "response": "output"}}
    pairs = {"chosen": "chosen", "rejected": "rejected"}
    return {"file_name": "lessons.json", "ranking": True, "columns": {**asked, **pairs}}


def _without_media(place: Path) -> None:
    # PyPI's builds for pictures and sound do not load with a torch for CPUs, and break all
    # imports; of the one for sound its name alone is needed.
    _pip(place, "uninstall", "--yes", "torchvision", "torchaudio")
    packages = next((place / "lib").glob("python3*/site-packages"))
    (packages / "torchaudio.py").write_text("")


def _pip(place: Path, *arguments: str) -> None:
    pip = [str(place / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoFactory((done.stderr.strip().splitlines() or ["pip failed"])[-1])
