"""What Bolt sees, as the drawer shows it: through real Bolt, faults included."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deploy.sandbox.faults import CallFault, Faults
from deploy.sandbox.feed import Feed
from deploy.sandbox.ledger import MOST, MOST_CHARS, Ledger, masked
from deploy.sandbox.worlds import Worlds
from tests.deploy.sandbox.acts import HELP, actions, button, control
from tests.sandbox_server import Sandbox, connected, served, until

Json = dict[str, Any]


async def log(sandbox: Sandbox, *kinds: str) -> list[Json]:
    """The entries that are kept, of some kinds, with what was sent and answered."""
    found: list[Json] = []
    async with httpx.AsyncClient(trust_env=False) as http:
        while True:
            answer = await http.get(f"{sandbox.url}/page/log/{len(found) + 1}")
            if answer.status_code == 404:
                return [one for one in found if not kinds or one["kind"] in kinds]
            found.append(answer.json())


async def ask(sandbox: Sandbox, text: str = "hi") -> str:
    """Somebody asks in the channel."""
    said = await sandbox.client("xoxp-asker").chat_postMessage(channel=HELP, text=text)
    return str(said["ts"])


def shape(entry: Json) -> tuple[Any, ...]:
    """What tells the entries of one delivery apart."""
    names = ("kind", "attempt", "copy", "reason", "ok", "error")
    return tuple(entry.get(name) for name in names)


@pytest.fixture
async def bolt(sandbox: Sandbox) -> AsyncIterator[AsyncApp]:
    """A connected Bolt app that acknowledges messages, presses and commands."""
    app = AsyncApp(client=sandbox.client("xoxb-mynah"))

    @app.event("message")
    async def on_message() -> None: ...

    @app.action("approve")
    async def on_press(ack: Any) -> None:
        await ack()

    @app.command("/mynah")
    async def on_command(ack: Any) -> None:
        await ack("Working on it")

    async with connected(sandbox, app):
        yield app


async def settled(sandbox: Sandbox) -> None:
    """Wait until nothing is on its way any more."""

    async def still() -> bool:
        counts = (await sandbox.state(parts="counts"))["counts"]
        return bool(counts["carrying"] == 0)

    await until(still)


@pytest.mark.usefixtures("bolt")
async def test_an_event_and_its_acknowledgement(sandbox: Sandbox) -> None:
    """What it is, where, which delivery, and how long the app took."""
    ts = await ask(sandbox, "how?")
    await settled(sandbox)
    event, ack = await log(sandbox, "event", "ack")
    assert event.items() >= {"title": "message", "channel": HELP, "ts": ts, "attempt": 1}.items()
    assert event["payload"]["event"]["text"] == "how?"
    assert event["id"] == event["payload"]["event_id"] == ack["id"]
    assert (ack["title"], ack["ok"], ack["answered"]) == ("message", True, False)
    assert ack["envelope"] == event["envelope"]
    assert 0 < ack["ms"] < 3000
    assert "copy" not in event
    assert [event["n"], ack["n"]] == sorted([event["n"], ack["n"]])


@pytest.mark.usefixtures("bolt")
async def test_what_people_press_and_type(sandbox: Sandbox) -> None:
    """A press names its element and message, a command its text, and an answer is kept."""
    bot = sandbox.client("xoxb-mynah")
    row = actions(button("approve"))
    ts = (await bot.chat_postMessage(channel=HELP, text="so", blocks=[row]))["ts"]
    await settled(sandbox)
    press = {"token": "xoxp-staff", "channel": HELP, "ts": ts, "action_id": "approve"}
    await control(sandbox, "action", **press)
    await sandbox.command("status now")
    pressed, typed = (await log(sandbox, "event"))[-2:]
    acks = (await log(sandbox, "ack"))[-2:]
    assert pressed["title"] == "block_actions"
    assert (pressed["detail"], pressed["channel"], pressed["ts"]) == ("approve", HELP, ts)
    assert (typed["title"], typed["detail"], typed["channel"]) == ("/mynah", "status now", HELP)
    assert [ack["answered"] for ack in acks] == [False, True]
    assert acks[1]["answer"] == {"text": "Working on it"}


@pytest.mark.usefixtures("bolt")
async def test_a_copy_is_marked_and_a_retry_says_why(sandbox: Sandbox) -> None:
    """A doubled event comes twice as attempt 1; a lost acknowledgement leads to attempt 2."""
    await sandbox.faults(duplicate=1)
    await ask(sandbox)
    await settled(sandbox)
    doubled = await log(sandbox, "event", "retry")
    assert [shape(one) for one in doubled] == [
        ("event", 1, None, None, True, None),
        ("event", 1, True, None, True, None),
    ]
    await sandbox.faults(drop_ack=1, ack_s=0.3)
    await ask(sandbox)
    await settled(sandbox)
    seen = await log(sandbox, "event", "retry", "ack")
    last = [one for one in seen if one["id"] == seen[-1]["id"]]
    assert [shape(one) for one in last] == [
        ("event", 1, None, None, True, None),
        ("ack", 1, None, None, False, "ack lost"),
        ("retry", 2, None, "timeout", True, None),
        ("ack", 2, None, None, True, None),
    ]


async def test_what_nobody_takes_is_given_up(sandbox: Sandbox) -> None:
    """A command while no app is connected."""
    assert (await sandbox.command("status"))["error"] == "dispatch_failed"
    [end] = await log(sandbox, "gave_up")
    assert (end["title"], end["ok"], end["error"]) == ("/mynah", False, "nobody is connected")


async def test_deliveries_by_http(sandbox: Sandbox) -> None:
    """A refusal is seen, then the retry with its reason, and the acknowledgement."""
    answers = [500, 200]

    async def take(request: Request) -> Response:
        body = json.loads(await request.body())
        if "challenge" in body:
            return Response(body["challenge"])
        return Response(status_code=answers.pop(0))

    async with served(Starlette(routes=[Route("/in", take, methods=["POST"])])) as url:
        assert (await sandbox.request_url(f"{url}/in"))["ok"]
        await ask(sandbox)
        await settled(sandbox)
    assert [shape(one) for one in await log(sandbox, "event", "retry", "ack")] == [
        ("event", 1, None, None, True, None),
        ("ack", 1, None, None, False, "http_error"),
        ("retry", 2, None, "http_error", True, None),
        ("ack", 2, None, None, True, None),
    ]


async def test_calls_of_the_app_and_of_nobody_else(sandbox: Sandbox) -> None:
    """Each call with what it said; people's calls are their own; tokens are masked."""
    bot = sandbox.client("xoxb-mynah")
    await ask(sandbox)
    posted = await bot.chat_postMessage(channel=HELP, text="so", blocks=[actions(button("go"))])
    with pytest.raises(SlackApiError):
        await bot.chat_postMessage(channel="C0NONE", text="so")
    await sandbox.faults(rate_limit={"method": "chat.update", "retry_after": 7})
    with pytest.raises(SlackApiError):
        await bot.chat_update(channel=HELP, ts=str(posted["ts"]), text="so")
    with pytest.raises(SlackApiError):
        await sandbox.client("xoxp-of-nobody").auth_test()
    with pytest.raises(SlackApiError):
        await sandbox.client("xoxb-of-nobody").auth_test()
    await sandbox.client("xapp-mynah").apps_connections_open(app_token="xapp-mynah")
    done, wrong, limited, unknown, opened = await log(sandbox, "call")
    assert done.items() >= {"title": "chat.postMessage", "ok": True, "status": 200}.items()
    assert (done["channel"], done["ts"]) == (HELP, posted["ts"])
    assert done["payload"]["blocks"][0]["elements"][0]["action_id"] == "go"
    assert done["answer"]["message"]["text"] == "so"
    assert done["ms"] > 0
    assert (wrong["ok"], wrong["error"], wrong["channel"]) == (False, "channel_not_found", "C0NONE")
    assert (limited["status"], limited["retry_after"]) == (429, 7)
    assert (limited["error"], limited["ts"]) == ("ratelimited", posted["ts"])
    assert (unknown["title"], unknown["error"]) == ("auth.test", "invalid_auth")
    assert "?ticket=…&" in opened["answer"]["url"]
    assert "xapp-mynah" not in json.dumps(opened)


