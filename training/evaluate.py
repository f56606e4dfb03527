"""A candidate against the live adapter and the base: what it learned, and what it forgot.

Answers come from vLLM, as users would get them. Log-probabilities and the KL come from torch, with
the base and the adapter in bfloat16 as they are served.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.adapters import AdapterFile, trained_on
from serving.base import base_spec
from serving.client import BASE, VllmClient
from training import intervals
from training.asked import Asked, Count, Marks, Measured, Model, marks, of_sort
from training.exam import Exam, Pinned
from training.intervals import Interval
from training.recipe import Recipe
from training.replay import Reply, base_answers, load_prompts
from training.rows import Row, of_split
from training.saying import Say

if TYPE_CHECKING:
    from training.compare import Likelihood

__all__ = ["Count", "Figures", "Marks", "evaluate"]

FORGETTING_TOKENS = 32


class Figures(Measured):
    """Everything that was measured of one candidate; the gate and the report read nothing else."""

    candidate: str
    live: str  # "base" where no adapter is live
    measured_on: str = ""  # first digits of the fingerprint of the base that it was measured on …
    trained_on: str = ""  # … and of the base that it was trained on
    trained: int  # rows
    wordings: Marks  # other wordings of trained facts, never trained themselves
    facts: int = 0  # how many facts those wordings are about
    questions: Marks  # whole facts that were never trained: for information
    pins: Marks = Marks()  # what admins pinned
    more_than_live: Interval | None = None  # right answers to wordings, as a share; None: no way to
    more_than_base: Interval | None = None  # tell, as the wordings are about fewer than two facts
    gain_over_live: float  # mean log-probability a token of the right answers (nats), wordings
    gain_over_base: float
    gain_over_live_within: Interval | None = None
    gain_over_base_within: Interval | None = None
    kl: float  # mean KL(base || candidate) a token (nats) over the base's own answers
    kl_prompts: int
    leak: Count  # unrelated questions that the candidate answered with a trained fact
    seconds: float


async def evaluate(
    client: VllmClient,
    *,
    base_model: str,
    candidate: AdapterFile,
    live: str,
    rows: Sequence[Row],
    recipe: Recipe,
    say: Say,
    pins: Sequence[Pinned] = (),
    cache: Path | None = None,
) -> Figures:
    """Measure a candidate that is loaded on the server.

    Args:
        base_model: directory of the base, for torch.
        live: the name of the live adapter, which lies beside the candidate, or "base".
        rows: the whole dataset; its held-out rows are asked, its trained ones define a leak.
        recipe: what the candidate was trained by (for its token limits).
        pins: what is asked besides.
        cache: where the base's answers to the forgetting prompts are kept between evaluations.

    Raises:
        ServingError: the server did not answer, or does not have one of the models.
    """
    started = time.monotonic()
    exam = Exam(client, rows, candidate.name, live, say)
    wordings, questions = await exam.wordings(), await exam.questions()
    pinned = await exam.pins(pins)
    leak, leaked = await exam.leak()
    known = await exam.known()
    say("asking the base model", 0.0)
    kept = cache or candidate.path.parent / ".forgetting.jsonl"
    replies = await base_answers(
        client, load_prompts("forgetting"), kept, max_tokens=FORGETTING_TOKENS
    )
    likelihoods, kl = _compare(base_model, candidate, live, rows, replies, recipe, say)
    say("weighing the evidence", 0.0)
    wordings = [_measured(one, likelihoods, at) for at, one in enumerate(wordings)]
    return Figures(
        asked=[*wordings, *questions, *pinned, *leaked, *known],
        candidate=candidate.name,
        live=live,
        measured_on=base_spec(Path(base_model)).sha256[:12],
        trained_on=trained_on(candidate.path),
        trained=len(of_split(rows, "train")),
        questions=marks(questions),
        pins=marks(pinned),
        kl=kl,
        kl_prompts=sum(bool(reply.answer) for reply in replies),
        leak=leak,
        seconds=round(time.monotonic() - started, 1),
        **weigh(wordings),
    )


def weigh(asked: Sequence[Asked]) -> dict[str, Any]:
    """The figures of the held-out wordings among the questions, with their intervals."""
    wordings = of_sort(asked, "wording")
    return {
        "wordings": marks(wordings),
        "facts": intervals.facts(wordings),
        "more_than_live": intervals.more_right(wordings, "live"),
        "more_than_base": intervals.more_right(wordings, "base"),
        "gain_over_live": intervals.gain(wordings, "live"),
        "gain_over_base": intervals.gain(wordings, "base"),
        "gain_over_live_within": intervals.gain_within(wordings, "live"),
        "gain_over_base_within": intervals.gain_within(wordings, "base"),
    }


def _compare(
    base_model: str,
    candidate: AdapterFile,
    live: str,
    rows: Sequence[Row],
    replies: Sequence[Reply],
    recipe: Recipe,
    say: Say,
) -> tuple[Mapping[Model, Sequence[Likelihood]], float]:
    """How likely each model finds the right answer to each held-out wording, and the KL."""
    from training.compare import Comparison  # torch comes along

    others = {} if live == BASE else {live: candidate.path.parent / live}
    compared = Comparison(base_model, {candidate.name: candidate.path, **others}, recipe)
    held_out = [(row.question, row.answer) for row in of_split(rows, "held_out_wording")]
    say("comparing with the base model", 0.0)
    names: Mapping[Model, str] = {"base": BASE, "live": live, "candidate": candidate.name}
    found = {name: compared.likelihoods(name, held_out) for name in dict.fromkeys(names.values())}
    say("comparing with the base model", 0.2)
    kl = compared.kl(candidate.name, replies, lambda share: say("measuring forgetting", share))
    return {model: found[name] for model, name in names.items()}, kl


def _measured(one: Asked, likelihoods: Mapping[Model, Sequence[Likelihood]], at: int) -> Asked:
    said = {
        model: said.model_copy(update={"logprob": likelihoods[model][at].mean})
        for model, said in one.said.items()
    }
    return one.model_copy(update={"said": said, "tokens": likelihoods["candidate"][at].tokens})
