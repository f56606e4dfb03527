"""`make gpu-check`: what it refuses, what it counts, and what it reports of each step."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.gpu_check import machine
from deploy.gpu_check.flops import work
from deploy.gpu_check.machine import NotHere
from deploy.gpu_check.steps import Failed, NotTried, Steps, Told, needed
from serving.command import on_cpu
from tests.lora_files import TARGETS, make_base
from training.recipe import Recipe

ROOT = Path(__file__).resolve().parents[2]
CONFIG = {"vocab_size": 32, "hidden_size": 8, "num_attention_heads": 2}


@pytest.mark.skipif(not on_cpu(), reason="vLLM is built for a GPU here")
def test_without_its_vllm_nothing_is_started(tmp_path: Path) -> None:
    """One line that says what is missing, and exit status 2."""
    ended = subprocess.run(
        [sys.executable, "-m", "deploy.gpu_check"], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=120,
    )  # fmt: skip
    said = "gpu-check: vLLM's CPU build is installed, not vllm: pip install '.[serve-gpu]'\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", said)
    assert list(tmp_path.iterdir()) == []


def test_the_gpu_is_asked_of_its_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name, memory and driver; without a driver, or without a GPU, one line."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotHere, match="no NVIDIA GPU: nvidia-smi does not answer"):
        machine.gpu()
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    with pytest.raises(NotHere, match="nvidia-smi names none"):
        machine.gpu()
    tool.write_text("#!/bin/sh\necho 'NVIDIA L4, 23034 MiB, 570.1'\necho 'NVIDIA L4, 1, 1'\n")
    assert machine.gpu() == {"gpu": "NVIDIA L4", "memory": "23034 MiB", "driver": "570.1"}


@pytest.mark.parametrize(
    ("name", "tflops"),
    [
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA L40S", 362),
        ("NVIDIA L4", 121),
        ("NVIDIA GeForce RTX 5090", None),
    ],
)
def test_a_peak_is_of_that_very_gpu(name: str, tflops: int | None) -> None:
    """Never of one whose name only begins like it; of an unknown one there is none."""
    assert machine.peak(name) == tflops


def test_a_lora_on_all_blocks_costs_four_flops_a_weight_and_token(tmp_path: Path) -> None:
    """Two forward and two back; its own weights six; half of the blocks, half of the way back."""
    base = make_base(tmp_path, layers=4)
    (base / "config.json").write_text(json.dumps(CONFIG))
    weights = 4 * len(TARGETS) * 64
    lora = 4 * len(TARGETS) * 16
    whole, upper = (work(base, Recipe(blocks=share, rank=1)) for share in (1, 0.5))
    attention = 4 * 8 * 100**2
    assert whole.forward(100, 0) == 2 * weights * 100 + 2 * attention
    assert whole.learned(100, 0) == (4 * weights + 6 * lora) * 100 + 6 * attention
    assert upper.learned(100, 0) == (3 * weights + 3 * lora) * 100 + 4 * attention
    assert whole.learned(100, 7) - whole.learned(100, 0) == 4 * 32 * 8 * 7  # the head


async def test_a_step_that_fails_keeps_no_other_from_being_tried() -> None:
    """Each has its figures and one line; what needs what failed is not tried, and is no success."""
    said: list[str] = []
    steps = Steps(said.append)

    async def breaks(told: Told) -> int:
        told["seen"] = 3
        raise ExceptionGroup("several", [ValueError("two\nlines"), Failed("another")])

    async def needs(told: Told) -> None:
        needed(got, "there is no server")

    async def works(told: Told) -> None:
        told["load_s"] = 1234.5

    got = await steps.take("one", breaks)
    await steps.take("two", needs)
    await steps.take("three", works)
    report = steps.report({"gpu": "NVIDIA L4"})
    assert [(one["outcome"], one["why"], one["figures"]) for one in report["steps"]] == [
        ("failed", "two lines", {"seen": 3}),
        ("not tried", "there is no server", {}),
        ("passed", "", {"load_s": 1234.5}),
    ]
    assert (report["passed"], report["machine"]) == (False, {"gpu": "NVIDIA L4"})
    rows = steps.table().splitlines()
    assert [row.split()[0] for row in rows] == ["BAD", "–", "ok"]
    assert rows[2].endswith("load_s 1,234.5")
    assert json.loads(json.dumps(report)) == report


async def test_all_has_to_be_tried_for_a_success() -> None:
    """What was not tried is not known to work."""
    steps = Steps(lambda _: None)

    async def works(told: Told) -> None:
        return

    async def waits(told: Told) -> None:
        raise NotTried("nothing to try it with")

    await steps.take("one", works)
    assert steps.passed
    await steps.take("two", waits)
    assert not steps.passed


@pytest.mark.slow
def test_the_formula_counts_what_torch_counts(tmp_path: Path) -> None:
    """Within a tenth, by torch's own counter, on a small Llama that learns a batch."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from deploy.gpu_check.tasks import make_base as make_llama
    from training.learner import Learner

    shape = {
        "hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 8,
        "num_attention_heads": 4, "num_key_value_heads": 2,
    }  # fmt: skip
    base = make_llama(str(tmp_path / "llama"), shape)
    recipe = Recipe(rank=8)
    learner = Learner.load(base, recipe)
    exchanges = [learner.encoder.encode(f"Which port has {n}?", f"Port {n}.") for n in range(4)]
    batch = learner.batch(exchanges)
    with FlopCounterMode(display=False) as counter, torch.autocast("cpu", torch.bfloat16):
        logits = learner.head.logits(learner.head.states(batch))
        torch.nn.functional.cross_entropy(logits.float(), batch["targets"]).backward()
    size = batch["input_ids"].shape[1], len(batch["targets"])
    assert work(Path(base), recipe).learned(*size) == pytest.approx(
        counter.get_total_flops(), rel=0.1
    )
