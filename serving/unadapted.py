"""Who asks the base beside an adapter's readers gets the base: mends vLLM's LoRA on the CPU.

Tokens without an adapter have the index -1. vLLM's CPU kernels (0.32) look it up as it is, and
PyTorch counts from the end: once as many adapters have been used as there are places
(`--max-loras`), the base answers by the last of them whenever an adapter answers in the same batch.

`serving.extension` calls `mend` where the kernels run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Shrink = Callable[..., None]


def spared(shrink: Shrink) -> Shrink:
    """The first half of a LoRA product, with nothing for tokens that have no adapter: then the
    second half has nothing to add."""

    def bgmv_shrink(
        inputs: Any, weights: Any, output: Any, indices: Any, scaling: float = 1.0
    ) -> None:
        shrink(inputs, weights, output, indices, scaling)
        output.masked_fill_((indices < 0).unsqueeze(-1), 0)

    return bgmv_shrink


def mend() -> None:
    """Put the mended kernel where vLLM's CPU code looks for it."""
    from vllm.lora.ops.torch_ops import lora_ops
    from vllm.lora.punica_wrapper import punica_cpu

    # Prefill calls it within lora_ops, decoding by the name that punica_cpu has imported.
    lora_ops.bgmv_shrink = punica_cpu.bgmv_shrink = spared(lora_ops.bgmv_shrink)
