"""A machine whose device holds vLLM or a training: real processes of each, a night of theirs."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.slack.metadata import is_notice
from bot.store.database import transaction
from bot.store.runs import request_run
from bot.store.schema import (
    Answer,
    AnswerMode,
    Example,
    OutboxMessage,
    Question,
    Run,
    RunStatus,
    RunTrigger,
)
from deploy.base_model import small_base_model
from serving import resting
from serving.client import VllmClient
from tests.bot.slack.house import House
from tests.bot.slack.test_away import notice
from tests.training.stage import TEAM, teach, worker_settings
from tests.vllm_server import API_KEY, CONTROL_KEY, free_port
from training import worker
from training.recipe import Recipe
from training.worker import Pace

ROOT = Path(__file__).parents[3]
TRAINER = (sys.executable, "-m", "tests.training.small_cycle")
RECIPE = Recipe(rank=8, alpha=16, epochs=3, replay_per_step=1)
KNOWN = {
    "Which port does the console listen on?": "It listens on 9443.",
    "Who waters the garden?": "Anna does so every morning.",
}
WITHIN_S = 900.0  # usually a quarter of it: the machine may be busy


@contextmanager
def serving(data_dir: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """`mynah serve`, as it makes room."""
    words = [str(data_dir), str(port), str(small_base_model())]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.serving.resting_serve", *words],
        stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)


@asynccontextmanager
async def working(house: House, url: str) -> AsyncIterator[None]:
    """`mynah worker`, with fewer questions to the base."""
    settings = worker_settings(
        house.directory, url, port=free_port(), base_model=str(small_base_model()),
        database=SecretStr(house.environment["DATABASE_URL"]), train_alone=True,
        vllm_api_key=SecretStr(API_KEY), control_key=SecretStr(CONTROL_KEY),
    )  # fmt: skip
    stop = asyncio.Event()
    task = asyncio.create_task(
        worker.run(settings, pace=Pace(look_s=0.2), trainer=TRAINER, stop=stop)
    )
    try:
        yield
    finally:
        stop.set()
        await task


async def until(true: Callable[[], bool]) -> None:
    late = time.monotonic() + WITHIN_S
    while not true():
        assert time.monotonic() < late
        await asyncio.sleep(0.2)


def mode_of(house: House, ts: str) -> AnswerMode | None:
    """How a question was answered; None: not yet."""
    [question] = [one for one in house.rows(Question) if one.ts == ts]
    found = [one for one in house.rows(Answer) if one.question_id == question.id]
    assert len(found) <= 1
    return found[0].mode if found else None


def run_of(house: House) -> Run:
    [run] = house.rows(Run)
    return run


@pytest.mark.slow
@pytest.mark.timeout(2 * WITHIN_S)
async def test_a_night_of_stop_train_and_start(house: House) -> None:
    """While vLLM is away for the training, an approved answer is quoted to a question that is near
    enough, another question waits with a notice, and is answered once vLLM is back; the run comes
    to its end, and nobody is alarmed."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    teach(house.engine, facts=10)
    with transaction(house.engine) as session:
        for question, answer in KNOWN.items():
            session.add(
                Example(
                    team_id=TEAM, question=question, answer=answer, approved_by="U0STAFF",
                    content_hash=question,
                )
            )  # fmt: skip
    few = {"MYNAH_MAX_TOKENS": "32", "MYNAH_UNSURE": "off", "MYNAH_TRAIN_ALONE": "on"}
    with serving(house.directory, port):
        async with VllmClient(url, api_key=API_KEY) as client:
            async with asyncio.timeout(WITHIN_S):
                while not await client.healthy():  # noqa: ASYNC110 - a process
                    await asyncio.sleep(1)
            here = {"MYNAH_VLLM_URLS": url, "MYNAH_VLLM_API_KEY": API_KEY}
            async with house.bot(**here, **few), working(house, url):
                with transaction(house.engine) as session:
                    request_run(
                        session, team_id=TEAM, trigger=RunTrigger.COMMAND,
                        recipe=RECIPE.model_dump(),
                    )  # fmt: skip
                await until(lambda: (run_of(house).phase or "").startswith("answers wait: "))
                assert not await client.healthy()
                near = await house.ask("Which port is the web console using today?")
                far = await house.ask("What is the capital of France?")
                text = (await notice(house, far))["blocks"][0]["text"]
                assert text.startswith("I am learning just now")
                await until(lambda: mode_of(house, near) is not None)
                assert mode_of(house, near) is AnswerMode.QUOTED_AWAY
                assert resting.asked(house.directory) is not None
                assert not await client.healthy()
                await until(lambda: run_of(house).finished_at is not None)
                await until(lambda: mode_of(house, far) is not None)
                assert mode_of(house, far) is AnswerMode.CLOSED_BOOK
                await house.quiet()
                for ts in (near, far):
                    [said] = await house.answers(ts)
                    assert not is_notice(said)
    run = run_of(house)
    assert run.status in (RunStatus.RELEASED, RunStatus.KEPT, RunStatus.UNCLEAR), run.reasons
    assert run.attempts == 1
    assert house.failed() == []
    assert not [row for row in house.rows(OutboxMessage) if "in trouble" in str(row.payload)]
    print(f"run 1: {run.status}", *run.reasons, sep="\n")
