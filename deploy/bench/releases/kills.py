"""A server that dies under load: what is lost, and how long until it is back."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from bot.store import fleet
from deploy.bench.releases.farm import Farm
from deploy.bench.releases.traffic import Traffic

EVERY_S = 2.0
BEFORE_S, AFTER_S = 10.0, 10.0


async def kill(farm: Farm, name: str, adapter: str) -> dict[str, Any]:
    """Kill one replica's vLLM while people ask, and wait until it is ready with the adapter."""
    farm.say(f"  {name} is killed")
    url = dict(zip(farm.ports, farm.urls, strict=True))[name]
    async with Traffic(farm, EVERY_S).flowing() as traffic:
        await asyncio.sleep(BEFORE_S)
        farm.kill(name)
        began, at = time.monotonic(), time.time()
        await farm.until(
            lambda session: [
                state for state in fleet.states(session) if state.url == url and not state.healthy
            ],
            1, 60, f"nobody noticed that {name} is gone",
        )  # fmt: skip
        noticed = time.monotonic() - began
        await farm.until(
            lambda session: [
                state
                for state in fleet.states(session)
                if state.url == url and state.healthy and adapter in state.adapters
            ],
            1, 600, f"{name} did not come back",
        )  # fmt: skip
        back = time.monotonic() - began
        await asyncio.sleep(AFTER_S)
    during = [one for one in traffic.asked if at <= one.at <= at + back]
    return {
        "replicas": len(farm.urls),
        "questions": len(traffic.asked),
        "failed": traffic.failed,
        "noticed_s": round(noticed, 1),
        "ready_again_s": round(back, 1),
        "asked_meanwhile": len(during),
        "worst_wait_s": round(max(traffic.waits()), 1),
        "last_queued_answer_s": round(max((one.answered - at for one in during), default=0.0), 1),
    }
