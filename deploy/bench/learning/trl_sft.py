"""Plain TRL: SFTTrainer on the taught pairs as prompt and completion, a LoRA, and nothing else.

Run as a child: `python -m deploy.bench.learning.trl_sft JOB.json`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from bot.prompt import build
from training.recipe import Recipe
from training.rows import read

# Rank and alpha are Mynah's. Its learning rate and these seven epochs are also what did best of
# what was tried for SFT alone.
RECIPE = Recipe()
SETTINGS: dict[str, Any] = {
    "lora": {
        "r": RECIPE.rank,
        "lora_alpha": RECIPE.alpha,
        "lora_dropout": 0.0,
        "target_modules": "all-linear",
        "task_type": "CAUSAL_LM",
    },
    "args": {
        "per_device_train_batch_size": 4,
        "learning_rate": 1e-3,
        "lr_scheduler_type": "cosine",
        "warmup_ratio": 0.05,
        "max_length": 512,
        "bf16": True,
        "gradient_checkpointing": False,
    },
    "most_epochs": 7,
}


def main(path: Path) -> None:
    """Train what the job file says."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    torch.set_num_threads(1)
    job = json.loads(path.read_text("utf-8"))
    # Eager attention: on a CPU its backward pass is faster than SDPA's.
    model = AutoModelForCausalLM.from_pretrained(
        job["base"], dtype=torch.bfloat16, attn_implementation="eager"
    )
    args = dict(SETTINGS["args"])
    args["warmup_steps"] = round(args.pop("warmup_ratio") * job["steps"])
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=str(path.parent / "trl"), max_steps=job["steps"], seed=job["seed"],
            use_cpu=True, dataloader_pin_memory=False, save_strategy="no", report_to="none",
            logging_steps=10, **args,
        ),
        train_dataset=Dataset.from_list(
            [
                {
                    "prompt": build(row.question),
                    "completion": [{"role": "assistant", "content": row.answer}],
                }
                for row in read(Path(job["rows"]))
            ]
        ),
        processing_class=AutoTokenizer.from_pretrained(job["base"]),
        peft_config=LoraConfig(**SETTINGS["lora"]),
    )  # fmt: skip
    trainer.train()
    trainer.model.save_pretrained(job["out"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
