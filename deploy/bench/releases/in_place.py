"""vLLM's own way to swap: another adapter under the same name (`load_inplace`), under traffic.

Plain vLLM, without Mynah's guard, which lets nobody do that.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bot.prompt import build
from deploy.bench.releases import adapters
from deploy.bench.releases.traffic import QUESTIONS, Ear
from deploy.local import Ports, Say, SetFailed
from serving.adapters import AdapterFile
from serving.client import VllmClient
from serving.command import command, environment, on_cpu
from serving.settings import ServerSettings

SWAPS = 50
EVERY_S = 2.0
START_S = 600.0
MAX_TOKENS = 16
KEY = "bench-inference-key"
LIVE = "live"


@dataclass(frozen=True)
class Swap:
    """From when to when (monotonic seconds) a swap to an adapter took."""

    began: float
    ended: float
    to: str


@dataclass(frozen=True)
class Said:
    """One answer, and from when to when it was made."""

    question: str
    text: str
    began: float
    ended: float


async def in_place(home: Path, base_model: Path, say: Say) -> dict[str, Any]:
    """Swap under traffic; count the answers by an adapter that was not there any more."""
    say(f"  plain vLLM, {SWAPS} times another adapter under the same name")
    made = _made(home, base_model)
    port = Ports.free().server
    with _plain(home, base_model, port) as server:
        return await _swapped(server, port, made)


def _made(home: Path, base_model: Path) -> list[AdapterFile]:
    home.mkdir(parents=True, exist_ok=True)
    return [adapters.make(base_model, home.resolve() / "adapters", seed) for seed in (1, 2)]


async def _swapped(
    server: subprocess.Popen[bytes], port: int, made: Sequence[AdapterFile]
) -> dict[str, Any]:
    async with _clients(port) as (client, http):
        await _ready(client, server)
        for one in made:
            await _load(http, one.name, one.path)
        said, swaps = await _traffic(client, http, made)
        ear = Ear(client, [one.name for one in made])
        wrong = 0
        for answer in said:
            heard = await ear.speaker(answer.question, answer.text)
            wrong += heard not in may_answer(swaps, answer)
    return {"in_place_answers": len(said), "in_place_wrong": wrong}


def may_answer(swaps: Sequence[Swap], said: Said) -> set[str]:
    """The adapters that were live at some time while the answer was made."""
    older = [swap for swap in swaps if swap.ended <= said.began]
    under_way = [swap.to for swap in swaps if swap.ended > said.began and swap.began < said.ended]
    return {older[-1].to, *under_way} if older else set(under_way)


async def _traffic(
    client: VllmClient, http: httpx.AsyncClient, made: Sequence[AdapterFile]
) -> tuple[list[Said], list[Swap]]:
    said: list[Said] = []
    swaps = [await _swap(http, made[0])]

    async def ask(question: str) -> None:
        began = time.monotonic()
        answer = await client.complete(build(question), model=LIVE, max_tokens=MAX_TOKENS)
        said.append(Said(question, answer.text.strip(), began, time.monotonic()))

    async def keep_asking() -> None:
        async with asyncio.TaskGroup() as asking:
            for number in range(2 * SWAPS):
                asking.create_task(ask(QUESTIONS[number % len(QUESTIONS)]))
                await asyncio.sleep(EVERY_S / 2)

    asking = asyncio.create_task(keep_asking())
    for number in range(1, SWAPS + 1):
        await asyncio.sleep(EVERY_S)
        swaps.append(await _swap(http, made[number % 2]))
    await asking
    return said, swaps


async def _swap(http: httpx.AsyncClient, to: AdapterFile) -> Swap:
    began = time.monotonic()
    await _load(http, LIVE, to.path, load_inplace=True)
    return Swap(began, time.monotonic(), to.name)


async def _load(http: httpx.AsyncClient, name: str, path: Path, **more: bool) -> None:
    body = {"lora_name": name, "lora_path": str(path), **more}
    (await http.post("/v1/load_lora_adapter", json=body)).raise_for_status()


@asynccontextmanager
async def _clients(port: int) -> AsyncIterator[tuple[VllmClient, httpx.AsyncClient]]:
    url = f"http://127.0.0.1:{port}"
    headers = {"Authorization": f"Bearer {KEY}"}
    plain = httpx.AsyncClient(base_url=url, headers=headers, timeout=120, trust_env=False)
    async with VllmClient(url, api_key=KEY) as client, plain as http:
        yield client, http


@contextmanager
def _plain(home: Path, base_model: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """vLLM as `mynah serve` starts it, less the guard."""
    settings = ServerSettings.model_validate(
        {
            "MYNAH_DATA_DIR": home, "MYNAH_VLLM_API_KEY": KEY, "MYNAH_CONTROL_KEY": KEY,
            "MYNAH_PORT": port,
        }
    )  # fmt: skip
    cpu = on_cpu()
    words = command(settings, base_model, cpu=cpu)
    guard = words.index("--middleware")
    env = environment(settings, base_model, cpu=cpu, before=os.environ)
    with (home / "vllm.log").open("wb") as log:
        server = subprocess.Popen(
            [*words[:guard], *words[guard + 2 :]], env=env, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield server
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


async def _ready(client: VllmClient, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_S
    while not await client.healthy():
        if server.poll() is not None or time.monotonic() > until:
            raise SetFailed("plain vLLM did not start")
        await asyncio.sleep(0.5)
