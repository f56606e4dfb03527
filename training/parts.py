"""What a cycle works with, wired at the edge."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import Engine

from bot.embedder import Embedder, open_embedder
from bot.store.database import open_engine
from serving.adapters import AdapterFile
from serving.base import locate
from serving.client import VllmClient
from serving.probes import Probe
from training.asked import Measured
from training.comparing import Compared
from training.exam import Pinned
from training.recipe import Recipe
from training.replay import Reply
from training.rows import Row
from training.settings import WorkerSettings

if TYPE_CHECKING:
    from training.train import Say, TrainJob

PATIENCE_S = 600.0  # for a server: a restarted vLLM takes a minute or more


class Verdict(Protocol):
    """What the gate says of an evaluation."""

    @property
    def passed(self) -> bool: ...
    @property
    def enough(self) -> bool: ...
    @property
    def reasons(self) -> Sequence[str]: ...


class Evaluate(Protocol):
    """How a candidate is measured against the live model and the base."""

    async def __call__(
        self,
        client: VllmClient,
        *,
        base_model: str,
        candidate: AdapterFile,
        live: str,
        rows: Sequence[Row],
        recipe: Recipe,
        say: Say,
        pins: Sequence[Pinned],
        cache: Path,
        withheld_below: float,
        compared: Compared | None,
    ) -> Measured: ...


class Compare(Protocol):
    """What torch finds of a candidate: see `training.comparing`."""

    def __call__(
        self,
        base_model: str,
        candidate: AdapterFile,
        live: str,
        rows: Sequence[Row],
        replies: Sequence[Reply],
        recipe: Recipe,
        say: Say,
    ) -> Compared: ...


@dataclass(frozen=True)
class Parts:
    """The parts of one run; tests put others in their places."""

    settings: WorkerSettings
    engine: Engine
    base: Callable[[], Path]
    embedder: Callable[[], Embedder]
    # The rows are the trained ones; the path is a file to keep the answers in.
    replay: Callable[[VllmClient, Sequence[Row], Path], Awaitable[list[Reply]]]
    train: Callable[[TrainJob, Say], Path]
    # What is asked of the base before a comparison; the path is as with `replay`.
    forgetting: Callable[[VllmClient, Path], Awaitable[list[Reply]]]
    compare: Compare
    evaluate: Evaluate
    decide: Callable[[Any], Verdict]  # of what `evaluate` returned
    expect: Callable[[str, Path], Probe]  # of a base model and a published adapter on it
    patience_s: float = PATIENCE_S


def real_parts(settings: WorkerSettings) -> Parts:
    """The parts of a real run. torch comes along here."""
    from training.comparing import compare
    from training.evaluate import evaluate, forgetting
    from training.gate import decide
    from training.probing import expect
    from training.replay import replay
    from training.train import train

    async def replayed(client: VllmClient, rows: Sequence[Row], cache: Path) -> list[Reply]:
        return await replay(client, rows, open_embedder(settings.embedder).embed, cache)

    return Parts(
        settings=settings,
        engine=open_engine(settings.database_url),
        base=lambda: locate(settings.base_model),
        embedder=lambda: open_embedder(settings.embedder),
        replay=replayed,
        train=train,
        forgetting=forgetting,
        compare=compare,
        evaluate=partial(evaluate, judging=settings.judging),
        decide=decide,
        expect=expect,
    )
