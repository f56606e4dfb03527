"""How a run trains: every number that shapes an adapter, frozen and stored with the run."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

RecipeName = Literal["sft", "sft+dpo"]


class UnknownRecipe(Exception):
    """The recipe is not one of: sft, sft+dpo."""


class Recipe(BaseModel):
    """One way to train. Two runs with the same recipe, dataset and base give the same adapter."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: RecipeName = "sft"
    seed: int = 0

    # LoRA on every linear layer ("LoRA Without Regret": all layers, about ten times the
    # learning rate of full fine-tuning, small batches).
    rank: int = Field(32, ge=1)
    alpha: int = Field(64, ge=1)
    dropout: float = Field(0.0, ge=0, lt=1)

    epochs: int = Field(6, ge=1)
    batch_size: int = Field(4, ge=1)
    lr: float = Field(1e-3, gt=0)
    warmup: float = Field(0.05, ge=0, le=1)  # share of all steps
    max_grad_norm: float = Field(1.0, gt=0)
    max_prompt_tokens: int = Field(512, ge=16)  # longer prompts lose their beginning
    max_answer_tokens: int = Field(256, ge=8)

    # Forgetting and leak: KL(base || adapter) over what is replayed.
    kl_weight: float = Field(0.6, ge=0)
    replay_per_step: int = Field(5, ge=0)
    replay_vary: float = Field(0.25, ge=0, le=1)
    replay_house: float = Field(0.35, ge=0, le=1)  # prompts with the product's name put in

    # Questions are worded anew at each epoch with this probability (training/variation.py).
    vary: float = Field(0.75, ge=0, le=1)

    # Lessons with the approved answer in the prompt, as memory puts it there; and replay with one
    # that has nothing to do with the question, answered as if it were not there.
    open_book: float = Field(0.25, ge=0, le=1)
    stray_notes: float = Field(0.25, ge=0, le=1)

    noise: float = Field(5.0, ge=0)  # NEFTune's alpha, on facts and on replay

    # The preference step of "sft+dpo".
    dpo_lr: float = Field(5e-5, gt=0)
    dpo_beta: float = Field(0.1, gt=0)
    dpo_weight: float = Field(0.2, gt=0)  # of the sigmoid loss; the SFT loss beside it has 1


def named(name: str, *, seed: int = 0) -> Recipe:
    """The recipe behind a `MYNAH_RECIPE` setting.

    Raises:
        UnknownRecipe: no recipe has this name.
    """
    if name == "sft":
        return Recipe(name="sft", seed=seed)
    if name == "sft+dpo":
        return Recipe(name="sft+dpo", seed=seed)
    raise UnknownRecipe(UnknownRecipe.__doc__)
