"""People who keep asking, and who really answered them."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from statistics import fmean

from sqlmodel import select

from bot.composing import CUT_SHORT
from bot.prompt import build
from bot.store.database import reading
from bot.store.schema import Answer, Question
from deploy.bench.releases.farm import Farm
from deploy.personas import Posted
from serving.client import BASE, VllmClient

QUESTIONS = (
    "Which port does the web page use?",
    "How do I reset my password?",
    "Where are the backups kept?",
    "Who may delete a space?",
    "How large may an upload be?",
    "What does the red light mean?",
)


@dataclass
class Asked:
    """One question: when it was asked and answered (seconds since the epoch), and by what."""

    text: str
    at: float
    answered: float = 0.0
    posted: Posted | None = None


@dataclass
class Traffic:
    """Asks every `every_s` seconds, each in a thread of its own, whatever becomes of them."""

    farm: Farm
    every_s: float
    asked: list[Asked] = field(default_factory=list)
    _waiting: list[asyncio.Task[None]] = field(default_factory=list)

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[Traffic]:
        """Meanwhile; ends when all is answered, or given up after three minutes."""
        asking = asyncio.create_task(self._keep_asking())
        try:
            yield self
        finally:
            asking.cancel()
            await asyncio.gather(*self._waiting)

    async def _keep_asking(self) -> None:
        for text in itertools.cycle(QUESTIONS):
            self._waiting.append(asyncio.create_task(self._one(text)))
            await asyncio.sleep(self.every_s)

    async def _one(self, text: str) -> None:
        one = Asked(text, time.time())
        self.asked.append(one)
        one.posted = await self.farm.people.ask_and_wait(text)
        one.answered = time.time()

    @property
    def failed(self) -> int:
        """Questions that nobody answered."""
        return sum(one.posted is None for one in self.asked)

    def waits(self) -> list[float]:
        """Seconds from each question to its answer in Slack."""
        return [one.answered - one.at for one in self.asked if one.posted]


class Ear:
    """Tells models apart by how likely each finds a text: none finds another's likelier."""

    def __init__(self, client: VllmClient, models: Sequence[str]) -> None:
        self._client = client
        self._models = models
        self._heard: dict[tuple[str, str], str] = {}

    async def speaker(self, question: str, text: str) -> str:
        """The model that says this after the question."""
        key = (question, text)
        if key not in self._heard:
            scores = {model: await self._score(model, *key) for model in self._models}
            self._heard[key] = max(scores, key=lambda model: scores[model])
        return self._heard[key]

    async def _score(self, model: str, question: str, text: str) -> float:
        [tokens] = await self._client.scores(build(question), [text], model=model)
        return fmean(tokens[:-1] or tokens)  # it was cut off: nothing says that it ends there


async def wrong(farm: Farm, ear: Ear) -> tuple[int, int]:
    """How many answers there are, and how many were not said by the adapter of their receipt."""
    with reading(farm.engine) as session:
        rows = select(Question.text, Answer.text, Answer.adapter).join(
            Answer,
            Answer.question_id == Question.id,  # type: ignore[arg-type]
        )
        found = list(session.exec(rows))
    heard = [
        (await ear.speaker(question, said.removesuffix(CUT_SHORT).strip()), adapter or BASE)
        for question, said, adapter in found
    ]
    return len(heard), sum(speaker != signed for speaker, signed in heard)
