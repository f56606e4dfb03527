"""HTTP mode: the same claims as over a socket, and what only a public port has to withstand."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from pydantic import ValidationError
from sqlalchemy import Connection
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot.slack.line import MOST_BYTES, PATH
from bot.store.schema import InboxEvent
from deploy.sandbox.personas import SIGNING_SECRET
from deploy.sandbox.request_url import signed
from tests import sandbox_server
from tests.bot.slack.house import WITHIN_S, House, free_port, kill, until
from tests.bot.slack.test_bad_luck import check_answered_once, check_each_answered_once

UNSIGNED = {"X-Slack-Signature": ""}


@pytest.fixture
def house(house: House) -> House:
    """A house whose bot listens by HTTP."""
    house.extra = {"SLACK_SIGNING_SECRET": SIGNING_SECRET, "SLACK_APP_TOKEN": ""}
    return house


async def tell_slack(house: House, url: str) -> None:
    """Have deliveries come to `url`; what a person waits for gets the time of a busy machine."""
    await house.sandbox.faults(ack_s=30)
    assert await house.sandbox.request_url(url) == {"ok": True}


def url_of(house: House) -> str:
    return f"http://127.0.0.1:{house.port}{PATH}"


@asynccontextmanager
async def listening(house: House) -> AsyncIterator[None]:
    """The bot, with its address known to Slack."""
    async with house.bot():
        await tell_slack(house, url_of(house))
        yield


async def post(
    house: House,
    body: bytes,
    *,
    secret: str = SIGNING_SECRET,
    over: bytes | None = None,
    age_s: int = 0,
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    """Knock at the bot's port, signed like Slack; or over another body, or long ago."""
    proof = signed(secret, body if over is None else over, int(time.time()) - age_s)
    sent = {k.encode(): v.encode("latin-1") for k, v in (proof | dict(headers or {})).items()}
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.post(url_of(house), content=body, headers=sent)


def mention(ts: str) -> bytes:
    """A mention as Slack would deliver it."""
    event = {"type": "app_mention", "user": "U0ASKER", "text": "<@U0MYNAH> hi", "ts": ts}
    event |= {"channel": "C0HELP", "event_ts": ts}
    body = {"type": "event_callback", "event_id": f"Ev{ts}", "team_id": "T0MYNAH", "event": event}
    return json.dumps(body).encode()


async def test_mention_is_answered_once(house: House) -> None:
    """Delivered again and again, out of order and side by side, a mention makes one answer."""
    async with listening(house):
        await house.sandbox.faults(duplicate=2, drop_ack=4)
        ts = await house.ask("Once?")
        await house.answer(ts)
        await check_answered_once(house, ts)
    assert max(one["attempts"] for one in await deliveries(house)) >= 3


async def test_command_is_answered(house: House) -> None:
    """A command comes as a form; its words may be anything, also what Bolt looks for."""
    async with listening(house):
        for text in ("help", "payload", "help payload=1&type=url_verification"):
            assert (await house.sandbox.command(text))["ok"]
        await until(lambda: len(house.rows(InboxEvent)) == 3)
        await house.quiet()
        assert len(await house.responses()) == 3
    assert house.failed() == []


async def test_event_is_not_acknowledged_unless_stored(house: House) -> None:
    """While the store is away Slack gets no 2xx and the bot is not ready; then one answer."""
    await house.sandbox.faults(retry_s=[0.3] * 300)
    async with listening(house):
        with house.engine.connect() as blocker:
            rename(blocker, "inbox", "hidden")
            ts = await house.ask("Is anybody home?")
            assert (await post(house, mention("1.0"))).status_code == 500
            async with httpx.AsyncClient(trust_env=False) as client:
                ready = await client.get(f"http://127.0.0.1:{house.port}/readyz")
            assert (ready.status_code, ready.text) == (503, "the store cannot be reached")
            await sandbox_server.until(lambda: redelivered(house), within_s=WITHIN_S)
            assert not any(one["acked"] for one in await deliveries(house))
            rename(blocker, "hidden", "inbox")
        await house.answer(ts)
        await check_answered_once(house, ts)


async def deliveries(house: House) -> list[dict[str, Any]]:
    return list((await house.sandbox.state(parts="deliveries"))["deliveries"])


async def redelivered(house: House) -> bool:
    return any(one["attempts"] > 1 for one in await deliveries(house))


def rename(connection: Connection, old: str, new: str) -> None:
    connection.exec_driver_sql(f"ALTER TABLE {old} RENAME TO {new}")
    connection.commit()


