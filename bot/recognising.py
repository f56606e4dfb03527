"""What the weights recognise: of memory's matches, the answer that they would give by themselves.

To say an answer a small model has to find every word of it, and is lost at the first wrong one; how
likely it finds the approved answer after the question tells what it has learned all the same.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import fmean

from bot import prompt
from bot.knowing import Knowing
from bot.marks import tells, unknown
from bot.memory import Match, Memory
from bot.routing import NoModel, NoServer, Router
from serving.client import NoScores, Refused

log = logging.getLogger(__name__)
LOOKED_AT = 2  # matches: the right one was always among them
LONGEST_CHARS = 1000  # of an answer; no more than about that is trained (`Recipe`)
WITHIN_S = 10.0  # a question waits no longer for the weights' word, whatever it waits for
BUSY_S = 30.0  # after a time-out: a server that has too much to do gets no more of this
AWAY_S = 600.0  # a server that cannot tell is not asked again so soon


class Recognising:
    """Asks the weights about memory's matches. One for all questions of a workspace."""

    def __init__(
        self, memory: Memory, router: Router, knowing: Knowing, *, within_s: float = WITHIN_S
    ) -> None:
        self._memory = memory
        self._router = router
        self._knowing = knowing
        self._within_s = within_s
        self._away_until = -math.inf

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
        try:
            async with asyncio.timeout(self._within_s):
                return await self._found(question, adapter, matches, taught)
        except NoScores as error:
            self._leave(AWAY_S, adapter, error)
        except TimeoutError as error:
            self._leave(BUSY_S, adapter, error)
        except (Refused, NoServer, NoModel) as error:  # about this question, or this moment
            log.info("%s was not asked what it recognises: %s", adapter, error)
        return None

    async def spilling(self, adapter: str | None, *asked: str) -> Callable[[str], bool]:
        """Tells of a text whether it says, by heart, what the weights were taught for another
        question: something taught, though they recognise nothing for this one.

        Args:
            asked: the question and its thread; whoever repeats what stands there tells nothing.
        """
        if adapter is None or not self._memory.asks_weights or self._is_away():
            return _never
        marks = await asyncio.to_thread(lambda: unknown(self._knowing.marks(adapter), *asked))
        return lambda text: tells(text, marks)  # called at each token

    def _is_away(self) -> bool:
        return time.monotonic() < self._away_until

    def _leave(self, for_s: float, adapter: str, error: Exception) -> None:
        log.warning("%s is not asked what it recognises for %d s: %r", adapter, for_s, error)
        self._away_until = time.monotonic() + for_s

    def _taught(self, adapter: str, matches: Sequence[Match]) -> list[Match]:
        return [
            one
            for one in matches
            if len(one.answer) <= LONGEST_CHARS and self._knowing.was_taught(adapter, one)
        ]

    async def _found(
        self, question: str, adapter: str, matches: Sequence[Match], taught: Sequence[Match]
    ) -> Match | None:
        """The match that they recognise among the two best, and whatever disputes it."""
        found: Match | None = matches[0]
        asked: list[Match] = []
        weighed: list[Match] = []
        while found is not None:
            rivals = await asyncio.to_thread(self._memory.rivals, found, matches)
            if any(one not in taught for one in rivals):
                return None  # it may be the newer one
            wanted = [one for one in taught if one in matches[:LOOKED_AT] or one in rivals]
            more = [one for one in wanted if one not in asked]
            if not more:
                mistaken = await asyncio.to_thread(self._knowing.mistook, adapter, found)
                return None if mistaken else found
            asked += more
            weighed += await self._weighed(question, adapter, more)
            found = self._memory.recognised(weighed)
        return None

    async def _weighed(self, question: str, adapter: str, matches: Sequence[Match]) -> list[Match]:
        """The matches, with the mean log-probability (nats) of each answer's tokens."""
        chat, told = prompt.build(question), [prompt.defused(one.answer) for one in matches]
        scores = await self._router.scores(chat, told, model=adapter)
        return [replace(one, sure=fmean(each)) for one, each in zip(matches, scores, strict=True)]


def _never(_: str) -> bool:
    return False
