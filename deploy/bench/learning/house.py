"""The bot itself, without Slack: its answering over a store of its own, with models in torch."""

from __future__ import annotations

import asyncio
import math
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

from sqlmodel import Session, select

from bot import releases
from bot.answering import Answering, Reply
from bot.embedder import Embedder
from bot.knowing import Knowing
from bot.memory import Match, Memory
from bot.prompt import Turn
from bot.recognising import Recognising
from bot.routing import Router
from bot.store.database import open_engine, reading, transaction
from bot.store.schema import Adapter, Answer, AnswerMode, Example, Question
from deploy.bench.learning.speaker import Speaker
from deploy.bench.learning.voices import Voices
from deploy.bench.passed import passed
from deploy.empty_store import make_store
from serving.client import BASE

TEAM, CHANNEL = "T0BENCH", "C0BENCH"
ADAPTER = "bench"
AT_ONCE = 64  # questions; more than a batch


@dataclass(frozen=True)
class Posted:
    """What people would read, and whether it was quoted."""

    text: str
    quoted: bool


class House:
    """A bot that was taught these pairs. `cpu_s` is what it took to fill its memory.

    Args:
        adapter: speaks for the adapter that was trained on the same pairs; None: the base is live.
    """

    def __init__(
        self,
        taught: Sequence[tuple[str, str]],
        embedder: Embedder,
        base: Speaker,
        adapter: Speaker | None,
    ) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="mynah-learning-"))
        url = f"sqlite:///{self._home / 'memory.db'}"
        make_store(url)
        self._engine = open_engine(url)
        self._speakers = {BASE: base} | ({ADAPTER: adapter} if adapter else {})
        self._asked = 0
        with transaction(self._engine) as session:
            releases.ensure_team(session, TEAM)
            if adapter is not None:
                _promote(session)
        began = time.process_time()
        with transaction(self._engine) as session:
            session.add_all(_example(question, answer) for question, answer in taught)
        self._memory = Memory(self._engine, embedder)
        self._memory.search(TEAM, CHANNEL, taught[0][0])
        self.cpu_s = time.process_time() - began

    def posted(self, questions: Sequence[str], max_tokens: int, *, quote: bool) -> list[Posted]:
        """What the bot would answer to each question, asked alone."""
        return asyncio.run(self._posted(questions, max_tokens, quote))

    async def _posted(self, questions: Sequence[str], max_tokens: int, quote: bool) -> list[Posted]:
        router, knowing = cast(Router, Voices(self._speakers)), Taught(self._engine)
        # All is asked at once, for larger batches: nothing is given up for having waited.
        patient = Recognising(self._memory, router, knowing, within_s=math.inf)
        answering = Answering(
            self._engine, self._memory, router, read_thread=_alone, render=_shown,
            said=lambda: None, knowing=knowing, recognising=patient, quote=quote,
            max_tokens=max_tokens,
        )  # fmt: skip
        ids = [self._ask(question) for question in questions]
        turn = asyncio.Semaphore(AT_ONCE)

        async def answer(question: int) -> None:
            async with turn:
                await answering.answer(question)

        await asyncio.gather(*map(answer, ids))
        with reading(self._engine) as session:
            rows = session.exec(select(Answer).where(Answer.team_id == TEAM))
            found = {row.question_id: row for row in rows}
        return [Posted(found[one].text, found[one].mode is AnswerMode.QUOTED) for one in ids]

    def _ask(self, text: str) -> int:
        self._asked += 1
        ts = f"{self._asked}.0"
        with transaction(self._engine) as session:
            question = Question(
                team_id=TEAM, channel=CHANNEL, thread_ts=ts, ts=ts, user="U0BENCH", text=text
            )
            session.add(question)
            session.flush()
            return question.id or 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.dispose()
        shutil.rmtree(self._home, ignore_errors=True)


class Taught(Knowing):
    """The adapter was taught all that is in memory; what it has proved to know nobody measured."""

    def was_taught(self, adapter: str | None, match: Match) -> bool:
        """See `Knowing.was_taught`."""
        return adapter is not None

    def lessons(self, adapter: str) -> list[tuple[str, str]]:
        """See `Knowing.lessons`."""
        with reading(self._engine) as session:
            return list(session.exec(select(Example.question, Example.answer)))


async def _alone(question: Question) -> Sequence[Turn]:
    return ()


def _shown(reply: Reply) -> Sequence[dict[str, Any]]:
    return [{"text": reply.text}]


def _example(question: str, answer: str) -> Example:
    return Example(
        team_id=TEAM, question=question, answer=answer, approved_by="U0BENCH",
        content_hash=question,
    )  # fmt: skip


def _promote(session: Session) -> None:
    """Let the adapter answer, as if it had passed the gate."""
    adapter = Adapter(
        team_id=TEAM, name=ADAPTER, sha256="0" * 64, path="/", base_model="base", base_sha256="0",
        rank=1,
    )  # fmt: skip
    releases.promote(session, passed(session, adapter), by="gate")
