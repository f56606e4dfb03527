"""How much arithmetic a training step is: that of the model itself, whatever was computed.

Of a sequence of s tokens, n of which are scored, in a model whose blocks hold N weights of linear
layers, H in the head, and L blocks with heads w wide in all; the upper share b of the blocks
carries a LoRA of K weights:

    forward    2·N·s + 2·H·n + 2·L·w·s²          (a causal mask: half of all pairs)
    backward   2·b·N·s + 2·H·n + 4·b·L·w·s²      (frozen weights have no gradient of their own)
    LoRA       6·K·s

So a LoRA on all blocks costs 4·N a token, where a full fine-tuning costs 6·N.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from serving.base import CONFIG, base_spec
from training.recipe import Recipe

BLOCK = re.compile(r"\.(?P<number>\d+)\.")


@dataclass(frozen=True)
class Work:
    """The sizes that the formula above names: numbers of weights, of blocks, and widths."""

    linear: int  # N
    trained: int  # of these, in the blocks that carry a LoRA: b·N
    lora: int  # K
    head: int  # H
    blocks: int  # L
    upper: int  # b·L
    width: int  # w

    def forward(self, tokens: int, scored: int) -> float:
        """FLOPs of reading a sequence, without a LoRA."""
        attention = 2 * self.blocks * self.width * tokens**2
        return 2 * self.linear * tokens + 2 * self.head * scored + attention

    def learned(self, tokens: int, scored: int) -> float:
        """FLOPs of reading a sequence with a LoRA, and of its gradient."""
        attention = 4 * self.upper * self.width * tokens**2
        backward = 2 * self.trained * tokens + 2 * self.head * scored + attention
        return self.forward(tokens, scored) + backward + 6 * self.lora * tokens


def work(base: Path, recipe: Recipe) -> Work:
    """What training by a recipe means for a base model, from its files."""
    config = json.loads((base / CONFIG).read_text("utf-8"))
    layers = {name: shape for name, shape in base_spec(base).shapes.items() if BLOCK.search(name)}
    blocks = 1 + max(_block(name) for name in layers)
    upper = max(1, round(recipe.blocks * blocks))
    trained = [shape for name, shape in layers.items() if _block(name) >= blocks - upper]
    heads, hidden = config["num_attention_heads"], config["hidden_size"]
    return Work(
        linear=sum(outputs * inputs for outputs, inputs in layers.values()),
        trained=sum(outputs * inputs for outputs, inputs in trained),
        lora=recipe.rank * sum(outputs + inputs for outputs, inputs in trained),
        head=config["vocab_size"] * hidden,
        blocks=blocks,
        upper=upper,
        width=heads * (config.get("head_dim") or hidden // heads),
    )


def _block(name: str) -> int:
    found = BLOCK.search(name)
    return int(found["number"]) if found else 0
