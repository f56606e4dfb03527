"""The base model's own answers to everyday prompts: what an adapter must not unlearn."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reply:
    """What the base model says to a prompt, greedily; `ended` is False where it was cut off."""

    prompt: str
    answer: str
    ended: bool = True
