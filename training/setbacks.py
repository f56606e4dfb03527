"""The slices of an evaluation: where a candidate does better, and where surely worse.

Facts are counted, not questions: those of one fact stand and fall together. A slice is worse where
too many of its facts were lost for luck (a one-sided sign test), and whoever looks at many slices
finds a bad one: so Holm's correction is made for all that were looked at. Not looked at are slices
that are too small to tell, and those that hold every question. Both depend on what was asked alone,
never on what was answered.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from training.asked import Asked, Marks, by_slice

LEAST_FACTS = 5  # even if all of fewer are lost, it may be luck (1 in 16)
SURE = 0.05


class Slice(BaseModel):
    """One sort of question, and how many of it each model answered right."""

    model_config = ConfigDict(frozen=True)

    name: str  # "channel", "product", "age"
    value: str
    marks: Marks
    # The chance to lose so many of its facts by luck, for all slices together; None: too few.
    chance: float | None = None

    @property
    def worse(self) -> bool:
        """Whether the candidate is surely worse here than what is live."""
        return self.chance is not None and self.chance < SURE


def slices(wordings: Sequence[Asked]) -> list[Slice]:
    """The slices of the held-out wordings."""
    found = by_slice(wordings)
    tested = {key: _luck(wordings, key) for key in found}
    known = _holm({key: luck for key, luck in tested.items() if luck is not None})
    return [
        Slice(name=name, value=value, marks=marks, chance=known.get((name, value)))
        for (name, value), marks in found.items()
    ]


def _luck(wordings: Sequence[Asked], key: tuple[str, str]) -> float | None:
    """How likely it is by luck alone that so many facts of a slice are lost."""
    name, value = key
    net: dict[int | None, int] = {}
    inside = [one for one in wordings if one.slices.get(name) == value]
    for one in inside:
        difference = one.said["candidate"].right - one.said["live"].right
        net[one.cluster] = net.get(one.cluster, 0) + difference
    if len(net) < LEAST_FACTS or len(inside) == len(wordings):
        return None
    lost, won = (sum(sign * one > 0 for one in net.values()) for sign in (-1, 1))
    return sign_test(lost, won)


def sign_test(more: int, less: int) -> float:
    """The chance of so many of `more` or even more, were each as likely as one of `less`."""
    from scipy.stats import binom  # takes a second to import

    return float(binom.sf(more - 1, more + less, 0.5)) if more else 1.0


def _holm(chances: dict[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    """Each chance for all of them together (Holm 1979): the smallest counts as often as there are,
    and none less than a smaller one."""
    found: dict[tuple[str, str], float] = {}
    highest = 0.0
    for at, key in enumerate(sorted(chances, key=lambda key: chances[key])):
        highest = max(highest, min(1.0, (len(chances) - at) * chances[key]))
        found[key] = highest
    return found
