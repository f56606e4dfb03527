"""The bot's own memory over what was taught, in a store of its own."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bot.embedder import Embedder
from bot.memory import Memory
from bot.prompt import Note, build
from bot.store.database import open_engine, transaction
from bot.store.schema import Example
from deploy.empty_store import make_store
from serving.client import ChatMessage

TEAM, CHANNEL = "T0BENCH", "C0BENCH"


@dataclass(frozen=True)
class Turn:
    """What is done about a question: quote an answer, or ask the model this."""

    quote: str | None
    chat: list[ChatMessage]


class Recall:
    """Memory with the taught pairs in it. `cpu_s` is what it took to make."""

    def __init__(self, taught: Sequence[tuple[str, str]], embedder: Embedder) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="mynah-learning-"))
        url = f"sqlite:///{self._home / 'memory.db'}"
        make_store(url)
        self._engine = open_engine(url)
        began = time.process_time()
        with transaction(self._engine) as session:
            session.add_all(_example(question, answer) for question, answer in taught)
        self._memory = Memory(self._engine, embedder)
        self._memory.search(TEAM, CHANNEL, taught[0][0])
        self.cpu_s = time.process_time() - began

    def turn(self, question: str, *, quote: bool) -> Turn:
        """What the bot would do about the question."""
        match = self._memory.search(TEAM, CHANNEL, question)
        decision = self._memory.decide(match, quote=quote)
        if match is None or decision not in ("quote", "prompt"):
            return Turn(None, build(question))  # a hint leaves the model alone, too
        if decision == "quote":
            return Turn(match.answer, [])
        return Turn(None, build(question, note=Note(match.question, match.answer)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.dispose()
        shutil.rmtree(self._home, ignore_errors=True)


def _example(question: str, answer: str) -> Example:
    return Example(
        team_id=TEAM, question=question, answer=answer, approved_by="U0BENCH",
        content_hash=question,
    )  # fmt: skip
