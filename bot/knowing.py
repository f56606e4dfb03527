"""Two speeds: an approved answer is remembered at once, and leaves the prompt once the weights that
answer have proved to know it. With weights that have not, it is back."""

from __future__ import annotations

import math
import time

from sqlalchemy import Engine

from bot.marks import Judge
from bot.memory import Match
from bot.store import proofs
from bot.store.database import reading
from bot.store.proofs import NOTHING, Proof

FRESH_S = 60.0
MOST_ADAPTERS = 16  # whose marks are kept


class Knowing:
    """Says what the weights know by themselves. Safe to use from several threads."""

    def __init__(self, engine: Engine, *, fresh_s: float = FRESH_S) -> None:
        self._engine = engine
        self._fresh_s = fresh_s
        self._kept: dict[str, tuple[float, Proof]] = {}
        self._marks: dict[str, frozenset[str]] = {}

    def knows(self, adapter: str | None, match: Match) -> bool:
        """Whether the adapter has proved to know the match's answer; the base never has."""
        if adapter is None:
            return False
        return self._proof(adapter).knows(match.example_id, match.answer)

    def was_taught(self, adapter: str | None, match: Match) -> bool:
        """Whether the adapter was trained on the match, whatever came of it."""
        return adapter is not None and match.example_id in self._proof(adapter).examples

    def mistook(self, adapter: str, match: Match) -> bool:
        """Whether staff found the match's answer wrong where the adapter had recognised it."""
        return match.answer in self._proof(adapter).mistaken

    def marks(self, adapter: str) -> frozenset[str]:
        """What nobody says by chance of all that the adapter was taught (`bot.marks.tells`)."""
        if (found := self._marks.get(adapter)) is None:
            found = frozenset().union(*(fact.marks for fact in Judge.facts(self.lessons(adapter))))
            newest = list(self._marks.items())[1 - MOST_ADAPTERS :]
            self._marks = {**dict(newest), adapter: found}
        return found

    def lessons(self, adapter: str) -> list[tuple[str, str]]:
        """The questions and answers that the adapter was taught: it stays with them."""
        with reading(self._engine) as session:
            return proofs.lessons(session, adapter)

    def _proof(self, adapter: str) -> Proof:
        """An adapter's proof, read once a minute: it may be measured again, and staff may find
        wrong what it says."""
        oldest = time.monotonic() - self._fresh_s
        at, proof = self._kept.get(adapter, (-math.inf, NOTHING))
        if at < oldest:
            with reading(self._engine) as session:
                proof = proofs.of_adapter(session, adapter)
            kept = {name: one for name, one in self._kept.items() if one[0] >= oldest}
            self._kept = {**kept, adapter: (time.monotonic(), proof)}
        return proof
