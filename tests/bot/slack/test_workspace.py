"""The workspace: whatever keeps Slack from answering is waited for."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from slack_sdk.web.async_client import AsyncWebClient

from bot.dispatcher import Later
from bot.slack.workspace import LOCKED_OUT, LOCKED_OUT_S, Identity, Workspace
from tests.sandbox_server import Sandbox

ME = Identity("T0MYNAH", "U0MYNAH", "B0MYNAH")


@pytest.mark.parametrize("code", sorted(LOCKED_OUT))
async def test_token_that_slack_does_not_take_is_waited_for(sandbox: Sandbox, code: str) -> None:
    """No event is at fault when the token is: it waits, however long mending takes."""
    await sandbox.faults(fail={"method": "users.info", "error": code})
    with pytest.raises(Later, match=f"Slack: {code}") as later:
        await Workspace(sandbox.client("xoxb-mynah"), ME).user("U0ASKER")
    assert later.value.delay_s == LOCKED_OUT_S


@pytest.mark.parametrize("status", [200, 403, 404])
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/html", b"<html>Log in first</html>"),
        ("text/plain", b"Forbidden"),
        ("application/json", b"<html>Log in first</html>"),
        ("application/json", b"\xff"),
        ("application/json", b"[]"),
        ("application/json", b'{"ok": false}'),
        ("application/json", b""),
    ],
)
async def test_answer_that_is_not_slacks_is_waited_for(status: int, kind: str, body: bytes) -> None:
    """A proxy's page, or JSON that names no error, is no refusal."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers={"Content-Type": kind})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as proxy:
        client = AsyncWebClient(token="xoxb-mynah", base_url=str(proxy.make_url("/api/")))
        client.proxy = None
        with pytest.raises(Later):
            await Workspace(client, ME).user("U0ASKER")
