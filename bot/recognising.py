"""What the weights recognise: of memory's matches, the answer that they would give by themselves.

To say an answer a small model has to find every word of it, and is lost at the first wrong one; how
likely it finds the approved answer after the question tells what it has learned all the same.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from bot import prompt
from bot.knowing import Knowing
from bot.memory import Match, Memory
from bot.routing import NoModel, NoServer, Router
from serving.client import Refused

log = logging.getLogger(__name__)
LOOKED_AT = 2  # matches: the right one was always among them
LONGEST_CHARS = 1000  # of an answer; no more than about that is trained (`Recipe`)
AT_ONCE = 2  # questions: what is asked here may not hold up what is being said
WITHIN_S = 10.0
AWAY_S = 600.0  # a server that cannot tell is not asked again so soon


class Recognising:
    """Asks the weights about memory's matches. One for all questions of a process."""

    def __init__(self, memory: Memory, router: Router, knowing: Knowing) -> None:
        self._memory = memory
        self._router = router
        self._knowing = knowing
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._refused_at = -math.inf

    async def among(
        self, question: str, adapter: str | None, matches: Sequence[Match]
    ) -> Match | None:
        """The match that weights which were taught it would give themselves, with how sure they
        are of it; None where they would give none of them, or nobody can tell."""
        if adapter is None or not self._memory.asks_weights or self._is_away():
            return None
        taught = await asyncio.to_thread(self._taught, adapter, matches)
        # What they were not taught yet they cannot recognise, and nothing older is put before it.
        if taught[:1] != [*matches[:1]]:
            return None
        if self._memory.is_disputed(matches[0]) and taught != [*matches]:
            return None
        sure = await self._ask(question, adapter, [one.answer for one in taught])
        weighed = [replace(one, sure=each) for one, each in zip(taught, sure, strict=False)]
        return self._memory.recognised(weighed)

    def _is_away(self) -> bool:
        return time.monotonic() - self._refused_at < AWAY_S

    def _taught(self, adapter: str, matches: Sequence[Match]) -> list[Match]:
        return [
            one
            for one in matches
            if len(one.answer) <= LONGEST_CHARS and self._knowing.was_taught(adapter, one)
        ]

    async def _ask(self, question: str, adapter: str, answers: Sequence[str]) -> list[float]:
        """The mean log-probability (nats) of each answer's tokens; of none when nobody can tell."""
        chat, told = prompt.build(question), [prompt.defused(answer) for answer in answers]
        try:
            async with self._slots, asyncio.timeout(WITHIN_S):
                scores = await self._router.scores(chat, told, model=adapter)
        except Refused as error:
            log.warning("%s is not asked what it recognises: %s", adapter, error)
            self._refused_at = time.monotonic()
            return []
        except (NoServer, NoModel, TimeoutError) as error:
            log.info("%s was not asked what it recognises: %s", adapter, error)
            return []
        return [fmean(logprobs) for logprobs in scores]
