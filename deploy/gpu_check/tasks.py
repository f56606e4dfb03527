"""What needs torch: a model of random weights, a short training, what torch says of adapters."""

from __future__ import annotations

import resource
import shutil
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from deploy import helpdesk
from deploy.base_model import small_base_model
from deploy.gpu_check.flops import work
from serving.adapters import publish
from serving.base import base_spec
from training.curriculum import plan
from training.learner import Learner
from training.logits import pack
from training.probing import expect
from training.recipe import Recipe
from training.replay import Reply, load_prompts
from training.rows import Row, write
from training.sft import item
from training.soundness import read_curve
from training.tokens import Encoded, Encoder
from training.train import TrainJob, train

WARM = 2  # steps that are not counted: memory is taken, kernels are chosen
MATRIX = {"cuda": 8192, "cpu": 1024}
REPLAYED = "I do not know that. Please ask the help desk, which knows the house, or say more of it."
GIB = 2**30
RECIPE = Recipe(epochs=1)


def make_base(directory: str, shape: Mapping[str, int]) -> str:
    """Write a Llama of random weights that reads and writes as the small base model does.

    Args:
        shape: of its LlamaConfig.
    """
    target = Path(directory)
    if target.exists():
        return directory
    tokenizer = AutoTokenizer.from_pretrained(small_base_model())
    config = LlamaConfig(
        **shape, vocab_size=len(tokenizer), max_position_embeddings=8192,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    torch.manual_seed(0)
    with torch.device(_device()):
        model = LlamaForCausalLM._from_config(config, dtype=torch.bfloat16)
    staging = target.with_name(f".{target.name}")
    shutil.rmtree(staging, ignore_errors=True)
    model.save_pretrained(staging)
    tokenizer.save_pretrained(staging)
    staging.rename(target)
    return directory


def learn(base: str, home: str, adapters_dir: str, steps: int) -> dict[str, Any]:
    """Train by the usual recipe for so many steps, on the help desk's facts, and publish it.

    Returns:
        `adapter`, its name; figures of the steps after the first few: `tokens_per_s` that a
        gradient goes through, `tflops` of the model's own arithmetic (deploy/gpu_check/flops.py)
        and `matmul_tflops`, what one large product of matrices comes to here; `peak_gib`.
    """
    place, clock = Path(home), Clock()
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    rows = _rows()[: steps * RECIPE.batch_size]
    replay = [Reply(prompt, REPLAYED) for prompt in load_prompts()]
    write(rows, place / "rows.jsonl")
    fast = matmul_tflops()
    job = TrainJob(place / "rows.jsonl", base, RECIPE, replay, place / "work")
    trained = train(job, clock)
    losses = [point.loss for point in read_curve(trained)]
    published = publish(trained, Path(adapters_dir), base_spec(Path(base)))
    return {
        "adapter": published.name,
        **_speed(Path(base), rows, replay, clock.seconds),
        "matmul_tflops": round(fast, 2),
        "peak_gib": round(_peak_bytes() / GIB, 2),
        "loss_first": _rounded(losses[0]),
        "loss_last": _rounded(losses[-1]),
    }


def probe(base: str, adapters: Sequence[str]) -> list[dict[str, Any]]:
    """What torch says of each adapter (a directory), as `training.probing` measures it."""
    return [expect(base, Path(adapter)).stored() for adapter in adapters]


class Clock:
    """Hears how far the training is, and keeps when each step ended."""

    def __init__(self) -> None:
        self._ends: list[float] = []

    def __call__(self, phase: str, share: float) -> None:
        if phase == "training":
            _finished()
            self._ends.append(time.perf_counter())

    @property
    def seconds(self) -> list[float]:
        """Of each step from the second on."""
        return [after - before for before, after in pairwise(self._ends)]


def matmul_tflops() -> float:
    """10^12 FLOP/s of one large product in bfloat16: the best of a few."""
    side = MATRIX[_device()]
    one = torch.randn(side, side, dtype=torch.bfloat16, device=_device())
    took = []
    for _ in range(6):
        began = time.perf_counter()
        one @ one
        _finished()
        took.append(time.perf_counter() - began)
    return 2 * side**3 / min(took) / 1e12


def _speed(
    base: Path, rows: Sequence[Row], replay: Sequence[Reply], seconds: Sequence[float]
) -> dict[str, Any]:
    sizes = _sizes(base, rows, replay)[-len(seconds) :][WARM:]
    took = sum(seconds[WARM:])
    model = work(base, RECIPE)
    done = sum(
        model.learned(*one["lessons"]) + model.learned(*one["replay"]) + model.forward(*one["bare"])
        for one in sizes
    )
    tokens = sum(one["lessons"][0] + one["replay"][0] for one in sizes)
    return {
        "steps": len(sizes),
        "step_s": round(statistics.median(seconds[WARM:]), 3),
        "tokens_per_s": round(tokens / took, 1),
        "tflops": round(done / took / 1e12, 3),
    }


def _sizes(
    base: Path, rows: Sequence[Row], replay: Sequence[Reply]
) -> list[dict[str, tuple[int, int]]]:
    """Of each step's packed sequences, the tokens and how many of them are scored."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    encoder = Encoder(
        tokenizer, max_prompt=RECIPE.max_prompt_tokens, max_answer=RECIPE.max_answer_tokens
    )
    reader = Learner(None, tokenizer, encoder, RECIPE)  # no model: it only reads
    steps = [item(reader, step) for step in plan(rows, replay, RECIPE)]
    return [{name: _size(read) for name, read in step.items()} for step in steps]


def _size(read: Sequence[Mapping[str, list[int]]]) -> tuple[int, int]:
    packed = pack([Encoded(**one) for one in read])
    return packed["input_ids"].shape[1], len(packed["targets"])


def _rows() -> list[Row]:
    facts = [fact for fact in helpdesk.load() if fact.kind == "fact"]
    return [
        Row(
            example_id=number * len(facts) + at, cluster=at, split="train", question=words,
            answer=fact.answer,
        )
        for at, fact in enumerate(facts)
        for number, words in enumerate(fact.wordings)
    ]  # fmt: skip


def _rounded(loss: float | None) -> float | None:
    return None if loss is None else round(loss, 3)


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _finished() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _peak_bytes() -> int:
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_reserved())
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


TASKS: Mapping[str, Callable[..., Any]] = {"make_base": make_base, "learn": learn, "probe": probe}
