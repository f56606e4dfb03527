"""The sandbox's state on disk: what was answered `ok` is there after a restart, however it ended.

A thing is a row, written from what the feed tells before an answer goes out. SQLite zeroes what is
deleted, and the log of its changes is emptied within a second: what was taken back can be read no
more.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deploy.sandbox.courier import Delivery
from deploy.sandbox.errors import NotKept
from deploy.sandbox.feed import Watcher
from deploy.sandbox.state_rows import restore, rows
from deploy.sandbox.world import World
from deploy.sandbox.worlds import Worlds

NAME = "sandbox.db"
PAUSE_S = 0.5  # the log is emptied this often, and what no answer waits for is written
_OURS = 0x4D796E61  # in the file's header, so that no other file is taken for ours
_VERSION = 1
_NEW = f"""BEGIN;
    CREATE TABLE thing (
        team TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (team, kind, id)
    );
    PRAGMA application_id={_OURS};
    PRAGMA user_version={_VERSION};
COMMIT;"""
_PUT = """INSERT INTO thing VALUES (?, ?, ?, ?)
    ON CONFLICT (team, kind, id) DO UPDATE SET body = excluded.body"""
_DROP = "DELETE FROM thing WHERE (team, kind, id) = (?, ?, ?)"

Plant = Callable[[World], None]


class StateFile:
    """The file of one sandbox, which no other sandbox uses meanwhile.

    Args:
        path: the file; it is made when it is not there.
        reset: forget what was kept, whatever it is.
        plant: says what is there before anybody comes, where nothing was kept.

    Raises:
        NotKept: another sandbox uses it, or it is damaged, foreign, or cannot be made; nothing in
            it was changed.
    """

    def __init__(self, path: Path, *, reset: bool = False, plant: Plant | None = None) -> None:
        self.path = path
        self._plant = plant
        self._failing = False
        self._waiting: list[Delivery] = []
        self._watcher = Watcher()
        self._worlds: Worlds | None = None
        self._lock = _lock(path)
        try:
            if reset:
                for part in ("", "-wal", "-shm"):
                    Path(f"{path}{part}").unlink(missing_ok=True)
            self._database = _open(path)
        except BaseException:
            os.close(self._lock)
            raise

    def restore(self, worlds: Worlds) -> None:
        """Put everything in place as it was.

        Raises:
            NotKept: it cannot be read.
        """
        self._worlds = worlds
        find = "SELECT kind, id, body FROM thing WHERE team = ? ORDER BY rowid"
        try:
            for world in worlds:
                found = self._database.execute(find, (world.workspace.team,)).fetchall()
                self._waiting += restore(world, found)
                self._plant = None if found else self._plant
        except (ValueError, TypeError, LookupError, sqlite3.Error) as error:
            raise _damaged(self.path, "a part of it is not what was written") from error

    @contextlib.asynccontextmanager
    async def going(self) -> AsyncIterator[None]:
        """Carry on where the last one ended, and write what changes."""
        assert self._worlds is not None
        home = self._worlds.home
        with self._worlds.feed.watch() as self._watcher:
            for world in self._worlds:  # of a new workspace also what nobody has changed yet
                for channel in world.workspace.channels:
                    world.changed("channel", channel)
            if self._plant is not None:
                self._plant(home)
            for delivery in self._waiting:
                home.courier.send(delivery)
            self.write()
            writer = asyncio.create_task(self._go_on())
            try:
                yield
            finally:
                writer.cancel()
                await asyncio.gather(writer, return_exceptions=True)
                self.write()

    def write(self) -> None:
        """Write what has changed; where that fails, the next time tries it again."""
        changes = self._watcher.take()
        if not changes or self._worlds is None:
            return
        try:
            with self._database:  # all of it, or nothing
                for team, what, *which in changes:
                    for kind, name, body in rows(self._worlds.of_team(team), what, *which):
                        key = (team, kind, name)
                        if body is None:
                            self._database.execute(_DROP, key)
                        else:
                            self._database.execute(_PUT, (*key, body))
            self._failing = False
        except sqlite3.Error as error:
            for change in changes:
                self._watcher.add(change)
            self._complain(error)

    def close(self) -> None:
        """Let another sandbox use the file."""
        self._database.close()
        os.close(self._lock)

    async def _go_on(self) -> None:
        while True:
            await self._watcher.wait()
            self.write()
            await asyncio.sleep(PAUSE_S)
            self._empty_log()

    def _empty_log(self) -> None:
        try:
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as error:
            self._complain(error)

    def _complain(self, error: sqlite3.Error) -> None:
        """Say it once: whoever tries things out can go on."""
        if not self._failing:
            what = f"what is said from now on may be lost at the end: {self.path}: {error}"
            print(f"mynah sandbox: {what}", file=sys.stderr, flush=True)
        self._failing = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class WrittenFirst:
    """Lets no answer out before what it tells of is on disk."""

    def __init__(self, app: ASGIApp, keep: StateFile) -> None:
        self._app = app
        self._keep = keep

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_written(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._keep.write()
            await send(message)

        await self._app(scope, receive, send_written)


def _open(path: Path) -> sqlite3.Connection:
    try:
        # A uvicorn server may run in another thread than the one that made it.
        database = sqlite3.connect(path, timeout=1, check_same_thread=False)
    except sqlite3.Error as error:
        raise NotKept(f"{path} cannot be opened: {error}") from error
    try:
        if _asked(database, "page_count"):
            _check(path, database)
        else:
            database.executescript(_NEW)
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "secure_delete=ON"):
            database.execute(f"PRAGMA {pragma}").fetchall()
    except sqlite3.Error as error:
        database.close()
        raise _damaged(path, str(error)) from error
    except NotKept:
        database.close()
        raise
    return database


def _asked(database: sqlite3.Connection, pragma: str) -> object:
    return database.execute(f"PRAGMA {pragma}").fetchone()[0]


def _check(path: Path, database: sqlite3.Connection) -> None:
    """Raises NotKept, or sqlite3.Error, where a file is not a sandbox's own."""
    if _asked(database, "application_id") != _OURS:
        raise _damaged(path, "it is another program's")
    if _asked(database, "user_version") != _VERSION:
        raise _damaged(path, "another version of Mynah wrote it")
    if (found := _asked(database, "quick_check(1)")) != "ok":
        raise _damaged(path, str(found))


def _damaged(path: Path, why: str) -> NotKept:
    what = f"{path} cannot be used to go on: {' '.join(why.split())}"
    return NotKept(f"{what}. Nothing was changed; `--reset` removes it and starts again")


def _lock(path: Path) -> int:
    """Hold a file beside the database as long as this process lives."""
    beside = path.with_suffix(".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        held = os.open(beside, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise NotKept(f"{beside} cannot be made: {error.strerror}") from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        pid = os.pread(held, 20, 0).decode(errors="replace").strip() or "unknown"
        os.close(held)
        who = f"another sandbox (pid {pid})"
        elsewhere = "MYNAH_DATA_DIR names another directory, `--empty` keeps nothing"
        raise NotKept(f"{path} is in use by {who}: {elsewhere}") from error
    os.ftruncate(held, 0)
    os.pwrite(held, f"{os.getpid()}\n".encode(), 0)
    return held
