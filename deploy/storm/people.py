"""People in the local Slack: what they do through its Web API, and what they see there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import httpx

from deploy.personas import BOT, CHANNEL
from deploy.storm.acts import Act, Do
from deploy.storm.ending import CODE, Ending

LOOK_S = 0.1
Message = dict[str, Any]


class NotDone(Exception):
    """What a person was about to do could not be done."""


class People:
    """Everybody at once. Use as a context manager."""

    def __init__(self, url: str) -> None:
        # Given up before the server does: it closes a connection that idles for 5 s.
        kept = httpx.Limits(keepalive_expiry=2)
        self._http = httpx.AsyncClient(base_url=url, timeout=30, trust_env=False, limits=kept)
        self._seen: dict[str, Message] = {}  # ts → the message as it stood last
        self._news = asyncio.Condition()
        self._since = ""
        self.ts: dict[str, str] = {}  # by the name of a message

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def do(self, act: Act) -> None:
        """Do one act. Raises NotDone."""
        if act.do is Do.SAY:
            thread = {"thread_ts": self.ts[act.thread]} if act.thread else {}
            said = await self._call(act, "chat.postMessage", text=act.words, **thread)
            self.ts[act.on] = said["ts"]
            return
        if (ts := self.ts.get(act.on)) is None:
            raise NotDone(f"{act.do.value} by {act.who} on {act.on}: it is not there")
        if act.do is Do.EDIT:
            await self._call(act, "chat.update", ts=ts, text=act.words)
        elif act.do is Do.DELETE:
            await self._call(act, "chat.delete", ts=ts)
        else:
            method = "reactions.add" if act.do is Do.REACT else "reactions.remove"
            await self._call(act, method, timestamp=ts, name=act.words)

    async def fault(self, **order: Any) -> None:
        """Order bad luck."""
        (await self._http.post("/_control/faults", json=order)).raise_for_status()

    async def counts(self) -> dict[str, int]:
        """How many events there were, and what became of them."""
        found: dict[str, int] = (await self._state(parts="counts"))["counts"]
        return found

    async def watch(self) -> None:
        """Keep looking at what stands in the channel, for those who wait."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """See what stands in the channel now."""
        found = await self._state(parts="messages", channel=CHANNEL, since=self._since)
        self._since = found["now"]
        async with self._news:
            for message in found["messages"].get(CHANNEL, []):
                self._seen[message["ts"]] = message
            self._news.notify_all()

    async def until_answered(self, so_far: Ending, within_s: float) -> None:
        """Wait until each question has one answer, to its last words. Raises NotDone."""
        try:
            async with asyncio.timeout(within_s), self._news:
                await self._news.wait_for(lambda: self._all_answered(so_far))
        except TimeoutError:
            names = ", ".join(so_far.answered)
            raise NotDone(f"no answer to {names} within {within_s:.0f} s") from None

    def answers(self, thread: str) -> list[Message]:
        """What the bot says in a thread that answers something, as it stands."""
        root = self.ts.get(thread)
        return [
            message for message in self._seen.values()
            if message.get("user") == BOT and message.get("thread_ts") == root
            if not message.get("deleted") and CODE.search(message["text"])
        ]  # fmt: skip

    def _all_answered(self, so_far: Ending) -> bool:
        for name, codes in so_far.answered.items():
            found = shown(self.answers(name.split(".")[0]), codes)
            if len(found) != 1:
                return False
            self.ts[f"answer:{name}"] = found[0]["ts"]
        return True

    async def _call(self, act: Act, method: str, **arguments: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer xoxp-{act.who}"}
        body = {"channel": CHANNEL, **arguments}
        reply = (await self._http.post(f"/api/{method}", json=body, headers=headers)).json()
        if not reply["ok"]:
            raise NotDone(f"{method} by {act.who} on {act.on}: {reply['error']}")
        return dict(reply)

    async def _state(self, **query: str) -> dict[str, Any]:
        reply = await self._http.get("/_control/state", params=query)
        reply.raise_for_status()
        return dict(reply.json())


def shown(answers: Sequence[Message], codes: set[str]) -> list[Message]:
    """Those of the answers that hold one of the codes."""
    return [one for one in answers if (said := CODE.search(one["text"])) and said[0] in codes]
