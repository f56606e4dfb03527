"""Other web pages find the door shut; the app, the SDKs and our own page do not."""

from __future__ import annotations

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.sandbox_server import Sandbox

ACT = "/api/chat.postMessage?token=xoxp-asker&channel=C0HELP&text=hi"


def port(sandbox: Sandbox) -> str:
    """The sandbox's port."""
    return sandbox.url.rpartition(":")[2]


async def status(sandbox: Sandbox, path: str, **headers: str) -> int:
    """What a request with these headers gets."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx.AsyncClient(trust_env=False) as http:
        return (await http.get(sandbox.url + path, headers=named)).status_code


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:{}", 200),
        ("localhost:{}", 200),
        ("LocalHost", 200),
        ("[::1]:{}", 200),
        ("evil.example:{}", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost:{}.evil.example", 403),
        ("192.168.1.7:{}", 403),
        ("", 403),
    ],
)
async def test_the_host_names_this_machine(sandbox: Sandbox, host: str, expected: int) -> None:
    """A name that somebody else points at loopback gets nothing, not even the page."""
    for path in ("/", "/_control/state"):
        assert await status(sandbox, path, host=host.format(port(sandbox))) == expected


async def test_an_origin_is_our_own(sandbox: Sandbox) -> None:
    """Another site, another port, https and `null` are refused, and nothing was said for them."""
    own = port(sandbox)
    for origin in ("http://evil.example", "http://127.0.0.1:1", f"http://localhost:{own}", "null"):
        assert await status(sandbox, ACT, origin=origin) == 403, origin
    assert await status(sandbox, ACT, origin=sandbox.url.replace("http", "https")) == 403
    assert await sandbox.messages() == []
    assert await status(sandbox, ACT, origin=sandbox.url) == 200
    there = {"host": f"localhost:{own}", "origin": f"http://localhost:{own}"}
    assert await status(sandbox, ACT, **there) == 200
    assert await status(sandbox, ACT) == 200
    assert len(await sandbox.messages()) == 3


async def test_a_picture_on_another_site_does_nothing(sandbox: Sandbox) -> None:
    """It comes without an origin, and the browser says from where; a link to the page is fine."""
    for site in ("cross-site", "same-site"):
        assert await status(sandbox, ACT, sec_fetch_site=site) == 403
    assert await sandbox.messages() == []
    assert await status(sandbox, "/", sec_fetch_site="cross-site") == 200
    for site in ("same-origin", "none"):
        assert await status(sandbox, ACT, sec_fetch_site=site) == 200


async def test_nobody_is_led_to_act(sandbox: Sandbox) -> None:
    """A link in a message, and where a typed address is redirected to, only ever look."""
    for site in ("same-origin", "none"):
        for kind in ("document", "image", "iframe"):
            led = {"sec_fetch_site": site, "sec_fetch_dest": kind}
            assert await status(sandbox, ACT, **led) == 403
            assert await status(sandbox, "/page/mynah.svg", **led) == 200
    assert await sandbox.messages() == []
    assert await status(sandbox, ACT, sec_fetch_site="same-origin", sec_fetch_dest="empty") == 200


async def test_a_socket_of_another_site_is_refused(sandbox: Sandbox) -> None:
    """At the handshake, before its ticket is used up; without an origin it is let in."""
    answer = await sandbox.client("xapp-mynah").apps_connections_open(app_token="xapp-mynah")
    url = str(answer["url"])
    with pytest.raises(InvalidStatus, match="403"):
        await connect(url, additional_headers={"Origin": "http://evil.example"})
    async with connect(url) as socket:
        assert "hello" in str(await socket.recv())
