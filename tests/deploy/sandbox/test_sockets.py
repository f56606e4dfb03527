"""Socket Mode on the wire, with a bare WebSocket client."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from tests.sandbox_server import Sandbox


async def ticket(sandbox: Sandbox) -> str:
    answer = await sandbox.client("xapp-mynah").apps_connections_open(app_token="xapp-mynah")
    return str(answer["url"])


async def received(socket: ClientConnection) -> dict[str, Any]:
    return dict(json.loads(await socket.recv()))


async def test_a_socket_greets_and_an_envelope_is_whole(sandbox: Sandbox) -> None:
    """`hello` names the app; an event's envelope carries its retry; a ping is echoed."""
    await sandbox.faults(ack_s=0.2, retry_s=[0])
    async with connect(await ticket(sandbox)) as socket:
        hello = await received(socket)
        await (await socket.ping("sdk-ping-pong:1"))
        await sandbox.client("xoxp-asker").chat_postMessage(channel="C0HELP", text="hi")
        first, second = await received(socket), await received(socket)
    assert (hello["type"], hello["num_connections"]) == ("hello", 1)
    assert hello["connection_info"] == {"app_id": "A0MYNAH"}
    assert first["type"] == "events_api"
    assert first["accepts_response_payload"] is False
    assert (first["retry_attempt"], first["retry_reason"]) == (0, "")
    assert (second["retry_attempt"], second["retry_reason"]) == (1, "timeout")
    assert first["envelope_id"] != second["envelope_id"]
    assert first["payload"]["event_id"] == second["payload"]["event_id"]


async def test_a_ticket_is_good_for_one_connection(sandbox: Sandbox) -> None:
    """The second use of a ticket, and an invented one, are turned away at the handshake."""
    url = await ticket(sandbox)
    async with connect(url):
        for used in (url, f"{url[: url.index('=')]}=invented"):
            with pytest.raises(InvalidStatus, match="403"):
                await connect(used)


async def test_the_eleventh_socket_is_sent_away(sandbox: Sandbox) -> None:
    """Ten connections at most, as in Slack; a closed one makes room."""
    async with AsyncExitStack() as stack:
        for _ in range(10):
            await stack.enter_async_context(connect(await ticket(sandbox)))
        async with connect(await ticket(sandbox)) as eleventh:
            farewell = await received(eleventh)
    assert (farewell["type"], farewell["reason"]) == ("disconnect", "too_many_websockets")
    async with connect(await ticket(sandbox)) as again:
        assert (await received(again))["type"] == "hello"


async def test_a_deaf_socket_stays_open_and_says_nothing(sandbox: Sandbox) -> None:
    """No pong, no event, no end: what is sent there is lost, until another connection is there."""
    await sandbox.faults(ack_s=0.2, retry_s=[0.1] * 50)
    async with connect(await ticket(sandbox), ping_interval=None, close_timeout=0.1) as deaf:
        await received(deaf)
        await sandbox.faults(deafen_socket=True)
        pong = await deaf.ping()
        await sandbox.client("xoxp-asker").chat_postMessage(channel="C0HELP", text="hi")
        async with connect(await ticket(sandbox)) as other:
            assert (await received(other))["num_connections"] == 2
            assert (await received(other))["payload"]["event"]["text"] == "hi"
            for silence in (pong, deaf.recv()):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(silence, 0.1)


async def test_a_spoiled_ticket_is_too_old(sandbox: Sandbox) -> None:
    """The next ticket is turned away when it is used; the one after it is good."""
    await sandbox.faults(spoil_ticket=1)
    spoiled, good = await ticket(sandbox), await ticket(sandbox)
    with pytest.raises(InvalidStatus, match="403"):
        await connect(spoiled)
    async with connect(good) as socket:
        assert (await received(socket))["type"] == "hello"


async def test_nonsense_on_a_socket_is_ignored(sandbox: Sandbox) -> None:
    """What is no JSON, or acknowledges what was never sent, changes nothing."""
    async with connect(await ticket(sandbox)) as socket:
        await received(socket)
        for nonsense in ("{", "[]", '{"envelope_id": 1}', '{"envelope_id": "none"}'):
            await socket.send(nonsense)
        await sandbox.client("xoxp-asker").chat_postMessage(channel="C0HELP", text="hi")
        assert (await received(socket))["type"] == "events_api"
