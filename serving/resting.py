"""One device for both: the servers of a machine rest while a training has it to itself.

Two files in the data directory tell who. Each counts while a living process holds the kernel's lock
on it (flock(2)): whoever dies, by whatever, has given it up. Nothing has to be refreshed, nothing
goes stale, and a training begins only where no server is, and the other way round.

rest.json    why a training wants the device, and until when; locked by that training
device.lock  locked by who has the device: the servers together, or one training alone
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

WISH, DEVICE = "rest.json", "device.lock"
HERE = ("127.0.0.1", "localhost", "::1")
POLL_S = 0.5
RESTS = "rests: "  # so begins what is noted of a server that does
# A training that has not ended by then is ended by the worker; where not even that lives, a server
# tries a little later whether there is room for it.
GRACE, LONGEST_GRACE = timedelta(minutes=1), timedelta(minutes=3)
PATIENCE_S = 240.0  # for servers to let streams finish and go


class NoRest(Exception):
    """One line: why a training does not get the device."""


@dataclass(frozen=True)
class Rest:
    """What a training wants the device for, and until when at the latest."""

    why: str
    until: datetime

    @property
    def is_late(self) -> bool:
        """Whether whoever has the device should have ended by itself."""
        return datetime.now(UTC) > self.until + GRACE

    @property
    def is_overdue(self) -> bool:
        """Whether even the worker should have ended it."""
        return datetime.now(UTC) > self.until + LONGEST_GRACE

    def __str__(self) -> str:
        return f"{self.why}, until {self.until:%H:%M} UTC at the latest"


def asked(data_dir: Path) -> Rest | None:
    """The rest that a living training wants, or has; None while there is none."""
    try:
        wish = os.open(data_dir / WISH, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        if _locked(wish, fcntl.LOCK_SH):
            return None  # who wrote it is dead, or done
        told = json.loads(os.pread(wish, 10_000, 0))
        return Rest(told["why"], datetime.fromisoformat(told["until"]))
    finally:
        os.close(wish)


class Alone:
    """The device, had by one training until that closes this, or its process ends."""

    def __init__(self, data_dir: Path, rest: Rest) -> None:
        self._wish = _wish(data_dir, rest)
        self._device = os.open(data_dir / DEVICE, os.O_RDWR | os.O_CREAT, 0o640)

    async def taken(self, within_s: float) -> None:
        """Return once the servers have gone. Raises NoRest."""
        late = time.monotonic() + within_s
        while not _locked(self._device, fcntl.LOCK_EX):
            if time.monotonic() > late:
                raise NoRest(f"the model servers did not make room within {within_s:.0f} s")
            await asyncio.sleep(POLL_S)

    def close(self) -> None:
        """Let the servers come back."""
        os.close(self._device)
        os.close(self._wish)


async def alone(data_dir: Path, rest: Rest, *, within_s: float = PATIENCE_S) -> Alone:
    """Have the device to oneself. Memory on it may be held until the process ends, so a trainer
    does not close this.

    Raises:
        NoRest: the servers did not go in time.
    """
    device = Alone(data_dir, rest)
    try:
        await device.taken(within_s)
    except BaseException:
        device.close()
        raise
    return device


def misfits(urls: Sequence[str]) -> list[str]:
    """What speaks against MYNAH_TRAIN_ALONE where the servers are these."""
    found = []
    if len(urls) > 1:
        found.append(
            "MYNAH_TRAIN_ALONE is for one device that servers and trainings share: of several"
            " MYNAH_VLLM_URLS those rest that have it on and share this MYNAH_DATA_DIR"
        )
    away = [url for url in urls if (urlsplit(url).hostname or "") not in HERE]
    if away:
        found.append(
            f"MYNAH_TRAIN_ALONE: {', '.join(away)} may be another machine; nothing rests there"
            " unless it shares this MYNAH_DATA_DIR"
        )
    return found


class Share:
    """A server's part in the device.

    Args:
        data_dir: where trainings ask for it; None: they never do, as they do not need it alone.
    """

    def __init__(self, data_dir: Path | None) -> None:
        self._data_dir = data_dir
        self._lock: int | None = None

    async def take(self, say: Callable[[str], None]) -> None:
        """Return once this server may have the device; it says whom it waits for."""
        told: Rest | None = None
        while self._data_dir is not None and not self._taken(self._data_dir):
            rest = asked(self._data_dir)
            if rest is not None and rest != told:
                told = rest
                say(f"Resting: {rest}")
            await asyncio.sleep(POLL_S)

    async def wanted(self) -> None:
        """Return once a training wants the device."""
        while self._data_dir is None or not _counts(asked(self._data_dir)):  # noqa: ASYNC110 - files
            await asyncio.sleep(POLL_S)

    def give(self) -> None:
        """This server's models have left the device."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _taken(self, data_dir: Path) -> bool:
        rest = asked(data_dir)
        if _counts(rest):
            self.give()
            return False
        if self._lock is None:
            data_dir.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(data_dir / DEVICE, os.O_RDWR | os.O_CREAT, 0o640)
        # Who is overdue hangs, and so does the worker that should have ended it: nobody else is
        # left to find out whether there is room.
        if _locked(self._lock, fcntl.LOCK_SH) or rest is not None:
            return True
        self.give()
        return False


def _counts(rest: Rest | None) -> bool:
    return rest is not None and not rest.is_overdue


def _wish(data_dir: Path, rest: Rest) -> int:
    """Say what is wanted; it is locked before anybody can read it."""
    data_dir.mkdir(parents=True, exist_ok=True)
    beside = data_dir / f".{WISH}.{os.getpid()}"
    wish = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o640)
    fcntl.flock(wish, fcntl.LOCK_EX)
    os.write(wish, json.dumps({"why": rest.why, "until": rest.until.isoformat()}).encode())
    beside.replace(data_dir / WISH)
    return wish


def _locked(file: int, how: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(file, how | fcntl.LOCK_NB)
        return True
    return False
