"""A candidate against the live adapter and the base: what it learned, and what it forgot.

Answers come from vLLM, as users would get them. Log-probabilities and the KL come from torch, with
the base and the adapter in bfloat16 as they are served.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bot.abstaining import DEFAULTS
from bot.store.schema import AnswerMode
from serving.adapters import AdapterFile, trained_on
from serving.base import base_spec
from serving.client import VllmClient
from training import intervals, pairwise, setbacks, sureness
from training.asked import Asked, Count, Marks, Measured, marks, of_sort, preferred
from training.comparing import Compared, compare
from training.exam import Exam, Pinned
from training.general import TOKENS, load_tasks
from training.intervals import Interval
from training.judging import Judging
from training.pairwise import Pairwise
from training.recipe import Recipe
from training.replay import Reply, base_answers, load_prompts
from training.rows import Row, of_split
from training.saying import Say
from training.setbacks import Slice
from training.sureness import Sureness

__all__ = ["Count", "Figures", "Judging", "Marks", "evaluate"]

FORGETTING_TOKENS = 32


class Figures(Measured):
    """Everything that was measured of one candidate; the gate and the report read nothing else.

    What has a default was not always measured: an evaluation that is older than the figure has it.
    A count of 0 asked, and None, say that something was not measured.
    """

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
    # Held-out rows with an answer that staff rejected: how often each model finds the approved one
    # likelier (mean log-probability a token); and the candidate's share less that of what is live.
    preferred: Marks = Marks()
    more_preferred: Interval | None = None
    # The judge's word on wordings and whole questions, candidate against live; `why` says why it
    # was not measured.
    judged: Pairwise = Pairwise()
    kl: float  # mean KL(base || candidate) a token (nats) over the base's own answers
    kl_prompts: int
    # Small tasks that have nothing to do with the house, done right; what is live is not asked.
    general: Marks = Marks()
    more_general: Interval | None = None  # the candidate's share less the base's
    leak: Count  # unrelated questions that the candidate answered with a trained fact
    leak_live: Count = Count()  # … that what is live did
    # How well each one's sureness tells its right answers from its wrong ones.
    sure: Sureness = Sureness()
    sure_live: Sureness = Sureness()
    slices: tuple[Slice, ...] = ()  # of the wordings, by channel, product and age
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
    judging: Judging | None = None,
    withheld_below: float = DEFAULTS[AnswerMode.CLOSED_BOOK],
    compared: Compared | None = None,
) -> Figures:
    """Measure a candidate that is loaded on the server.

    Args:
        base_model: directory of the base, for torch.
        live: the name of the live adapter, which lies beside the candidate, or "base".
        rows: the whole dataset; its held-out rows are asked, its trained ones define a leak.
        recipe: what the candidate was trained by (for its token limits).
        pins: what is asked besides.
        cache: where the base's answers to the general prompts are kept between evaluations.
        judging: who compares the candidate's answers with those of what is live; None: nobody.
        withheld_below: the mean log-probability below which Mynah withholds an answer (nats).
        compared: what torch found already; None: it is found here, beside the server.

    Raises:
        ServingError: the server did not answer, or does not have one of the models.
    """
    started = time.monotonic()
    kept = cache or candidate.path.parent / ".forgetting.jsonl"
    exam = Exam(client, rows, candidate.name, live, say)
    held_out = [*await exam.wordings(), *await exam.questions()]
    others = [*await exam.pins(pins), *await _general(exam, kept), *await exam.known()]
    leak, leaked = await exam.leak()
    say("asking the base model", 0.0)
    replies = await forgetting(client, kept)
    if compared is None:
        compared = compare(base_model, candidate, live, rows, replies, recipe, say)
    measured = [_measured(one, compared, at) for at, one in enumerate(held_out)]
    asked, verdict = await pairwise.judged([*measured, *others, *leaked], judging, say)
    say("weighing the evidence", 0.0)
    return Figures(
        asked=asked,
        candidate=candidate.name,
        live=live,
        measured_on=base_spec(Path(base_model)).sha256[:12],
        trained_on=trained_on(candidate.path),
        trained=len(of_split(rows, "train")),
        judged=verdict,
        kl=compared.kl,
        kl_prompts=sum(bool(reply.answer) for reply in replies),
        leak=leak,
        leak_live=Count(of=leak.of, hits=sum(not one.said["live"].right for one in leaked)),
        seconds=round(time.monotonic() - started, 1),
        **weigh(asked, withheld_below),
    )


def weigh(
    asked: Sequence[Asked], withheld_below: float = DEFAULTS[AnswerMode.CLOSED_BOOK]
) -> dict[str, Any]:
    """The figures that the questions tell, with their intervals."""
    wordings, general = of_sort(asked, "wording"), of_sort(asked, "general")
    return {
        "wordings": marks(wordings),
        "questions": marks(of_sort(asked, "question")),
        "pins": marks(of_sort(asked, "pin")),
        "facts": intervals.facts(wordings),
        "more_than_live": intervals.more_right(wordings, "live"),
        "more_than_base": intervals.more_right(wordings, "base"),
        "gain_over_live": intervals.gain(wordings, "live"),
        "gain_over_base": intervals.gain(wordings, "base"),
        "gain_over_live_within": intervals.gain_within(wordings, "live"),
        "gain_over_base_within": intervals.gain_within(wordings, "base"),
        "preferred": preferred(asked),
        "more_preferred": intervals.more_preferred(asked, "live"),
        "general": marks(general),
        "more_general": intervals.more_right(general, "base"),
        "sure": sureness.of_model(asked, "candidate", withheld_below),
        "sure_live": sureness.of_model(asked, "live", withheld_below),
        "slices": tuple(setbacks.slices(wordings)),
    }


async def forgetting(client: VllmClient, kept: Path) -> list[Reply]:
    """What the base says by itself, over which the KL is measured.

    Args:
        kept: where the answers are kept between evaluations.
    """
    prompts = load_prompts("forgetting")
    return await base_answers(client, prompts, kept, max_tokens=FORGETTING_TOKENS)


async def _general(exam: Exam, kept: Path) -> list[Asked]:
    """Small tasks, and what the base makes of them."""
    tasks = load_tasks()
    prompts = [task.prompt for task in tasks]
    usual = await base_answers(exam.client, prompts, kept, max_tokens=TOKENS)
    return await exam.general(tasks, usual)


def _measured(one: Asked, compared: Compared, at: int) -> Asked:
    said = {
        model: said.model_copy(
            update={
                "logprob": compared.likelihoods[model][at].mean,
                "prefers": compared.prefers[model][at],
            }
        )
        for model, said in one.said.items()
    }
    tokens = compared.likelihoods["candidate"][at].tokens
    return one.model_copy(update={"said": said, "tokens": tokens})
