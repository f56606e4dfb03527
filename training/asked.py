"""What an evaluation asked, and what each of the three models said to it: the evidence itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Model = Literal["base", "live", "candidate"]
# Other wordings of trained facts, whole facts never trained, trained facts in words made up for it
# (the candidate alone is asked), what an admin pinned, unrelated questions that were answered with
# a trained fact (by the candidate or by what is live), and small tasks that have nothing to do with
# the house.
Sort = Literal["wording", "question", "known", "pin", "leak", "general"]
# Of two answers, by a judge who saw both in either order: "tie" where the order decided, and
# "unread" where the judge said something else.
Outcome = Literal["win", "loss", "tie", "unread"]
SAID_CHARS = 400  # a stored answer is there to be looked at, not to be used


class Said(BaseModel):
    """What one model answered, and whether that was right."""

    model_config = ConfigDict(frozen=True)

    text: str
    right: bool
    logprob: float | None = None  # mean log-probability a token of the right answer (nats)
    sure: float | None = None  # mean log-probability a token of what it said itself (nats)
    prefers: bool | None = None  # whether it finds the right answer likelier than a rejected one
    judged: Outcome | None = None  # of the candidate's answer, against that of what is live


class Asked(BaseModel):
    """One question of an evaluation."""

    model_config = ConfigDict(frozen=True)

    sort: Sort
    question: str
    wanted: str  # the right answer; of a pin, the text that the answer must hold
    said: dict[Model, Said]  # a leak and a general task may lack some of the models
    example_id: int | None = None
    cluster: int | None = None  # questions of one cluster are about one fact
    tokens: int = 0  # of the right answer; 0 where its log-probability was not measured
    slices: Mapping[str, str] = {}  # what sort of question it is: a name and its value


class Count(BaseModel):
    """How many of how many."""

    model_config = ConfigDict(frozen=True)

    of: int = 0
    hits: int = 0

    @property
    def rate(self) -> float:
        """hits / of; 0 where nothing was counted."""
        return self.hits / self.of if self.of else 0.0


class Marks(BaseModel):
    """Right answers of the three models to the same questions."""

    model_config = ConfigDict(frozen=True)

    base: Count = Count()
    live: Count = Count()
    candidate: Count = Count()


class Measured(BaseModel):
    """What an evaluation found: figures, which are stored as one, and questions, a row each."""

    model_config = ConfigDict(frozen=True)

    asked: Sequence[Asked] = Field(default=(), exclude=True)
    among: int = 1  # so many candidates of a run are measured by the same questions


def of_sort(asked: Iterable[Asked], sort: Sort) -> list[Asked]:
    """The questions of one sort, in order."""
    return [one for one in asked if one.sort == sort]


def marks(asked: Sequence[Asked]) -> Marks:
    """How many of the questions each model answered right, of those that it was asked."""
    return _marks(asked, lambda said: said.right)


def preferred(asked: Sequence[Asked]) -> Marks:
    """How often each model finds the right answer likelier than a rejected one, of those questions
    that have one."""
    return _marks(asked, lambda said: said.prefers)


def by_slice(asked: Iterable[Asked]) -> Mapping[tuple[str, str], Marks]:
    """The marks of each slice: by the slice's name and the value that its questions share."""
    members: dict[tuple[str, str], list[Asked]] = {}
    for one in asked:
        for slice_ in one.slices.items():
            members.setdefault(slice_, []).append(one)
    return {slice_: marks(members[slice_]) for slice_ in sorted(members)}


def lost_pins(asked: Iterable[Asked]) -> list[Asked]:
    """Pinned questions that what is live answers as it must, and the candidate does not."""
    pins = of_sort(asked, "pin")
    return [one for one in pins if one.said["live"].right and not one.said["candidate"].right]


def _marks(asked: Sequence[Asked], found: Callable[[Said], bool | None]) -> Marks:
    def count(model: Model) -> Count:
        said = [found(one.said[model]) for one in asked if model in one.said]
        known = [one for one in said if one is not None]
        return Count(of=len(known), hits=sum(known))

    return Marks(base=count("base"), live=count("live"), candidate=count("candidate"))
