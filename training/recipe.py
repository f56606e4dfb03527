"""How a run trains: every number that shapes an adapter, frozen and stored with the run."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

RecipeName = Literal["sft", "sft+dpo", "sft+kto", "sdft"]
NAMES: tuple[RecipeName, ...] = get_args(RecipeName)
AUTO = "auto"


class UnknownRecipe(Exception):
    """The recipe is not one of: sft, sft+dpo, sft+kto, sdft; or auto, for all of them."""


class Recipe(BaseModel):
    """One way to train. Two runs with the same recipe, dataset and base give the same adapter."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: RecipeName = "sft"
    seed: int = 0

    # LoRA on every kind of linear layer, with about ten times the learning rate of full fine-tuning
    # and small batches ("LoRA Without Regret"), but in the upper blocks alone: nothing below
    # needs a gradient, so it takes two thirds of the time. On unseen wordings the demo's answers
    # are as likely as with all blocks at the same KL (+3.97 nats a token, .108 and .104).
    blocks: float = Field(0.5, gt=0, le=1)  # share of them, from the top
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
    kl_weight: float = Field(0.8, ge=0)
    replay_per_step: int = Field(3, ge=0)
    replay_vary: float = Field(0.25, ge=0, le=1)
    replay_house: float = Field(0.25, ge=0, le=1)  # prompts with the product's name put in

    # Questions are worded anew at each epoch with this probability (training/variation.py).
    vary: float = Field(0.75, ge=0, le=1)

    # Lessons with the approved answer in the prompt, as memory puts it there: more of them where
    # it is too long to be learned by heart. And replay with a note that has nothing to do with the
    # question, answered as if it were not there.
    open_book: float = Field(0.1, ge=0, le=1)
    open_book_long: float = Field(0.5, ge=0, le=1)
    long_words: int = Field(40, ge=1)
    stray_notes: float = Field(0.25, ge=0, le=1)

    noise: float = Field(5.0, ge=0)  # NEFTune's alpha, on facts and on replay

    # What "sft+dpo" and "sft+kto" do after the SFT; the replay above holds them to the base, too.
    # The policy is asked so many trained questions, so often each: greedily, then by chance.
    own_questions: int = Field(64, ge=0)
    own_answers: int = Field(2, ge=1)
    own_tokens: int = Field(48, ge=1)  # as many as an evaluation gives an answer
    dpo_lr: float = Field(5e-5, gt=0)
    dpo_beta: float = Field(0.1, gt=0)
    dpo_weight: float = Field(0.2, gt=0)  # of the sigmoid loss; the SFT loss beside it has 1
    kto_lr: float = Field(5e-5, gt=0)
    kto_beta: float = Field(0.1, gt=0)

    @property
    def falls_over(self) -> int | None:
        """The epochs over which the loss has to fall. Self-distillation's need not: it is measured
        on what the model says itself, which is another text at each step. Nor must it within one
        epoch, whose end holds other facts than its beginning."""
        return None if self.name == "sdft" or self.epochs == 1 else self.epochs


def named(names: str, *, seed: int = 0) -> list[Recipe]:
    """The recipes behind a `MYNAH_RECIPE` setting, each once, in the order in which they train.

    What goes on from the SFT brings the SFT along: it is trained anyway, and has to be beaten.

    Args:
        names: separated by commas; "auto" stands for all.

    Raises:
        UnknownRecipe: no recipe has one of the names.
    """
    wanted = {name.strip() for name in names.split(",")}
    if wanted == {AUTO}:
        wanted = set(NAMES)
    if not wanted or not wanted <= set(NAMES):
        raise UnknownRecipe(UnknownRecipe.__doc__)
    if any(name.startswith("sft+") for name in wanted):
        wanted.add("sft")
    return [Recipe(name=name, seed=seed) for name in NAMES if name in wanted]
