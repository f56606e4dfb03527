"""Fakes around a real cycle: a trainer and an evaluation that take no time, on a real store, real
adapter files and a fake vLLM server that a real Fleet keeps in step."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Engine

from bot import releases
from bot.embedder import LexicalEmbedder
from bot.store.database import transaction
from bot.store.runs import claim_run, request_run
from bot.store.schema import Example, RunTrigger
from serving.adapters import AdapterFile
from serving.client import VllmClient
from tests.fake_vllm import API_KEY, CONTROL_KEY, probe_of
from tests.lora_files import make_adapter
from training.asked import Measured
from training.comparing import Compared
from training.exam import Pinned
from training.fleet import Fleet, Patience
from training.parts import Parts
from training.recipe import Recipe
from training.replay import Reply
from training.rows import Row
from training.settings import WorkerSettings
from training.train import Say, TrainJob

TEAM = "T0MYNAH"
CHANNEL = "C0ADMIN"
WAYS = ("where is {}", "{} location please", "looking for the place of {}", "directions to {}?")
THINGS = ("printer", "kitchen", "boiler", "archive", "garage", "library", "stage", "balcony")


COMPARED = Compared(likelihoods={}, prefers={}, kl=0.0)


class Figures(Measured):
    """What the fake evaluation measures."""

    right: int = 3
    live: str = ""


@dataclass(frozen=True)
class Verdict:
    """What the fake gate says."""

    passed: bool = True
    reasons: tuple[str, ...] = ("3 of 3 right",)
    enough: bool = True


def worker_settings(data_dir: Path, url: str, **fields: Any) -> WorkerSettings:
    """Settings that look at no environment and no `.env`."""
    values: dict[str, Any] = {
        "data_dir": data_dir,
        "base_model": "",
        "vllm_urls": (url,),
        "vllm_api_key": SecretStr(API_KEY),
        "control_key": SecretStr(CONTROL_KEY),
        "database": SecretStr(f"sqlite:///{data_dir / 'mynah.db'}"),
        "host": "127.0.0.1",
        "port": 0,
        "train_cron": "0 3 * * *",
        "timezone": "UTC",
        "min_new_examples": 1000,
        "recipe": "sft",
        "train_minutes": 0.0,
        "canary": 1.0,
        "embedder": "none",
        "admin_channel": CHANNEL,
    }
    return WorkerSettings.model_construct(None, **values | fields)


def teach(engine: Engine, facts: int = 8, start: int = 0) -> None:
    """Put `facts` facts in four wordings each into the store of a team with its v1."""
    with transaction(engine) as session:
        releases.ensure_team(session, TEAM)
        for fact in range(start, start + facts):
            thing = THINGS[fact % len(THINGS)] + "s" * (fact // len(THINGS))
            for way in WAYS:
                session.add(
                    Example(
                        team_id=TEAM,
                        question=way.format(thing),
                        answer=f"The {thing} is on floor {fact}.",
                        approved_by="U0STAFF",
                        content_hash=f"{fact}{way}",
                    )
                )


def queue_and_claim(engine: Engine, **recipe: Any) -> tuple[int, int]:
    """Queue a run and claim it, or take over the one that is there: its id and fence."""
    with transaction(engine) as session:
        request_run(
            session,
            team_id=TEAM,
            trigger=RunTrigger.COMMAND,
            recipe=Recipe(**recipe).model_dump(),
        )
        run = claim_run(session, "test", lease_s=-1)  # over at once: the next claim takes it over
        assert run is not None
        assert run.id is not None
        return run.id, run.fence


def fake_train(base: Path, seed: int = 0) -> Callable[[TrainJob, Say], Path]:
    """A trainer that writes random weights, the same ones for the same seed."""

    def train(job: TrainJob, say: Say) -> Path:
        say("training", 0.5)
        return make_adapter(job.work_dir / "adapter", base, seed=seed)

    return train


async def fake_evaluate(
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
) -> Figures:
    """Asks the candidate one thing, as the real evaluation does many times."""
    say("evaluating", 0.0)
    await client.complete([{"role": "user", "content": rows[0].question}], model=candidate.name)
    return Figures(live=live)


async def fake_replay(client: VllmClient, rows: Sequence[Row], cache: Path) -> list[Reply]:
    """The base model's answer to one prompt."""
    answer = await client.complete([{"role": "user", "content": "Hello"}])
    return [Reply("Hello", answer.text)]


def parts(settings: WorkerSettings, engine: Engine, base: Path, **others: Any) -> Parts:
    """The fakes, with some of them replaced."""
    made = Parts(
        settings=settings,
        engine=engine,
        base=lambda: base,
        embedder=LexicalEmbedder,
        replay=fake_replay,
        train=fake_train(base),
        forgetting=lambda client, cache: fake_replay(client, [], cache),
        compare=lambda *_: COMPARED,
        evaluate=fake_evaluate,
        decide=lambda _: Verdict(),
        expect=lambda _, adapter: probe_of(adapter),
        patience_s=10,
    )
    return replace(made, **others)


@asynccontextmanager
async def kept(settings: WorkerSettings, engine: Engine) -> AsyncIterator[Fleet]:
    """A real Fleet that keeps the servers in step meanwhile, as the worker does."""
    fleet = Fleet(settings, engine, every_s=0.2, patience=Patience(linger=timedelta(0)))

    async def keep() -> None:
        while True:
            await fleet.look()
            await asyncio.sleep(0.02)

    task = asyncio.create_task(keep())
    try:
        yield fleet
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await fleet.close()
