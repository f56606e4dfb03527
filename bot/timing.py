"""How long a server takes for an answer, as its pieces come."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from serving.client import Completion


@dataclass(frozen=True)
class Generated:
    """An answer that a server generated, in seconds from the request on."""

    model: str
    first_s: float
    whole_s: float
    tokens: int


class Stopwatch:
    """Starts with the request; `grew` hears each piece, and tells whoever else listens."""

    def __init__(self, model: str, heard: Callable[[Completion], Awaitable[None]] | None) -> None:
        self._model = model
        self._heard = heard
        self._began = time.monotonic()
        self._first_s: float | None = None

    async def grew(self, so_far: Completion) -> None:
        """The answer says so much by now."""
        if self._first_s is None:
            self._first_s = time.monotonic() - self._began
        if self._heard is not None:
            await self._heard(so_far)

    def stop(self, whole: Completion) -> Generated:
        """The answer is whole."""
        whole_s = time.monotonic() - self._began
        first_s = whole_s if self._first_s is None else self._first_s
        return Generated(self._model, first_s, whole_s, len(whole.logprobs))
