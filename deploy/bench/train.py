"""`make bench-train`: a step of Mynah's training beside the same step in a plain PyTorch loop.

Both learn the demo's facts with the same LoRA, dtype, attention, batch and thread, from the tokens
of the answers alone; Mynah's replay, noise and variation are off, as the plain loop has none. They
take turns in one process, so that a busy machine slows both. Writes `reports/train.json`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from transformers import TrainerCallback

from deploy import helpdesk
from deploy.base_model import small_base_model
from deploy.errors import in_one_line
from training.curriculum import Step, plan
from training.learner import Learner
from training.recipe import Recipe
from training.rows import Row
from training.sft import KlTrainer
from training.tokens import Encoded

REPORT = Path("reports/train.json")
RECIPE = Recipe(epochs=1, replay_per_step=0, vary=0, noise=0, open_book=0)
WARM = 2  # steps of each turn that are not counted


def bench(base: Path, rounds: int, steps: int) -> dict[str, Any]:
    """Train in turns and return what a step cost.

    Returns:
        `train_ratio`: examples a CPU-second of Mynah's, over those of the plain loop; the median of
        the rounds, which are in `ratios`. `examples_per_s`: the median, by system.
    """
    planned = plan(_rows(), [], RECIPE)[: steps + WARM]
    cost: dict[str, list[float]] = {"plain": [], "mynah": []}
    for number in range(rounds):
        for name, train in (("plain", _plain), ("mynah", _mynah)):
            seconds = train(Learner.load(str(base), RECIPE), planned)
            cost[name].append(statistics.median(seconds[WARM:]))
        print(f"  round {number + 1} of {rounds}: {_told(cost, -1)}", flush=True)
    ratios = [one / other for one, other in zip(cost["plain"], cost["mynah"], strict=True)]
    return {
        "train_ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "examples_per_s": {name: round(_per_s(found), 2) for name, found in cost.items()},
        "batch": RECIPE.batch_size,
        "rank": RECIPE.rank,
        "steps": steps,
        "threads": torch.get_num_threads(),
        "device": "cuda" if torch.cuda.is_available() else "cpu",
    }


def _rows() -> list[Row]:
    facts = [fact for fact in helpdesk.load() if fact.kind == "fact"]
    asked = [(at, words) for at, fact in enumerate(facts) for words in fact.wordings]
    return [
        Row(
            example_id=number, cluster=at, split="train", question=words, answer=facts[at].answer
        )
        for number, (at, words) in enumerate(asked)
    ]  # fmt: skip


def _plain(learner: Learner, steps: Sequence[Step]) -> list[float]:
    """As one would write it: padded batches, the model's logits, the answers' labels."""
    model = learner.model.train()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=RECIPE.lr)
    seconds = []
    for step in steps:
        began = time.process_time()
        batch = _padded(learner, step)
        labels = batch.pop("labels")
        with torch.autocast(model.device.type, torch.bfloat16):
            logits = model(**batch).logits
        loss = cross_entropy(logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, RECIPE.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.process_time() - began)
    return seconds


def _padded(learner: Learner, step: Step) -> dict[str, torch.Tensor]:
    """input_ids, attention_mask and labels, each (rows, longest); -100 where nothing is learned."""
    items: list[Encoded] = [learner.encoder.encode(e.question, e.answer) for e in step.lessons]
    longest = max(len(item.prompt) + len(item.answer) for item in items)
    ids = torch.full((len(items), longest), learner.tokenizer.pad_token_id)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for at, item in enumerate(items):
        end = len(item.prompt) + len(item.answer)
        ids[at, :end] = torch.tensor(item.prompt + item.answer)
        mask[at, :end] = 1
        labels[at, len(item.prompt) : end] = torch.tensor(item.answer)
    batch = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    return {name: one.to(learner.model.device) for name, one in batch.items()}


def _mynah(learner: Learner, steps: Sequence[Step]) -> list[float]:
    place = Path(tempfile.mkdtemp())
    clock = _Clock()
    trainer = KlTrainer(learner, steps, place, lambda phase, share: None)
    trainer.args.save_strategy = "no"
    trainer.add_callback(clock)
    try:
        trainer.train()
    finally:
        shutil.rmtree(place)
    return clock.seconds


class _Clock(TrainerCallback):  # type: ignore[misc]
    """CPU-seconds from the end of one step to the end of the next."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._ended = 0.0

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self._ended = time.process_time()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        ended = time.process_time()
        self.seconds.append(ended - self._ended)
        self._ended = ended


def _per_s(seconds: Sequence[float]) -> float:
    return RECIPE.batch_size / statistics.median(seconds)


def _told(cost: dict[str, list[float]], at: int) -> str:
    return ", ".join(f"{name} {_per_s([cost[name][at]]):.2f} examples/CPU-s" for name in cost)


def main() -> None:
    """Measure and tell."""
    options = argparse.ArgumentParser(prog="make bench-train")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--steps", type=int, default=12, help="a round and system")
    chosen = options.parse_args()
    print("▶ One step, in turns", flush=True)
    figures = bench(small_base_model(print), chosen.rounds, chosen.steps)
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(figures, indent=2) + "\n")
    low, high = min(figures["ratios"]), max(figures["ratios"])
    print(f"train_ratio {figures['train_ratio']:.2f} ({low:.2f} to {high:.2f}): {REPORT}")


if __name__ == "__main__":
    with in_one_line("bench"):
        main()
