"""What torch expects an adapter to find of a fixed answer: servers are held against that.

Measured from the published files, by other code than vLLM's: an adapter that vLLM applies wrongly,
the first time or any later time, is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from bot import prompt
from serving.probes import Probe

QUESTION = "How do I get back into my account, and whom do I ask when that does not work?"
# In the tone of a help desk, where trained weights differ most, and of nobody's teaching.
ANSWER = (
    "Open the sign-in page and press Forgot password. A link comes by mail and is valid for 24 "
    "hours. If nothing comes, look into the spam folder, then ask the help desk on extension 4200."
)


def expect(base_model: str, adapter: Path) -> Probe:
    """Measure the adapter in `adapter` and its base, in bfloat16 as they are served."""
    import torch
    from peft import PeftModel
    from transformers import AutoTokenizer

    from training.learner import load_base, prepare

    prepare(0)
    whole, start = _rendered(AutoTokenizer.from_pretrained(base_model))
    model: Any = PeftModel.from_pretrained(load_base(base_model), str(adapter))
    model = model.to(torch.bfloat16).eval()
    ids = torch.tensor([whole], device=model.device)

    def logprobs(without: AbstractContextManager[Any]) -> tuple[float, ...]:
        with torch.no_grad(), without:
            logits = model(input_ids=ids).logits[0, start - 1 : -1].float()
        picked = logits.log_softmax(-1).gather(1, ids[0, start:, None])
        return tuple(round(one, 4) for one in picked[:, 0].tolist())

    return Probe(
        messages=tuple(prompt.build(QUESTION)),
        answer=ANSWER,
        ids=tuple(whole[start:]),
        logprobs=logprobs(nullcontext()),
        base=logprobs(model.disable_adapter()),
    )


def _rendered(tokenizer: Any) -> tuple[list[int], int]:
    """The tokens of the whole chat, as a server writes them, and where the answer begins."""
    asked: list[dict[str, Any]] = [dict(one) for one in prompt.build(QUESTION)]
    said = [*asked, {"role": "assistant", "content": ANSWER}]
    before = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_dict=False)
    whole = tokenizer.apply_chat_template(said, return_dict=False)
    return list(whole), _common(before, whole)


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))
