"""A queued row becomes an adapter that a real vLLM has answered with: every part is real."""

from __future__ import annotations

import asyncio
import sys
import time

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine
from sqlmodel import col, select

from bot import releases
from bot.store.database import reading, transaction
from bot.store.runs import request_run
from bot.store.schema import (
    Adapter,
    Evaluation,
    OutboxKind,
    OutboxMessage,
    Run,
    RunStatus,
    RunTrigger,
)
from tests.training.stage import TEAM, teach, worker_settings
from tests.vllm_server import Vllm, free_port
from training import worker
from training.recipe import Recipe
from training.worker import Pace

TRAINER = (sys.executable, "-m", "tests.training.small_cycle")
RECIPE = Recipe(rank=8, alpha=16, epochs=3, replay_per_step=1)
WITHIN_S = 540.0  # usually a quarter of it: the machine may be busy


@pytest.mark.slow
@pytest.mark.timeout(WITHIN_S + 300)
async def test_a_worker_brings_a_run_to_its_end(
    engine: Engine, sqlite_url: str, vllm: Vllm
) -> None:
    """The worker starts the trainer, loads the candidate into vLLM, measures it, and lets the gate
    decide; the right answers have become likelier, and the run's end is told."""
    teach(engine, facts=10)
    with transaction(engine) as session:
        request_run(session, team_id=TEAM, trigger=RunTrigger.COMMAND, recipe=RECIPE.model_dump())
    settings = worker_settings(
        vllm.adapters_dir.parent,
        vllm.url,
        port=free_port(),
        base_model=str(vllm.base_dir),
        database=SecretStr(sqlite_url),
        vllm_api_key=SecretStr(vllm.api_key),
        control_key=SecretStr(vllm.control_key),
    )
    stop = asyncio.Event()
    working = asyncio.create_task(
        worker.run(settings, pace=Pace(look_s=0.2), trainer=TRAINER, stop=stop)
    )
    try:
        run = await _ended(engine)
    finally:
        stop.set()
        await working
        await _unload_all(vllm)
    assert run.status in (RunStatus.RELEASED, RunStatus.KEPT, RunStatus.UNCLEAR), run.reasons
    with reading(engine) as session:
        evaluation = session.exec(select(Evaluation)).one()
        adapter = session.exec(select(Adapter)).one()
        rows = select(OutboxMessage).where(OutboxMessage.kind != OutboxKind.PICTURE)
        said = session.exec(rows.order_by(col(OutboxMessage.id))).all()
        live = releases.adapter_of(session, releases.live(session, TEAM))
    assert evaluation.figures["candidate"] == adapter.name
    assert evaluation.figures["gain_over_base"] > 0.5
    assert evaluation.figures["wordings"]["candidate"]["of"] >= 3
    assert (live is not None) == evaluation.passed == (run.status is RunStatus.RELEASED)
    assert {change.follows_id for change in said[1:]} <= {said[0].id}, "one message, changed"
    assert run.reasons[0] in said[-1].payload["text"]


async def _ended(engine: Engine) -> Run:
    until = time.monotonic() + WITHIN_S
    while True:
        with reading(engine) as session:
            run = session.exec(select(Run)).one()
        if run.finished_at is not None:
            return run
        assert time.monotonic() < until, f"still {run.phase} {run.progress:.0%}"
        await asyncio.sleep(0.5)


async def _unload_all(vllm: Vllm) -> None:
    async with vllm.client() as client:
        for name in await client.models():
            if name.startswith("mynah-"):
                await client.unload_adapter(name)