async def test_sockets_come_and_go(sandbox: Sandbox) -> None:
    """Opened, asked to come anew, opened once more, closed."""
    app = AsyncApp(client=sandbox.client("xoxb-mynah"))
    async with connected(sandbox, app):
        await sandbox.faults(refresh_socket=True)

        async def renewed() -> bool:
            titles = [one["title"] for one in await log(sandbox, "socket")]
            return titles.count("opened") == 2 and "closed" in titles

        await until(renewed)
    first, asked = (await log(sandbox, "socket"))[:2]
    assert (first["title"], first["connection"]) == ("opened", 1)
    assert (asked["title"], asked["connection"]) == ("refresh asked", 1)


def test_the_ledger_forgets_what_is_old() -> None:
    """It keeps the last thousand; numbers go on, and what is gone is not found."""
    ledger = Ledger(Feed())
    for number in range(MOST + 5):
        ledger.called(f"method.{number}", {}, {"ok": True})
    assert len(ledger.since(0)) == MOST
    assert ledger.entry(5) is None
    assert ledger.entry(0) is None
    assert ledger.entry(MOST + 6) is None
    found = ledger.entry(6)
    assert found is not None
    assert (found.n, found.title) == (6, "method.5")
    assert [entry.n for entry in ledger.since(MOST + 3)] == [MOST + 4, MOST + 5]
    assert ledger.since(MOST + 5) == ledger.since(MOST + 99) == []


