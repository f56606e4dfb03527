"""Changes of what is live while people ask: promote, roll back, canary up and down."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from sqlmodel import Session

from bot import releases
from bot.store.schema import Release
from deploy.bench.figures import percentile
from deploy.bench.releases.farm import BY, TEAM, Farm
from deploy.bench.releases.traffic import QUESTIONS, Ear, Traffic, wrong
from serving.client import BASE

CHANGES = 50
EVERY_S = 2.0  # between two changes, and between two questions
CALM_S = 60.0  # the same traffic without a change, to compare with
ROLLBACKS = 30
PROMOTIONS = 5
CANARY = 0.5
OLD = 2  # the number of the release that is live before each change


async def swaps(farm: Farm, first: Release, second: Release) -> dict[str, Any]:
    """Changes under steady load; both releases have to be ready."""
    farm.say(f"  the same questions without a change, for {CALM_S:.0f} s")
    async with Traffic(farm, EVERY_S).flowing() as calm:
        await asyncio.sleep(CALM_S)
    farm.say(f"  {CHANGES} changes, one every {EVERY_S:.0f} s")
    farm.promote(first)
    async with Traffic(farm, EVERY_S).flowing() as busy:
        for number in range(CHANGES):
            farm.change(_change(number, second))
            await asyncio.sleep(EVERY_S)
    farm.say("  listening to who really said what")
    ear = Ear(farm.clients[0], [BASE, farm.name_of(first), farm.name_of(second)])
    answers, by_another = await wrong(farm, ear)
    return {
        "n": CHANGES,
        "questions": len(busy.asked),
        "failed": busy.failed + calm.failed,
        "answers": answers,
        "wrong_adapter": by_another,
        "worst_extra_s": round(max(busy.waits()) - max(calm.waits()), 2),
        "answer_p50_s": round(percentile(busy.waits(), 50), 2),
        "answer_p50_calm_s": round(percentile(calm.waits(), 50), 2),
    }


def _change(number: int, release: Release) -> Callable[[Session], object]:
    """In turn: a canary goes up, is taken down, the release goes live, and is rolled back. In
    between it is a candidate, which the servers hold, as before any promotion."""

    def up(session: Session) -> object:
        return releases.promote(session, release, by=BY, share=(CANARY, 1)[number // 2 % 2])

    def down(session: Session) -> object:
        releases.roll_back(session, TEAM, by=BY, number=OLD)
        return releases.add_candidate(session, TEAM, release.adapter_id or 0, by=BY)

    return down if number % 2 else up


async def promotions(farm: Farm, seeds: Sequence[int]) -> list[float]:
    """Seconds from a new candidate until every replica is ready with it, one each."""
    took = []
    for seed in seeds:
        release = farm.candidate(seed)
        began = time.monotonic()
        await farm.until_ready(release)
        took.append(round(time.monotonic() - began, 2))
        farm.discard(release)
        farm.say(
            f"  v{release.number} was ready on {len(farm.urls)} replicas after {took[-1]:.1f} s"
        )
    return took


async def roll_backs(farm: Farm, release: Release, count: int = ROLLBACKS) -> list[float]:
    """Seconds from a roll back to the first answer, by the old release, of who asks right then."""
    farm.say(f"  {count} roll backs")
    took = []
    for number in range(count):
        farm.promote(release)
        at = farm.change(lambda session: releases.roll_back(session, TEAM, by=BY, number=OLD))
        answer = await farm.people.ask_and_wait(QUESTIONS[number % len(QUESTIONS)])
        if answer is None or answer.release != f"v{OLD}":
            raise AssertionError(f"after a roll back v{OLD} should answer, not {answer}")
        took.append(round(float(answer.ts) - at, 3))
    return took
