"""Whether a server answers questions: it is asked one now and then, as /health alone tells little.

After one request to an adapter with NaN weights vLLM answers everybody with nothing; put to sleep,
it answers nobody: /health says 200 all the while. A server with a long queue is slow, too, and must
not be taken for a deaf one: as long as it counts further tokens, it works.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from serving.client import Broken, Completion, ServingError, Unreachable, VllmClient
from serving.probes import HELLO, BadProbe, check_sane

ANSWER_S = 20.0  # for one token; then its counters are looked at
DEAF_S = 120.0  # without an answer and without a token: it will not come back by itself
SICK_TIMES = 3  # answers in a row that are none: one may be an accident
# Of each adapter and the base, by vLLM's own count.
TOKENS = ("vllm:generation_tokens_total", "vllm:prompt_tokens_total")
CORRUPTED = "vllm:corrupted_requests_total"
STARTED = "process_start_time_seconds"


class Pulse:
    """One server's answers to `beat`.

    Attributes:
        trouble: one line, while it is known that the server cannot answer; None otherwise.
        corrupted: of its own requests since it started, by vLLM's own count (NaN in the logits).
        restarts: how often it was found to have been started again.
    """

    def __init__(
        self,
        client: VllmClient,
        *,
        answer_s: float = ANSWER_S,
        deaf_s: float = DEAF_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.trouble: str | None = None
        self.corrupted = 0.0
        self.restarts = 0
        self._client = client
        self._answer_s, self._deaf_s, self._clock = answer_s, deaf_s, clock
        self._heard = clock()
        self._sick = 0
        self._spoke = False
        self._tokens: float | None = None
        self._started: float | None = None

    @property
    def lost(self) -> str | None:
        """What is wrong, once only a new start helps."""
        if self._sick >= SICK_TIMES:
            return f"vLLM answers /health, but not questions ({self.trouble})"
        if self._clock() - self._heard > self._deaf_s:
            return f"vLLM did not answer for {self._deaf_s:.0f} s"
        return None

    async def beat(self) -> None:
        """Ask for one token of the base model, and note what came of it. Never raises for what the
        server does."""
        before = self.corrupted
        try:
            async with asyncio.timeout(self._answer_s):
                self._check(await self._client.complete(HELLO, max_tokens=1))
        except TimeoutError:
            await self._be_patient()
            return
        except Unreachable:
            return  # whoever looks for it will say so; here it counts as silence
        except (BadProbe, Broken, ValueError) as error:
            await self._look()
            self._ill(f"asked for one word: {error}")
            return
        except ServingError:
            pass  # a wrong key, too many requests: it speaks, and a new start is no cure for it
        await self._look()
        if self.corrupted > before:
            # NaN stays in parts of its memory: who gets them is answered with nothing.
            self._ill(f"{self.corrupted - before:.0f} requests were answered with NaN")
        else:
            self._well()

    def _check(self, answer: Completion) -> None:
        check_sane(answer, self._client.url)
        # Some models begin with a token that is no text; who once spoke does not fall silent.
        if self._spoke and not answer.text:
            raise BadProbe(f"{self._client.url} answers without a word")
        self._spoke = self._spoke or bool(answer.text)

    def _ill(self, how: str) -> None:
        self._sick += 1
        self._heard = self._clock()
        self.trouble = how

    def _well(self) -> None:
        self._sick, self.trouble = 0, None
        self._heard = self._clock()

    async def _be_patient(self) -> None:
        before, now = self._tokens, await self._look()
        if now is not None and now != before:
            self._well()
        elif not self._sick:
            silent_s = self._clock() - self._heard
            self.trouble = f"no answer for {silent_s:.0f} s, and no token made meanwhile"

    async def _look(self) -> float | None:
        """The tokens that it has counted; None when it does not say."""
        try:
            async with asyncio.timeout(self._answer_s):
                figures = await self._client.figures()
        except (ServingError, TimeoutError):
            return None
        started = figures.get(STARTED)
        self.restarts += self._started not in (None, started)
        self._started = started
        self.corrupted = figures.get(CORRUPTED, 0.0)
        counted = [figures[name] for name in TOKENS if name in figures]
        self._tokens = sum(counted) if counted else None
        return self._tokens