def test_a_long_payload_is_cut() -> None:
    """It keeps no more of it, says how long it was, and the list shows none of it."""
    ledger = Ledger(Feed())
    given = {"token": "abc", "to": "xoxb-mynah", "text": "x" * MOST_CHARS}
    ledger.called("chat.postMessage", given, {"ok": True})
    [entry] = ledger.since(0)
    whole = entry.whole_json()
    assert whole["payload"].startswith('{"token": "…", "to": "xoxb-…", "text": "xxx')
    assert whole["payload"].endswith("… (cut: 64,048 characters)")
    assert len(whole["payload"]) < MOST_CHARS + 50
    assert whole["answer"] == {"ok": True}
    assert "payload" not in entry.as_json()


def test_secrets_are_masked_and_words_are_not() -> None:
    """Tokens wherever they stand, and what goes by a secret's name; the rest stays."""
    given = {
        "token": "abc",
        "client_secret": "abc",
        "text": "use xoxb-12-ab, xoxe.xoxb-1 and xoxe-1-f; a code",
        "style": {"code": True},
        "list": [{"access_token": "abc"}],
    }
    assert masked(given) == {
        "token": "…",
        "client_secret": "…",
        "text": "use xoxb-…, xoxe.xoxb-… and xoxe-…; a code",
        "style": {"code": True},
        "list": [{"access_token": "…"}],
    }
    assert given["token"] == "abc"


def test_each_entry_is_told() -> None:
    """Who watches hears of entries, of sockets, and of each count of the faults that changed."""
    worlds = Worlds()
    faults = worlds.home.faults
    with worlds.feed.watch() as watcher:
        worlds.ledger.called("auth.test", {}, {"ok": True})
        assert watcher.take() == [("", "log")]
        worlds.ledger.socket("opened", 1)
        assert watcher.take() == [("", "log"), ("", "sockets")]
        assert not faults.drops_ack()
        assert not faults.duplicates()
        assert faults.of_call("auth.test", "xoxb-mynah") is None
        assert watcher.take() == []
        faults.drop_ack = faults.duplicate = faults.expire_stream = 1
        faults.calls = [CallFault("auth.test", 1, "*", retry_after_s=1)]
        for use in (faults.drops_ack, faults.duplicates, faults.expires_stream):
            assert use()
            assert watcher.take() == [("", "faults")]
        assert faults.of_call("auth.test", "xoxb-mynah") is not None
        assert watcher.take() == [("", "faults")]
        faults.clear()
        assert watcher.take() == [("", "faults")]


def test_counts_left() -> None:
    """A failing call is no rate limit; a used-up one counts no more."""
    faults = Faults(drop_ack=1, duplicate=2, expire_stream=3)
    faults.calls = [CallFault("a", 4, "*", retry_after_s=1), CallFault("b", 9, "*", status=500)]
    faults.drops_ack()
    faults.of_call("a", "xoxb-mynah")
    left = {"duplicate": 2, "drop_ack": 0, "rate_limit": 3, "expire_stream": 3}
    assert faults.as_json() == left


async def test_the_counts_can_be_asked_for(sandbox: Sandbox) -> None:
    """`GET /_control/faults` tells them, and orders change them."""
    await sandbox.faults(duplicate=2, rate_limit={"method": "auth.test", "n": 3})
    async with httpx.AsyncClient(trust_env=False) as http:
        found = (await http.get(f"{sandbox.url}/_control/faults")).json()
    left = {"duplicate": 2, "drop_ack": 0, "rate_limit": 3, "expire_stream": 0}
    assert found == {"ok": True, **left}
