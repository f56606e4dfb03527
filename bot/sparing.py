"""Spare time: what nobody waits for uses the models only while no question is being answered."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


class Wanted(Exception):
    """A question is being answered, so there is no spare time now."""


class SpareTime:
    """Who answers questions takes the time; work in spare time is broken off at once. One in a
    process, and of its event loop."""

    def __init__(self) -> None:
        self._answering = 0
        self._spare: set[asyncio.Task[Any]] = set()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """A question is being answered."""
        self._answering += 1
        for task in self._spare:
            task.cancel()
        try:
            yield
        finally:
            self._answering -= 1

    async def use(self, work: Coroutine[Any, Any, T]) -> T:
        """What the work comes to. Raises Wanted, and then it was broken off."""
        if self._answering:
            work.close()
            raise Wanted(Wanted.__doc__)
        task = asyncio.create_task(work)
        self._spare.add(task)
        try:
            await asyncio.wait({task})
        finally:  # it may be we who are cancelled
            self._spare.discard(task)
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
        if task.cancelled():
            raise Wanted(Wanted.__doc__)
        return task.result()
