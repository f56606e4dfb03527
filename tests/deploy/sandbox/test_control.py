"""The control API: seeding, faults on calls, a state that stays cheap, and the port."""

from __future__ import annotations

import asyncio
import os
import time

import httpx
import pytest
from slack_sdk.errors import SlackApiError

from deploy.sandbox.app import listen
from deploy.sandbox.errors import NotLoopback, PortTaken
from deploy.sandbox.report import report
from deploy.sandbox.world import Content, World
from tests.deploy.sandbox.bolt import Listener
from tests.sandbox_server import Sandbox, connected, until


async def test_seeded_people_talk_in_seeded_channels(sandbox: Sandbox) -> None:
    """A replay brings its own users, tokens and channels."""
    await sandbox.seed(
        users=[{"id": "U1ANN", "token": "xoxp-ann"}, {"id": "U1BOB", "token": "xoxp-bob"}],
        channels=[{"id": "C1RUST", "name": "rust", "members": ["U1ANN", "U0MYNAH"]}],
    )
    ann, bob = sandbox.client("xoxp-ann"), sandbox.client("xoxp-bob")
    assert (await ann.chat_postMessage(channel="#rust", text="hi"))["message"]["user"] == "U1ANN"
    with pytest.raises(SlackApiError, match="not_in_channel"):
        await bob.chat_postMessage(channel="#rust", text="hi")
    assert (await sandbox.state())["counts"]["events"] == 1


@pytest.mark.parametrize(
    ("action", "body", "names"),
    [
        ("seed", {"channels": [{"id": "C1", "members": ["U0NONE"]}]}, "U0NONE"),
        ("seed", {"users": [{"id": "nobody!"}]}, "users.0.id"),
        ("seed", {"user": []}, "user"),
        ("faults", {"drop_acks": 1}, "drop_acks"),
        ("faults", {"rate_limit": {"n": 1}}, "rate_limit"),
        ("command", {"token": "xoxp-admin", "channel": "C0HELP", "command": "mynah"}, "command"),
    ],
)
async def test_a_bad_order_names_what_is_wrong(
    sandbox: Sandbox, action: str, body: dict[str, object], names: str
) -> None:
    """HTTP 400 and one line; nothing of a bad seed is planted."""
    async with httpx.AsyncClient() as http:
        answer = await http.post(f"{sandbox.url}/_control/{action}", json=body)
    assert answer.status_code == 400
    assert names in answer.json()["detail"]
    assert "C1" not in (await sandbox.state())["channels"]


async def test_a_call_can_fail_before_or_after_its_work(sandbox: Sandbox) -> None:
    """`applied` loses the answer alone: the message is there, as after a broken connection."""
    bot = sandbox.client("xoxb-mynah")
    order = {"method": "chat.postMessage", "status": 500}
    await sandbox.faults(fail=[order, {**order, "applied": True}])
    for text in ("never", "there"):
        with pytest.raises(SlackApiError):
            await bot.chat_postMessage(channel="C0HELP", text=text)
    assert [message["text"] for message in await sandbox.messages()] == ["there"]
    await sandbox.faults(fail={"method": "auth.test", "error": "account_inactive", "n": 9})
    with pytest.raises(SlackApiError, match="account_inactive"):
        await bot.auth_test()
    await sandbox.faults(clear=True)
    assert (await bot.auth_test())["ok"]


async def test_state_tells_what_changed_since(sandbox: Sandbox) -> None:
    """`since` brings new messages and old ones with a new reaction, nothing else."""
    asker = sandbox.client("xoxp-asker")
    sent = [
        str((await asker.chat_postMessage(channel="C0HELP", text=str(number)))["ts"])
        for number in range(3)
    ]
    before = (await sandbox.state())["now"]
    await asker.reactions_add(channel="C0HELP", timestamp=sent[1], name="x")
    found = await sandbox.state(since=before, channel="C0HELP", parts="messages,deliveries")
    assert [message["ts"] for message in found["messages"]["C0HELP"]] == [sent[1]]
    assert [delivery["type"] for delivery in found["deliveries"]] == ["reaction_added"]
    assert "counts" not in found


async def test_a_burst_is_delivered_once_each(sandbox: Sandbox) -> None:
    """Hundreds of posts as fast as they go: each event comes once, none is sent twice."""
    bot = Listener(sandbox)
    headers = {"Authorization": "Bearer xoxp-asker"}
    async with connected(sandbox, bot.app), httpx.AsyncClient(headers=headers) as http:
        for number in range(400):
            body = {"channel": "C0HELP", "text": f"message {number}"}
            await http.post(f"{sandbox.api_url}chat.postMessage", data=body)

        async def all_acked() -> bool:
            counts = (await sandbox.state(parts="counts"))["counts"]
            return bool(counts["acked"] == counts["events"] == counts["deliveries"] == 400)

        await until(all_acked, within_s=30)
    assert len({body["event_id"] for body in bot.heard}) == 400


async def test_the_state_of_three_thousand_messages_is_cheap() -> None:
    """Whole under half a second, narrowed a tenth of that: a replay may ask for it often."""
    world = World.fresh()
    asker, channel = world.workspace.users["U0ASKER"], world.workspace.channels["C0HELP"]
    for number in range(3000):
        world.post(asker, channel, Content(f"message {number}"))
    start = time.process_time()
    whole = report(world)
    middle = time.process_time()
    narrow = report(world, since=whole["now"], parts=["messages", "counts"])
    end = time.process_time()
    await world.courier.close()
    assert len(whole["messages"]["C0HELP"]) == len(whole["deliveries"]) == 3000
    assert (narrow["messages"]["C0HELP"], narrow["counts"]["waiting"]) == ([], 3000)
    assert middle - start < 0.5
    assert end - middle < 0.05


def test_a_taken_port_is_one_clear_line() -> None:
    """The line names address and port, who has it, and what else to do."""
    with listen(port=0) as taken:
        port = taken.getsockname()[1]
        by_us = rf"127.0.0.1:{port} is taken by pid {os.getpid()} \(.+\).*--port"
        with pytest.raises(PortTaken, match=by_us):
            listen(port=port)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])
def test_only_this_machine_reaches_it(host: str) -> None:
    """An address that others could reach is refused; there are no passwords here."""
    with pytest.raises(NotLoopback, match="MYNAH_HOST"):
        listen(host, 0)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost"])
def test_this_machine_has_several_addresses(host: str) -> None:
    """Each loopback address will do."""
    listen(host, 0).close()


async def test_a_sandbox_stops_while_events_wait() -> None:
    """Undelivered events and open sockets do not hold it up."""
    start = time.perf_counter()
    with Sandbox() as sandbox:
        bot = Listener(sandbox)
        await sandbox.client("xoxp-asker").chat_postMessage(channel="C0HELP", text="waits")
        await sandbox.faults(drop_ack=99)
        async with connected(sandbox, bot.app):
            await until(lambda: bool(bot.heard))
        await asyncio.sleep(0)
    assert time.perf_counter() - start < 10
