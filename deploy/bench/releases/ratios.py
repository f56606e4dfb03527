"""What Mynah adds to what vLLM takes by itself."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

from bot import releases
from bot.prompt import build
from bot.store import fleet
from bot.store.database import reading
from deploy.bench.releases import adapters
from deploy.bench.releases.farm import TEAM, Farm
from deploy.bench.releases.traffic import QUESTIONS
from serving.client import BASE, VllmClient
from serving.probes import HELLO

LOADS = 8
ANSWERS = 20
MAX_TOKENS = 16


async def loading(farm: Farm) -> dict[str, Any]:
    """From the load request until a published adapter is routable, and vLLM's bare load with one
    token; in turn, each with an adapter that the server never saw."""
    farm.say(f"  {LOADS} loads, and as many of vLLM's own")
    ours, bare = [], []
    for number in range(LOADS):
        release = farm.candidate(1000 + number)
        await farm.until_ready(release)
        ours.append(_load_s(farm, farm.name_of(release)))
        farm.discard(release)
        bare.append(await _bare(farm, 2000 + number))
    return {
        "load_ratio": round(median(ours) / median(bare), 2),
        "load_s": median(ours),
        "bare_load_s": round(median(bare), 3),
    }


async def answering(farm: Farm) -> dict[str, Any]:
    """A question asked in Slack until its answer stands there, one at a time, and the same prompt
    and length sent to vLLM; in turn."""
    farm.say(f"  {ANSWERS} answers, and as many of vLLM's own")
    ours, bare = [], []
    for number in range(ANSWERS):
        text = QUESTIONS[number % len(QUESTIONS)]
        answer = await farm.people.ask_and_wait(text)
        if answer is None:
            raise AssertionError("a question was not answered")
        ours.append(float(answer.ts) - float(answer.question_ts))
        began = time.monotonic()
        model = _live(farm)
        await farm.clients[0].complete(build(text), model=model, max_tokens=MAX_TOKENS)
        bare.append(time.monotonic() - began)
    return {
        "answer_ratio": round(median(ours) / median(bare), 2),
        "answer_s": round(median(ours), 3),
        "bare_answer_s": round(median(bare), 3),
    }


def _load_s(farm: Farm, name: str) -> float:
    """What the worker measured, on the replica that it took longest."""
    with reading(farm.engine) as session:
        return max(state.adapters[name].load_s for state in fleet.states(session))


async def _bare(farm: Farm, seed: int) -> float:
    made = adapters.make(farm.base_model, farm.local.home.resolve() / "adapters", seed)
    client: VllmClient = farm.clients[0]
    began = time.monotonic()
    await client.load_adapter(made.name, made.path, sha256=made.sha256)
    await client.complete(HELLO, model=made.name, max_tokens=1)
    took = time.monotonic() - began
    await client.unload_adapter(made.name)
    return took


def _live(farm: Farm) -> str:
    with reading(farm.engine) as session:
        adapter = releases.adapter_of(session, releases.live(session, TEAM))
        return adapter.name if adapter else BASE
