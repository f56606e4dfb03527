"""A bench of the real bot: its process, a local Slack, and a model that answers at once."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import make_url

from deploy.bench.load import Crowd
from deploy.empty_store import make_store
from deploy.local import LocalSet, Ports, Say
from deploy.stand_in import StandIn
from serving.client import ChatMessage

MODERATE_EVENTS_PER_S = 20
MODERATE_S = 30.0
AT_ONCE = 200
PEOPLE = 32  # who ask without a pause, to find out what it sustains
SUSTAINED_S = 20.0
WARM = 20
TICK = os.sysconf("SC_CLK_TCK")


def bench(
    *, home: Path = Path(".mynah/bench"), database_url: str = "", embedder: str = "none",
    say: Say = print,
) -> dict[str, Any]:  # fmt: skip
    """Measure, and return the figures.

    Args:
        home: where its data goes; what an earlier bench left there is removed.
        database_url: an empty store to use; SQLite in `home` unless given.
        embedder: as in MYNAH_EMBEDDER.

    Raises:
        SetFailed: a process did not start, or a question was not answered.
    """
    shutil.rmtree(home, ignore_errors=True)
    return asyncio.run(_bench(home, database_url, embedder, say))


async def _bench(home: Path, database_url: str, embedder: str, say: Say) -> dict[str, Any]:
    began = time.monotonic()
    with LocalSet(home, home, Ports.free(), say=say, database_url=database_url) as local:
        await asyncio.to_thread(make_store, local.database_url)
        model = StandIn(_answer, api_key=local.env["MYNAH_VLLM_API_KEY"])
        await local.start_sandbox()
        async with model.served(local.ports.server), Crowd(local.sandbox_url) as crowd:
            await local.start_bot(MYNAH_EMBEDDER=embedder)
            await crowd.at_once(WARM)
            say(f"  {MODERATE_EVENTS_PER_S} events a second for {MODERATE_S:.0f} s")
            dice = Random(1)  # noqa: S311 - moments, not secrets
            moderate = await crowd.steadily(MODERATE_EVENTS_PER_S, MODERATE_S, dice)
            say(f"  {AT_ONCE} threads at once")
            at_once = await crowd.at_once(AT_ONCE)
            say(f"  {PEOPLE} people who ask without a pause for {SUSTAINED_S:.0f} s")
            sustained, cores, seconds = await _sustained(local, crowd)
    return {
        "events_per_s": round(len(sustained.acked_s) / seconds, 1),
        "questions_per_s": round(len(sustained.answered_s) / seconds, 1),
        **moderate.as_json(),
        f"at_once_{AT_ONCE}": at_once.as_json(),
        "sustained": sustained.as_json() | {"people": PEOPLE, "seconds": round(seconds, 1)},
        "cores_used": cores,
        "bottleneck": max(cores, key=lambda name: cores[name]),
        "load": f"{MODERATE_EVENTS_PER_S} events/s for {MODERATE_S:.0f} s, Socket Mode; a question "
        "is three events: message, app_mention and the bot's own answer",
        "database": make_url(local.database_url).get_backend_name(),
        "embedder": embedder,
        "cores": os.cpu_count(),
        "seconds": round(time.monotonic() - began, 1),
    }


async def _sustained(local: LocalSet, crowd: Crowd) -> tuple[Any, dict[str, float], float]:
    """The load, the cores that each process used meanwhile, and the seconds that it took."""
    pids = {name: child.pid for name, child in local.children.items()}
    pids["load and model"] = os.getpid()
    before, began = _cpu(pids), time.monotonic()
    load = await crowd.insistently(PEOPLE, SUSTAINED_S)
    seconds = time.monotonic() - began
    used = {name: round((spent - before[name]) / seconds, 2) for name, spent in _cpu(pids).items()}
    return load, used, seconds


def _cpu(pids: Mapping[str, int]) -> dict[str, float]:
    """The CPU seconds that each process has used so far, all its threads together."""
    spent = {}
    for name, pid in pids.items():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        spent[name] = (int(fields[11]) + int(fields[12])) / TICK
    return spent


def _answer(messages: Sequence[ChatMessage]) -> str:
    return "It listens on port 9443 unless somebody has changed that in its settings."
