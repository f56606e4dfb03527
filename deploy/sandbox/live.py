"""The page's WebSocket: all that a person sees, and then each change of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from deploy.sandbox import sent
from deploy.sandbox.elements import Json
from deploy.sandbox.errors import Impossible
from deploy.sandbox.feed import Watcher
from deploy.sandbox.unread import begin
from deploy.sandbox.viewer import Viewer
from deploy.sandbox.worlds import Worlds

AT_MOST_EVERY_S = 0.05  # an answer that is streamed changes more often than anybody can read
LOOK_EVERY_S = 1.0
MOST_REASON = 123  # bytes
NOT_HERE = 4004  # a close code of ours: there is no such person or workspace

SHARED = ("behind", "sockets", "faults", "log")

Behind = Callable[[], Json | None]


class Live:
    """`/page/live?as=NAME&team=ID`; see `page/socket.js` for the other end.

    behind: tells what happens behind the scenes. It is asked every second while somebody looks, in
        a thread of its own.
    """

    def __init__(self, worlds: Worlds, behind: Behind | None = None) -> None:
        self._worlds = worlds
        self._ask_behind = behind
        self._behind: Json | None = None
        self._watchers = 0
        self._looking: asyncio.Task[None] | None = None

    async def endpoint(self, websocket: WebSocket) -> None:
        """Serve one page, as the person whom it names."""
        query = websocket.query_params
        await websocket.accept()
        try:
            viewer = Viewer(self._worlds.of_team(query.get("team", "")), query.get("as", ""))
        except Impossible as error:
            await websocket.close(NOT_HERE, _cut(str(error)))
            return
        begin(viewer.world, viewer.user.id)
        self._somebody_looks()
        with self._worlds.feed.watch() as watcher:
            # Whichever ends first ends the other: a page that is told nothing more comes anew.
            both = [
                asyncio.create_task(self._tell(websocket, viewer, watcher)),
                asyncio.create_task(self._hear(websocket, viewer)),
            ]
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._somebody_leaves()
                for one in both:
                    one.cancel()
                await asyncio.gather(*both, return_exceptions=True)

    async def _tell(self, websocket: WebSocket, viewer: Viewer, watcher: Watcher) -> None:
        manifest = self._worlds.manifest
        offers = {"commands": manifest.commands, "shortcuts": manifest.shortcuts}
        read = self._worlds.ledger.last
        everything = viewer.everything() | offers | self._shared(SHARED, 0)
        await websocket.send_json({"kind": "all", **everything})
        while True:
            await watcher.wait()
            changes = watcher.take()
            kinds = {change[1] for change in changes if not change[0]}
            found = viewer.of(changes) | self._shared(kinds, read)
            read = self._worlds.ledger.last
            if found:
                await websocket.send_json({"kind": "more", **found})
            await asyncio.sleep(AT_MOST_EVERY_S)

    async def _hear(self, websocket: WebSocket, viewer: Viewer) -> None:
        """All that a page says here is that somebody types; what they do goes through the API."""
        while True:
            try:
                typed = sent.read(await websocket.receive_text())["typing"]
                channel, thread = str(typed["channel"]), str(typed.get("thread_ts") or "")
            except (WebSocketDisconnect, RuntimeError):
                return
            except (ValueError, KeyError, TypeError):
                continue  # no page of ours says this
            found = viewer.world.workspace.channels.get(channel)
            if found is not None and viewer.sees_channel(found):
                viewer.world.changed("typing", channel, thread, viewer.user.id)

    def _shared(self, kinds: Iterable[str], read: int) -> Json:
        """What is the same for everybody; `read` is the last entry that a page knows."""
        home, ledger = self._worlds.home, self._worlds.ledger
        tellers: dict[str, Callable[[], Any]] = {
            "behind": lambda: self._behind,
            "sockets": lambda: len(home.courier.sockets.live()),
            "faults": home.faults.as_json,
            "log": lambda: [entry.as_json() for entry in ledger.since(read)],
        }
        return {kind: tellers[kind]() for kind in kinds if kind in tellers}

    def _somebody_looks(self) -> None:
        self._watchers += 1
        if self._ask_behind is not None and self._looking is None:
            self._looking = asyncio.create_task(self._look_behind(self._ask_behind))

    def _somebody_leaves(self) -> None:
        self._watchers -= 1
        if not self._watchers and self._looking is not None:
            self._looking.cancel()
            self._looking = None

    async def _look_behind(self, ask: Behind) -> None:
        while True:
            found = await asyncio.to_thread(ask)
            if found != self._behind:
                self._behind = found
                self._worlds.feed.tell("", "behind")
            await asyncio.sleep(LOOK_EVERY_S)


def _cut(reason: str) -> str:
    """As much of it as a closing WebSocket can say."""
    return reason.encode()[:MOST_REASON].decode(errors="ignore")
