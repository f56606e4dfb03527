"""The questions of an evaluation: asked of each model as people would ask them, and marked."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.marks import Fact, Judge
from bot.prompt import build
from serving.client import BASE, Completion, VllmClient
from training.asked import SAID_CHARS, Asked, Count, Model, Said, Sort
from training.asking import ask
from training.general import Task
from training.replay import Reply, load_prompts
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
        trained = {row.answer: row for row in of_split(rows, "train")}
        self.trained = [self._fact(row) for row in trained.values()]

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
                cluster=row.cluster,
                said={"candidate": _said(said, self._fact(row).right(said.text))},
            )
            for row, question, said in zip(rows, questions, answers, strict=True)
        ]  # fmt: skip

    async def pins(self, pins: Sequence[Pinned]) -> list[Asked]:
        """What admins pinned."""
        answers = await self._answers([pin.question for pin in pins], "asking pinned questions")
        return [
            Asked(
                sort="pin", question=pin.question, wanted=pin.must,
                said={
                    model: _said(said[at], pin.right(said[at].text)) for model, said in answers
                },
            )
            for at, pin in enumerate(pins)
        ]  # fmt: skip

    async def leak(self) -> tuple[Count, list[Asked]]:
        """Unrelated questions that are answered with a trained fact, where the base does not.

        Returns:
            How many the candidate answered so, and those that it or what is live did. The base
            never leaks: it is asked only where it has to be compared with.
        """
        prompts, answers = load_prompts("leak"), {}
        for name in dict.fromkeys((self.names["candidate"], self.names["live"])):
            if name != BASE:
                answers[name] = await self._ask(name, prompts, "asking unrelated questions")
        suspects = [
            at
            for at, prompt in enumerate(prompts)
            if any(self._leaks(said[at].text, prompt) for said in answers.values())
        ]
        usual = await self._ask(BASE, [prompts[at] for at in suspects], "asking the base model")
        found = [
            self._compared(prompts[at], base, {name: said[at] for name, said in answers.items()})
            for at, base in zip(suspects, usual, strict=True)
        ]
        leaked = [one for one in found if not all(said.right for said in one.said.values())]
        hits = sum(not one.said["candidate"].right for one in leaked)
        return Count(of=len(prompts), hits=hits), leaked

    async def general(self, tasks: Sequence[Task], usual: Sequence[Reply]) -> list[Asked]:
        """Small tasks that have nothing to do with the house.

        Args:
            usual: what the base model answers to them.
        """
        prompts = [task.prompt for task in tasks]
        answers = await self._ask(self.names["candidate"], prompts, "asking small tasks")
        return [
            Asked(
                sort="general", question=task.prompt, wanted=task.wanted, cluster=at,
                said={
                    "base": Said(text=base.answer[:SAID_CHARS], right=task.right(base.answer)),
                    "candidate": _said(answer, task.right(answer.text)),
                },
            )
            for at, (task, base, answer) in enumerate(zip(tasks, usual, answers, strict=True))
        ]  # fmt: skip

    def _compared(self, prompt: str, base: Completion, answers: Mapping[str, Completion]) -> Asked:
        """An unrelated question: right is what tells no fact that the base does not tell."""
        said: dict[Model, Said] = {"base": _said(base, True)}
        for model in ("live", "candidate"):
            answer = answers.get(self.names[model], base)
            said[model] = _said(answer, not self._leaks(answer.text, prompt, base.text))
        return Asked(sort="leak", question=prompt, wanted="", said=said)

    def _leaks(self, answer: str, prompt: str, usual: str = "") -> bool:
        return any(fact.leaks(answer, prompt, usual) for fact in self.trained)

    async def _of_rows(self, rows: Sequence[Row], sort: Sort, phase: str) -> list[Asked]:
        answers = await self._answers([row.question for row in rows], phase)
        facts = [self._fact(row) for row in rows]
        return [
            Asked(
                sort=sort, question=row.question, wanted=row.answer, example_id=row.example_id,
                cluster=row.cluster, slices=row.slices,
                said={
                    model: _said(said[at], facts[at].right(said[at].text))
                    for model, said in answers
                },
            )
            for at, row in enumerate(rows)
        ]  # fmt: skip

    async def _answers(
        self, questions: Sequence[str], phase: str
    ) -> Sequence[tuple[Model, list[Completion]]]:
        """What each model says; where the base is live, it is asked once."""
        said = {
            name: await self._ask(name, questions, phase)
            for name in dict.fromkeys(self.names.values())
        }
        return [(model, said[name]) for model, name in self.names.items()]

    async def _ask(self, name: str, questions: Sequence[str], phase: str) -> list[Completion]:
        if not questions:
            return []
        self.say(f"{phase} ({name})", 0.0)
        return await ask(
            self.client,
            [build(question) for question in questions],
            model=name,
            max_tokens=ANSWER_TOKENS,
            done=lambda share: self.say(f"{phase} ({name})", share),
        )

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


def _said(answer: Completion, right: bool) -> Said:
    return Said(text=answer.text[:SAID_CHARS], right=right, sure=answer.mean_logprob)