@pytest.mark.parametrize(
    ("body", "forged", "status"),
    [
        (mention("2.0"), {"secret": "the secret of another app"}, 401),
        (mention("2.0"), {"over": mention("2.1")}, 401),
        (mention("2.0"), {"age_s": 301}, 401),
        (mention("2.0"), {"age_s": -301}, 401),
        (mention("2.0"), {"headers": UNSIGNED}, 401),
        (mention("2.0"), {"headers": {"X-Slack-Signature": "v0=\xff"}}, 401),
        (mention("2.0"), {"headers": {"X-Slack-Request-Timestamp": "soon"}}, 401),
        (b"{", {"headers": UNSIGNED}, 401),
        (b"\xff", {}, 401),
        (mention("2.0") + b" " * MOST_BYTES, {}, 413),
    ],
)
async def test_what_slack_did_not_sign_is_refused(
    house: House, body: bytes, forged: dict[str, Any], status: int
) -> None:
    """Forged, changed, old, malformed or too long: refused, and nothing is stored."""
    async with house.bot():
        assert (await post(house, body, **forged)).status_code == status
        assert house.rows(InboxEvent) == []
        assert (await post(house, mention("2.0"))).status_code == 200
        assert len(house.rows(InboxEvent)) == 1


async def test_what_slack_asks_of_a_url(house: House) -> None:
    """The challenge is answered to who signs it, the look at the certificate to all."""
    body = json.dumps({"type": "url_verification", "challenge": "abc"}).encode()
    async with house.bot():
        answer = await post(house, body)
        assert (answer.status_code, answer.json()) == (200, {"challenge": "abc"})
        assert (await post(house, body, headers=UNSIGNED)).status_code == 401
        form = urlencode({"ssl_check": "1", "token": "old"}).encode()
        assert (await post(house, form, headers=UNSIGNED)).status_code == 200
    assert house.rows(InboxEvent) == []


async def test_two_bots_behind_a_balancer_answer_once(house: House) -> None:
    """Two processes that get the deliveries by turns, a retry the other one's: nothing doubled."""
    other_port = free_port()
    async with house.bot(), balancer(house.port, other_port) as url:
        other = await house.process(MYNAH_PORT=str(other_port))
        try:
            await tell_slack(house, url)
            await house.sandbox.faults(duplicate=6, drop_ack=6)
            await check_each_answered_once(house, 8)
        finally:
            await kill(other)


@asynccontextmanager
async def balancer(*ports: int) -> AsyncIterator[str]:
    """A URL whose posts go to the ports by turns."""
    turn = itertools.cycle(ports)

    async def forward(request: Request) -> Response:
        body = await request.body()
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            url = f"http://127.0.0.1:{next(turn)}{PATH}"
            answer = await client.post(url, content=body, headers=request.headers.items())
        kind = answer.headers.get("content-type")
        return Response(answer.content, answer.status_code, media_type=kind)

    async with sandbox_server.served(
        Starlette(routes=[Route(PATH, forward, methods=["POST"])])
    ) as url:
        yield url + PATH


async def test_bot_that_is_stopped_leaves_nothing_behind(house: House) -> None:
    """Killed while it answers: what it acknowledged is answered by the next process, once."""
    house.vllm.token_delay_s = 0.3
    first = await house.process()
    await tell_slack(house, url_of(house))
    ts = await house.ask("one two three four five")
    await until(lambda: len(house.vllm.asked) == 1)
    await kill(first)
    house.vllm.token_delay_s = 0
    async with house.bot():
        await house.answer(ts)
        await check_answered_once(house, ts)


@pytest.mark.parametrize(
    "given",
    [
        {"SLACK_SIGNING_SECRET": "", "SLACK_APP_TOKEN": ""},
        {"SLACK_SIGNING_SECRET": SIGNING_SECRET, "SLACK_APP_TOKEN": "xapp-mynah"},
    ],
)
def test_there_is_one_mode(house: House, given: dict[str, Any]) -> None:
    """Neither setting, or both, is refused by naming the two; an empty one is not set."""
    with pytest.raises(ValidationError, match=r"SLACK_APP_TOKEN(.|\n)*SLACK_SIGNING_SECRET"):
        house.settings(**given)


@pytest.mark.parametrize(
    "wrong", ["short", "xoxb-a-bot-token-is-none", "xapp-an-app-token-is-none"]
)
def test_what_is_no_signing_secret(house: House, wrong: str) -> None:
    """A token in its place, or what anybody could guess, is refused by name, and not shown."""
    with pytest.raises(ValidationError, match="SLACK_SIGNING_SECRET") as raised:
        house.settings(SLACK_SIGNING_SECRET=wrong)
    assert raised.value.error_count() == 1
