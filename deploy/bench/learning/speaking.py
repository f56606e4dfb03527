"""How a model answers in torch, greedily: much cheaper on a CPU than vLLM with a LoRA loaded,
because the adapter is merged into the base before it speaks.

What was said is kept, and asked anew once the code in this file is another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.client import ChatMessage


@dataclass(frozen=True)
class Said:
    """An answer; `ended` is False where it was cut off."""

    text: str
    ended: bool


def load(base_model: str, adapter: Path | None) -> tuple[Any, Any]:
    """The model and its tokenizer."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(base_model, padding_side="left")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    # Merged in float32: in bfloat16 most of what a LoRA adds would be rounded away.
    model = AutoModelForCausalLM.from_pretrained(base_model, dtype=torch.float32)
    if adapter is not None:
        model = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return model.to(torch.bfloat16).to(device).eval(), tokenizer


def generate(
    model: Any, tokenizer: Any, chats: Sequence[list[ChatMessage]], max_tokens: int
) -> list[Said]:
    """The answer to each chat of one batch."""
    import torch

    texts = [
        tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        for chat in chats
    ]
    read = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
    with torch.no_grad():
        whole = model.generate(
            **read.to(model.device), do_sample=False, max_new_tokens=max_tokens,
            pad_token_id=tokenizer.pad_token_id,
        )  # fmt: skip
    new = whole[:, read["input_ids"].shape[1] :]
    ended = (new == tokenizer.eos_token_id).any(dim=1).tolist()
    spoken = tokenizer.batch_decode(new, skip_special_tokens=True)
    return [Said(text.strip(), end) for text, end in zip(spoken, ended, strict=True)]
