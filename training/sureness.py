"""Whether a model is surer of what is right: only then can a wrong answer be withheld.

How sure it is, is the mean log-probability of its answer's tokens, as in `bot.abstaining`. Every
answer that was marked is looked at: to held-out wordings, to whole questions that nobody taught,
and to unrelated questions where it told a trained fact. (What else it says to unrelated questions
may be right or wrong: nobody knows.)
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from pydantic import BaseModel, ConfigDict

from training.asked import Asked, Count, Model, Said


class Sureness(BaseModel):
    """How well one model's sureness tells its right answers from its wrong ones."""

    model_config = ConfigDict(frozen=True)

    right: Count = Count()  # its right answers; hits: those that would be withheld
    wrong: Count = Count()  # its wrong answers; hits: those that would be withheld
    # How often a right answer is surer than a wrong one, 0 to 1 (AUROC): 0.5 is no better than a
    # coin. None where all answers are right, or all wrong.
    apart: float | None = None
    limit: float | None = None  # below this mean log-probability (nats) an answer is withheld


def of_model(asked: Iterable[Asked], model: Model, limit: float) -> Sureness:
    """The sureness of one model over an evaluation's questions."""
    said = [one.said[model] for one in asked if _is_marked(one, model)]
    right = _sure(one for one in said if one.right)
    wrong = _sure(one for one in said if not one.right)
    return Sureness(
        right=_withheld(right, limit), wrong=_withheld(wrong, limit), apart=_apart(right, wrong),
        limit=limit,
    )  # fmt: skip


def _is_marked(one: Asked, model: Model) -> bool:
    if one.sort == "leak":
        return not one.said[model].right
    return one.sort in ("wording", "question")


def _sure(said: Iterable[Said]) -> list[float]:
    return [one.sure for one in said if one.sure is not None and math.isfinite(one.sure)]


def _withheld(sure: list[float], limit: float) -> Count:
    return Count(of=len(sure), hits=sum(one < limit for one in sure))


def _apart(right: list[float], wrong: list[float]) -> float | None:
    """The area under the ROC curve, as Mann and Whitney count it: ties are half a win."""
    if not right or not wrong:
        return None
    difference = np.subtract.outer(right, wrong)
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())
