"""The base model with a fresh LoRA on it, and how its adapter is checked and saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import (
    LoraConfig,
    get_peft_model,
    load_peft_weights,
    set_peft_model_state_dict,
)
from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed

from training.logits import AnswerHead, Batch, kl, pack
from training.recipe import Recipe
from training.tokens import Encoded, Encoder


@dataclass
class Learner:
    """A PEFT model on the device it trains on, with its tokenizer."""

    model: Any
    tokenizer: Any
    encoder: Encoder
    recipe: Recipe

    @classmethod
    def load(cls, base_model: str, recipe: Recipe, start: Path | None = None) -> Learner:
        """Load the base in bfloat16 and put a LoRA of the recipe's rank on its upper blocks.

        Args:
            start: the directory of an adapter of that rank to go on from; None: a fresh one.
        """
        prepare(recipe.seed)
        tokenizer = AutoTokenizer.from_pretrained(base_model)
        base = load_base(base_model)
        lora = LoraConfig(
            r=recipe.rank,
            lora_alpha=recipe.alpha,
            lora_dropout=recipe.dropout,
            target_modules=_linear(base),
            layers_to_transform=_upper(base, recipe.blocks),
            task_type="CAUSAL_LM",
        )
        encoder = Encoder(
            tokenizer, max_prompt=recipe.max_prompt_tokens, max_answer=recipe.max_answer_tokens
        )
        model = get_peft_model(base, lora)
        if start is not None:
            set_peft_model_state_dict(model, load_peft_weights(str(start)))
        return cls(model, tokenizer, encoder, recipe)

    @property
    def head(self) -> AnswerHead:
        """Scores answers with the adapter as it is now."""
        return AnswerHead(self.model)

    def batch(self, items: Sequence[Encoded]) -> Batch:
        """Pack exchanges into one batch on the model's device."""
        return {name: tensor.to(self.model.device) for name, tensor in pack(items).items()}

    def divergence(self, read: Sequence[Encoded], bare: Sequence[Encoded]) -> torch.Tensor:
        """Mean KL(base || adapter) a token, with a gradient. The base reads clean words, the
        adapter noisy ones: what noise teaches about facts (the same answer for all that is near)
        it teaches about the rest, too. And the base reads no notes: one about something else is to
        change nothing.

        Args:
            read: what the adapter reads; `bare` is the same without notes.
        """
        with torch.no_grad(), self.model.disable_adapter():
            reference = self.head.logits(self.head.states(self.batch(bare)))
        states = self.head.states(self.batch(read), noise=self.recipe.noise)
        return kl(reference, self.head.logits(states)).mean()

    def save(self, directory: Path) -> None:
        """Write the adapter as `adapter_config.json` and `adapter_model.safetensors`."""
        self.model.save_pretrained(directory, selected_adapters=["default"])


def _linear(base: Any) -> list[str]:
    """The names of the linear layers in a block."""
    head = base.get_output_embeddings()
    linear = (
        name
        for name, module in base.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    )
    return sorted({name.rpartition(".")[2] for name in linear})


def _upper(base: Any, share: float) -> list[int]:
    """The numbers of the blocks at the top, at least one."""
    count = base.config.get_text_config().num_hidden_layers
    return list(range(count - max(1, round(share * count)), count))


def prepare(seed: int) -> None:
    """Seed every generator; on a CPU use one thread, which alone gives the same bits each time."""
    set_seed(seed)
    if not torch.cuda.is_available():
        torch.set_num_threads(1)


def load_base(base_model: str) -> Any:
    """The base model in bfloat16, in evaluation mode, on the accelerator where there is one."""
    # Eager attention: on a CPU its backward pass is faster than SDPA's.
    model = AutoModelForCausalLM.from_pretrained(
        base_model,
        dtype=torch.bfloat16,
        attn_implementation=None if torch.cuda.is_available() else "eager",
    )
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
