"""The log-probabilities of an answer by torch and PEFT alone, to hold against the served ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from serving.client import ChatMessage


def torch_logprobs(
    base: Path, adapter: Path | None, messages: Sequence[ChatMessage], completion: str
) -> list[float]:
    """Natural-log probability of each token of `completion` and of the end token, in float32."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    if adapter is not None:
        model = _with_adapter(model, adapter)
    prompt = tokenizer.apply_chat_template(
        list(messages), add_generation_prompt=True, return_dict=False
    )
    answer = tokenizer(completion, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *answer]])).logits[0, len(prompt) - 1 : -1]
    chosen = torch.tensor(answer)[:, None]
    scores: list[float] = logits.log_softmax(-1).gather(1, chosen)[:, 0].tolist()
    return scores


def _with_adapter(model: Any, adapter: Path) -> Any:
    from peft import PeftModel

    return PeftModel.from_pretrained(model, adapter).eval()
