"""A socket that falls silent, is refreshed or cannot come back: nothing is lost or done twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from slack_bolt.app.async_app import AsyncApp

from bot.slack.line import DEAF_PINGS, SocketLine
from bot.store.schema import InboxEvent
from tests.bot.slack.house import WITHIN_S, House
from tests.sandbox_server import Sandbox, until

PING_S = 0.1


@asynccontextmanager
async def listening(sandbox: Sandbox) -> AsyncIterator[tuple[SocketLine, list[str]]]:
    """A line with quick pings, and the texts of the messages that came over it."""
    app = AsyncApp(client=sandbox.client("xoxb-mynah"))
    heard: list[str] = []

    @app.event("message")
    async def hear(event: dict[str, Any]) -> None:
        heard.append(event["text"])

    opened = await sandbox.client("xapp-mynah").apps_connections_open(app_token="xapp-mynah")
    line = SocketLine(app, "xapp-mynah", opened["url"], ping_s=PING_S)
    await line.open()
    try:
        await until(line.is_open, WITHIN_S)
        yield line, heard
    finally:
        await line.close()


async def say(sandbox: Sandbox, text: str) -> None:
    await sandbox.client("xoxp-asker").chat_postMessage(channel="C0HELP", text=text)


async def _is_shut(line: SocketLine) -> bool:
    return not await line.is_open()


async def test_a_line_that_was_never_opened_is_not_open(sandbox: Sandbox) -> None:
    """Nothing connected, nothing greeted."""
    line = SocketLine(AsyncApp(client=sandbox.client("xoxb-mynah")), "xapp-mynah", "ws://x")
    assert not await line.is_open()
    await line.close()


async def test_a_silent_connection_is_noticed_and_replaced(sandbox: Sandbox) -> None:
    """The connection stays, and not even pongs come: not open meanwhile, then another one is, and
    what was said meanwhile arrives."""
    await sandbox.faults(ack_s=0.3)
    async with listening(sandbox) as (line, heard):
        await sandbox.faults(deafen_socket=True)
        await say(sandbox, "Anybody?")
        await until(lambda: _is_shut(line), WITHIN_S)
        await until(line.is_open, WITHIN_S)
        await until(lambda: "Anybody?" in heard, WITHIN_S)


async def test_an_address_that_is_too_old_is_not_tried_for_ever(sandbox: Sandbox) -> None:
    """The network was away for longer than an address is good: a new one is asked for."""
    async with listening(sandbox) as (line, heard):
        await sandbox.faults(spoil_ticket=1, drop_socket=True)
        await until(lambda: _is_shut(line), WITHIN_S)
        await say(sandbox, "Back?")
        await until(line.is_open, WITHIN_S)
        await until(lambda: heard == ["Back?"], WITHIN_S)


async def test_slack_may_refuse_to_open_for_a_while(sandbox: Sandbox) -> None:
    """`apps.connections.open` fails again and again: it is tried until it goes."""
    refusal = {"method": "apps.connections.open", "n": 6, "token": "*", "status": 503}
    async with listening(sandbox) as (line, heard):
        await sandbox.faults(fail=refusal, drop_socket=True)
        await until(lambda: _is_shut(line), WITHIN_S)
        await say(sandbox, "Back?")
        await until(lambda: heard == ["Back?"], WITHIN_S)
        assert await line.is_open()


async def test_a_quiet_workspace_is_no_deaf_socket(sandbox: Sandbox) -> None:
    """Pongs are enough: where nobody says anything, nothing is connected anew."""
    async with listening(sandbox) as (line, _):
        calls = (await sandbox.state(parts="calls"))["calls"]
        await asyncio.sleep(PING_S * DEAF_PINGS * 3)
        assert await line.is_open()
        assert (await sandbox.state(parts="calls"))["calls"] == calls


@pytest.mark.parametrize("reason", ["refresh_requested", "warning"])
async def test_a_refresh_loses_and_doubles_nothing(house: House, reason: str) -> None:
    """Slack asks for a new connection in the middle of a burst: each question is answered once."""
    async with house.bot():
        asked = []
        for n in range(15):
            if n % 5 == 2:
                await house.sandbox.faults(refresh_socket=True, refresh_reason=reason)
            asked.append(await house.ask(f"Number {n}?"))
        for ts in asked:
            await house.answer(ts)
        await house.quiet()
        assert [len(await house.answers(ts)) for ts in asked] == [1] * 15
    assert len({row.event_id for row in house.rows(InboxEvent)}) == 15 * 3
    assert house.failed() == []


async def test_readyz_says_that_the_bot_is_deaf(house: House) -> None:
    """A balancer or a probe learns it before anybody asks in vain; then the bot hears again."""
    async with house.bot(), httpx.AsyncClient(trust_env=False) as client:

        async def is_ready() -> bool:
            return (await client.get(f"http://127.0.0.1:{house.port}/readyz")).is_success

        async def is_not() -> bool:
            return not await is_ready()

        await house.sandbox.faults(deafen_socket=True)
        await until(is_not, WITHIN_S)
        await until(is_ready, WITHIN_S)
        await house.asked("Do you hear me?")
