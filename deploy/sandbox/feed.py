"""What changes, told to whoever watches: the page, and what keeps the state on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

Change = tuple[str, ...]  # the team, what it is, and which: ("T0MYNAH", "message", channel, ts)


class Watcher:
    """What has changed since it was last taken; something that changed twice is named once.

    So a slow reader reads less, and never falls behind.
    """

    def __init__(self) -> None:
        self._changes: dict[Change, None] = {}
        self._some = asyncio.Event()

    def add(self, change: Change) -> None:
        """Note a change."""
        self._changes[change] = None
        self._some.set()

    def take(self) -> list[Change]:
        """What has changed, in the order in which it first did."""
        taken, self._changes = list(self._changes), {}
        self._some.clear()
        return taken

    async def wait(self) -> None:
        """Wait until there is something to take."""
        await self._some.wait()


class Feed:
    """Everybody who watches."""

    def __init__(self) -> None:
        self._watchers: list[Watcher] = []

    def tell(self, *change: str) -> None:
        """Something has changed: its team ("" where it is of none), what it is, and which."""
        for watcher in self._watchers:
            watcher.add(change)

    @contextmanager
    def watch(self) -> Iterator[Watcher]:
        """Hear of each change from now on."""
        watcher = Watcher()
        self._watchers.append(watcher)
        try:
            yield watcher
        finally:
            self._watchers.remove(watcher)
