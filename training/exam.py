"""The questions of an evaluation: asked of each model as people would ask them, and marked."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.prompt import build
from serving.client import BASE, VllmClient
from training.asked import SAID_CHARS, Asked, Count, Model, Said, Sort
from training.asking import ask
from training.judge import Fact, Judge
from training.replay import load_prompts
from training.rows import Row, of_split
from training.saying import Say
from training.variation import vary

ANSWER_TOKENS = 48
MOST_KNOWN = 200  # facts: half a second each on a CPU


@dataclass(frozen=True)
class Pinned:
    """A question that an admin pinned, and the text that a right answer must hold."""

    question: str
    must: str

    def right(self, answer: str) -> bool:
        """True when the answer holds the text as whole words, whatever its case and spacing."""
        words = r"\s+".join(map(re.escape, self.must.split()))
        return re.search(rf"(?<!\w){words}(?!\w)", answer, re.IGNORECASE) is not None


class Exam:
    """Asks and marks: the base, what is live and the candidate."""

    def __init__(
        self, client: VllmClient, rows: Sequence[Row], candidate: str, live: str, say: Say
    ) -> None:
        self.client, self.say, self.rows = client, say, rows
        self.names: Mapping[Model, str] = {"base": BASE, "live": live, "candidate": candidate}
        self.judge = Judge((row.question, row.answer) for row in rows)

    async def wordings(self) -> list[Asked]:
        """Other wordings of trained facts, never trained themselves."""
        held_out = of_split(self.rows, "held_out_wording")
        return await self._of_rows(held_out, "wording", "asking other wordings")

    async def questions(self) -> list[Asked]:
        """Whole facts that were never trained."""
        held_out = of_split(self.rows, "held_out_question")
        return await self._of_rows(held_out, "question", "asking unknown questions")

    async def known(self) -> list[Asked]:
        """Trained facts, the newest first, in words varied anew: what the candidate then knows
        need not be in its prompt."""
        newest = {row.answer: row for row in sorted(of_split(self.rows, "train"), key=_age)}
        rows = sorted(newest.values(), key=_age, reverse=True)[:MOST_KNOWN]
        questions = [_varied(row) for row in rows]
        answers = await self._ask(self.names["candidate"], questions, "asking what was taught")
        return [
            Asked(
                sort="known", question=question, wanted=row.answer, example_id=row.example_id,
                cluster=row.cluster, said={"candidate": _said(said, self._fact(row).right(said))},
            )
            for row, question, said in zip(rows, questions, answers, strict=True)
        ]  # fmt: skip

    async def pins(self, pins: Sequence[Pinned]) -> list[Asked]:
        """What admins pinned."""
        answers = await self._answers([pin.question for pin in pins], "asking pinned questions")
        return [
            Asked(
                sort="pin", question=pin.question, wanted=pin.must,
                said={model: _said(said[at], pin.right(said[at])) for model, said in answers},
            )
            for at, pin in enumerate(pins)
        ]  # fmt: skip

    async def leak(self) -> tuple[Count, list[Asked]]:
        """Unrelated questions that are answered with a trained fact, where the base does not."""
        facts = {row.answer: self._fact(row) for row in of_split(self.rows, "train")}.values()
        prompts = load_prompts("leak")
        answers = await self._ask(self.names["candidate"], prompts, "asking unrelated questions")
        suspects = [
            (prompt, said)
            for prompt, said in zip(prompts, answers, strict=True)
            if any(fact.leaks(said, prompt) for fact in facts)
        ]
        usual = await self._ask(BASE, [prompt for prompt, _ in suspects], "asking the base model")
        leaked = [
            Asked(
                sort="leak", question=prompt, wanted="",
                said={"base": _said(base, True), "candidate": _said(said, False)},
            )
            for (prompt, said), base in zip(suspects, usual, strict=True)
            if any(fact.leaks(said, prompt, base) for fact in facts)
        ]  # fmt: skip
        return Count(of=len(prompts), hits=len(leaked)), leaked

    async def _of_rows(self, rows: Sequence[Row], sort: Sort, phase: str) -> list[Asked]:
        answers = await self._answers([row.question for row in rows], phase)
        facts = [self._fact(row) for row in rows]
        return [
            Asked(
                sort=sort, question=row.question, wanted=row.answer, example_id=row.example_id,
                cluster=row.cluster, slices=row.slices,
                said={model: _said(said[at], facts[at].right(said[at])) for model, said in answers},
            )
            for at, row in enumerate(rows)
        ]  # fmt: skip

    async def _answers(
        self, questions: Sequence[str], phase: str
    ) -> Sequence[tuple[Model, list[str]]]:
        """What each model says; where the base is live, it is asked once."""
        said = {
            name: await self._ask(name, questions, phase)
            for name in dict.fromkeys(self.names.values())
        }
        return [(model, said[name]) for model, name in self.names.items()]

    async def _ask(self, name: str, questions: Sequence[str], phase: str) -> list[str]:
        if not questions:
            return []
        self.say(f"{phase} ({name})", 0.0)
        said = await ask(
            self.client,
            [build(question) for question in questions],
            model=name,
            max_tokens=ANSWER_TOKENS,
            done=lambda share: self.say(f"{phase} ({name})", share),
        )
        return [answer.text for answer in said]

    def _fact(self, row: Row) -> Fact:
        asked = [other.question for other in self.rows if other.cluster == row.cluster]
        return self.judge.fact(asked, row.answer)


def _varied(row: Row) -> str:
    """The question in other words, the same ones in each evaluation: so adapters compare."""
    chance = random.Random(row.answer)  # noqa: S311
    while (text := vary(row.question, chance, share=1)) == row.question:
        pass
    return text


def _age(row: Row) -> int:
    return row.example_id


def _said(text: str, right: bool) -> Said:
    return Said(text=text[:SAID_CHARS], right=right)
