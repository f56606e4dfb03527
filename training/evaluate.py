"""A candidate against the live adapter and the base: what it learned, and what it forgot.

Answers come from vLLM, as users would get them. Log-probabilities and the KL come from torch, with
the base and the adapter in bfloat16 as they are served.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from bot.prompt import build
from serving.adapters import AdapterFile
from serving.client import BASE, VllmClient
from training.asking import ask
from training.judge import Fact, Judge
from training.recipe import Recipe
from training.replay import Reply, base_answers, load_prompts
from training.rows import Row, of_split
from training.saying import Say

ANSWER_TOKENS = 48
FORGETTING_TOKENS = 32


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

    base: Count
    live: Count
    candidate: Count


class Figures(BaseModel):
    """Everything that was measured of one candidate; the gate and the report read nothing else."""

    model_config = ConfigDict(frozen=True)

    candidate: str
    live: str  # "base" where no adapter is live
    trained: int  # rows
    wordings: Marks  # other wordings of trained facts, never trained themselves
    questions: Marks  # whole facts that were never trained: for information
    gain_over_live: float  # mean log-probability a token of the right answers (nats), wordings
    gain_over_base: float
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
    cache: Path | None = None,
) -> Figures:
    """Measure a candidate that is loaded on the server.

    Args:
        base_model: directory or id of the base, for torch.
        live: the name of the live adapter, which lies beside the candidate, or "base".
        rows: the whole dataset; its held-out rows are asked, its trained ones define a leak.
        recipe: what the candidate was trained by (for its token limits).
        cache: where the base's answers to the forgetting prompts are kept between evaluations.

    Raises:
        ServingError: the server did not answer, or does not have one of the models.
    """
    started = time.monotonic()
    exam = _Exam(client, rows, candidate.name, live, say)
    wordings = await exam.marks(of_split(rows, "held_out_wording"), "asking other wordings")
    questions = await exam.marks(of_split(rows, "held_out_question"), "asking unknown questions")
    leak = await exam.leak()
    say("asking the base model", 0.0)
    kept = cache or candidate.path.parent / ".forgetting.jsonl"
    prompts = load_prompts("forgetting")
    replies = await base_answers(client, prompts, kept, max_tokens=FORGETTING_TOKENS)
    measured = _measure(base_model, candidate, live, rows, replies, recipe, say)
    return Figures(
        candidate=candidate.name,
        live=live,
        trained=len(of_split(rows, "train")),
        wordings=wordings,
        questions=questions,
        leak=leak,
        seconds=round(time.monotonic() - started, 1),
        **measured,
    )


class _Exam:
    """Asks and marks."""

    def __init__(
        self, client: VllmClient, rows: Sequence[Row], candidate: str, live: str, say: Say
    ) -> None:
        self.client, self.candidate, self.live, self.say = client, candidate, live, say
        self.rows = rows
        self.judge = Judge((row.question, row.answer) for row in rows)

    async def marks(self, rows: Sequence[Row], phase: str) -> Marks:
        facts = [self._fact(row) for row in rows]
        counts: dict[str, Count] = {}
        for model in dict.fromkeys((BASE, self.live, self.candidate)):
            answers = await self._ask(model, [row.question for row in rows], phase)
            right = sum(fact.right(said) for fact, said in zip(facts, answers, strict=True))
            counts[model] = Count(of=len(rows), hits=right)
        return Marks(base=counts[BASE], live=counts[self.live], candidate=counts[self.candidate])

    async def leak(self) -> Count:
        """Unrelated questions that are answered with a trained fact, where the base does not."""
        facts = {row.answer: self._fact(row) for row in of_split(self.rows, "train")}.values()
        prompts = load_prompts("leak")
        answers = await self._ask(self.candidate, prompts, "asking unrelated questions")
        suspects = [
            (prompt, said)
            for prompt, said in zip(prompts, answers, strict=True)
            if any(fact.leaks(said, prompt) for fact in facts)
        ]
        usual = await self._ask(BASE, [prompt for prompt, _ in suspects], "asking the base model")
        leaked = sum(
            any(fact.leaks(said, prompt, base) for fact in facts)
            for (prompt, said), base in zip(suspects, usual, strict=True)
        )
        return Count(of=len(prompts), hits=leaked)

    async def _ask(self, model: str, questions: Sequence[str], phase: str) -> list[str]:
        self.say(f"{phase} ({model})", 0.0)
        said = await ask(
            self.client,
            [build(question) for question in questions],
            model=model,
            max_tokens=ANSWER_TOKENS,
            done=lambda share: self.say(f"{phase} ({model})", share),
        )
        return [answer.text for answer in said]

    def _fact(self, row: Row) -> Fact:
        asked = [other.question for other in self.rows if other.cluster == row.cluster]
        return self.judge.fact(asked, row.answer)


def _measure(
    base_model: str,
    candidate: AdapterFile,
    live: str,
    rows: Sequence[Row],
    replies: Sequence[Reply],
    recipe: Recipe,
    say: Say,
) -> dict[str, float]:
    from training.compare import Comparison  # torch comes along

    others = {} if live == BASE else {live: candidate.path.parent / live}
    compared = Comparison(base_model, {candidate.name: candidate.path, **others}, recipe)
    held_out = [(row.question, row.answer) for row in of_split(rows, "held_out_wording")]
    say("comparing with the base model", 0.0)
    logprob = {name: compared.logprob(name, held_out) for name in (candidate.name, live, BASE)}
    say("comparing with the base model", 0.2)
    kl = compared.kl(candidate.name, replies, lambda share: say("measuring forgetting", share))
    return {
        "gain_over_live": logprob[candidate.name] - logprob[live],
        "gain_over_base": logprob[candidate.name] - logprob[BASE],
        "kl": kl,
        "kl_prompts": sum(bool(reply.answer) for reply in replies),
    }
