"""A local Slack for tests: the real sandbox in a thread, on a free port."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import TracebackType
from typing import Any, Self

import httpx
import pytest
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient
from starlette.applications import Starlette

from deploy.sandbox.app import listen, server
from deploy.sandbox.courier import Timing
from deploy.sandbox.live import Behind
from deploy.sandbox.state_file import StateFile
from serving import http


class Sandbox:
    """A running sandbox; `with Sandbox() as sandbox:` starts and stops it."""

    def __init__(
        self,
        timing: Timing | None = None,
        keep: StateFile | None = None,
        behind: Behind | None = None,
    ) -> None:
        self._socket = listen(port=0)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.api_url = f"{self.url}/api/"
        self._server = server(timing, keep=keep, behind=behind)
        self._thread = threading.Thread(target=self._run, name="sandbox", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        until = time.monotonic() + 20
        while not self._server.started:
            if time.monotonic() > until or not self._thread.is_alive():
                raise RuntimeError("the sandbox did not start")
            time.sleep(0.01)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        self._socket.close()
        if self._thread.is_alive():
            raise RuntimeError("the sandbox did not stop")

    def client(self, token: str) -> AsyncWebClient:
        """A Slack client: "xoxp-asker", "xoxb-mynah", or a seeded token."""
        return AsyncWebClient(token=token, base_url=self.api_url)

    async def seed(self, **body: Any) -> dict[str, Any]:
        """Add users, channels and groups."""
        return await self._post("seed", body)

    async def command(
        self, text: str, *, token: str = "xoxp-admin", channel: str = "C0HELP", name: str = "/mynah"
    ) -> dict[str, Any]:
        """Type a slash command; the answer says `ok` once the app acknowledged it."""
        body = {"token": token, "channel": channel, "command": name, "text": text}
        return await self._post("command", body)

    async def faults(self, **body: Any) -> dict[str, Any]:
        """Order bad luck."""
        return await self._post("faults", body)

    async def request_url(self, url: str | None) -> dict[str, Any]:
        """Deliver by HTTP to this URL; None: over sockets again."""
        return await self._post("request_url", {"url": url})

    async def state(self, **query: str) -> dict[str, Any]:
        """What was said and delivered."""
        async with httpx.AsyncClient(timeout=30) as http:
            answer = await http.get(f"{self.url}/_control/state", params=query)
        answer.raise_for_status()
        return dict(answer.json())

    async def messages(self, channel: str = "C0HELP") -> list[dict[str, Any]]:
        """The channel's messages as the state tells them, deleted and ephemeral ones too."""
        found = await self.state(channel=channel, parts="messages")
        return list(found["messages"].get(channel, []))

    async def _post(self, action: str, body: dict[str, Any]) -> dict[str, Any]:
        async with httpx.AsyncClient(timeout=30) as http:
            answer = await http.post(f"{self.url}/_control/{action}", json=body)
        return dict(answer.json())

    def _run(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A fresh local Slack for one test, with Slack's 3 s and short retries."""
    with Sandbox(Timing(retry_s=(0.0, 0.5, 1.0, 2.0))) as running:
        yield running


@contextlib.asynccontextmanager
async def connected(sandbox: Sandbox, app: AsyncApp) -> AsyncIterator[AsyncSocketModeHandler]:
    """Run a Bolt app over Socket Mode against the sandbox."""
    handler = AsyncSocketModeHandler(
        app, "xapp-mynah", web_client=sandbox.client("xapp-mynah"), ping_interval=1
    )
    await handler.connect_async()  # type: ignore[no-untyped-call]
    try:
        yield handler
    finally:
        await handler.close_async()  # type: ignore[no-untyped-call]


@contextlib.asynccontextmanager
async def served(app: Starlette) -> AsyncIterator[str]:
    """Serve an app on a free port; gives its URL."""
    with http.listen("127.0.0.1", 0) as listener:
        async with http.served(app, listener):
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"


async def until(true: Callable[[], bool | Awaitable[bool]], within_s: float = 10) -> None:
    """Wait until something is true; `TimeoutError` when it is not in time."""
    async with asyncio.timeout(within_s):
        while True:
            found = true()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.02)
