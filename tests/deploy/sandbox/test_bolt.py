"""Real Bolt over the sandbox: events, redelivery, sockets, commands."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from tests.deploy.sandbox.bolt import Listener
from tests.sandbox_server import Sandbox, connected, until


async def ask(sandbox: Sandbox, text: str = "<@U0MYNAH> which port?", **more: Any) -> str:
    posted = await sandbox.client("xoxp-asker").chat_postMessage(
        channel="C0HELP", text=text, **more
    )
    return str(posted["ts"])


async def counts(sandbox: Sandbox) -> dict[str, int]:
    return dict((await sandbox.state(parts="counts"))["counts"])


async def all_acked(sandbox: Sandbox) -> bool:
    found = await counts(sandbox)
    return found["acked"] == found["events"] > 0


async def test_one_question_comes_as_mention_and_message_and_is_answered(sandbox: Sandbox) -> None:
    """A person's post reaches Bolt twice, as in Slack, and the reply stands in its thread."""
    app, heard = AsyncApp(client=sandbox.client("xoxb-mynah")), list[dict[str, Any]]()

    @app.event("app_mention")
    async def on_mention(body: dict[str, Any], say: Any) -> None:
        heard.append(body)
        await say("41", thread_ts=body["event"]["ts"])

    @app.event("message")
    async def on_message(body: dict[str, Any]) -> None:
        heard.append(body)

    async with connected(sandbox, app):
        ts = await ask(sandbox)
        await until(lambda: all_acked(sandbox))
        await until(lambda: _answered(sandbox, ts))
    assert sorted(body["event"]["type"] for body in heard) == ["app_mention", "message"]
    assert len({body["event_id"] for body in heard}) == 2
    assert {body["event"]["ts"] for body in heard} == {ts}


async def _answered(sandbox: Sandbox, ts: str) -> bool:
    asker: AsyncWebClient = sandbox.client("xoxp-asker")
    thread = await asker.conversations_replies(channel="C0HELP", ts=ts)
    return [m["text"] for m in thread["messages"]] == ["<@U0MYNAH> which port?", "41"]


async def test_the_callback_is_whole(sandbox: Sandbox) -> None:
    """Bolt and handlers find every field of a real `event_callback`."""
    bot = Listener(sandbox)
    async with connected(sandbox, bot.app):
        await ask(sandbox)
        await until(lambda: len(bot.heard) == 2)
    for body in bot.heard:
        assert body["type"] == "event_callback"
        assert body["team_id"] == "T0MYNAH"
        assert body["api_app_id"] == "A0MYNAH"
        assert body["event_id"].startswith("Ev")
        assert body["authorizations"][0] == {
            "enterprise_id": None,
            "team_id": "T0MYNAH",
            "user_id": "U0MYNAH",
            "is_bot": True,
            "is_enterprise_install": False,
        }
        assert body["event_context"]
        event = body["event"]
        assert event["event_ts"] == event["ts"]
        assert event["client_msg_id"]
        assert (event["user"], event["team"]) == ("U0ASKER", "T0MYNAH")
    [message] = bot.events("message")
    assert message["channel_type"] == "channel"


async def test_a_direct_message_comes_once_and_as_im(sandbox: Sandbox) -> None:
    """In a direct conversation a mention makes no `app_mention`."""
    bot, asker = Listener(sandbox), sandbox.client("xoxp-asker")
    async with connected(sandbox, bot.app):
        opened = await asker.conversations_open(users="U0MYNAH")
        channel = opened["channel"]["id"]
        await asker.chat_postMessage(channel=channel, text="<@U0MYNAH> hello")
        await until(lambda: all_acked(sandbox))
    [event] = bot.events()
    assert channel.startswith("D")
    assert (event["type"], event["channel_type"]) == ("message", "im")


async def test_the_app_hears_nothing_of_channels_it_is_not_in(sandbox: Sandbox) -> None:
    """Membership decides what is delivered, in public channels too."""
    await sandbox.seed(channels=[{"id": "C0AWAY", "members": ["U0ASKER"]}])
    asker = sandbox.client("xoxp-asker")
    await asker.chat_postMessage(channel="C0AWAY", text="<@U0MYNAH> are you there?")
    assert (await counts(sandbox))["events"] == 0


async def test_edits_deletions_and_reactions_reach_the_app(sandbox: Sandbox) -> None:
    """An edit, a reaction, its removal and a deletion each give their event, in order."""
    bot, asker = Listener(sandbox), sandbox.client("xoxp-asker")
    async with connected(sandbox, bot.app):
        ts = await ask(sandbox, "the port is 41")
        await asker.chat_update(channel="C0HELP", ts=ts, text="the port is 42")
        staff = sandbox.client("xoxp-staff")
        await staff.reactions_add(channel="C0HELP", timestamp=ts, name="white_check_mark")
        await staff.reactions_remove(channel="C0HELP", timestamp=ts, name="white_check_mark")
        await asker.chat_delete(channel="C0HELP", ts=ts)
        await until(lambda: len(bot.heard) == 5)
    _, changed, added, removed, deleted = bot.events()
    assert changed["subtype"] == "message_changed"
    assert changed["hidden"] is True
    assert changed["message"]["text"] == "the port is 42"
    assert changed["message"]["edited"]["user"] == "U0ASKER"
    assert changed["previous_message"]["text"] == "the port is 41"
    assert (added["type"], removed["type"]) == ("reaction_added", "reaction_removed")
    assert (added["user"], added["item_user"]) == ("U0STAFF", "U0ASKER")
    assert added["item"] == {"type": "message", "channel": "C0HELP", "ts": ts}
    assert deleted["subtype"] == "message_deleted"
    assert deleted["deleted_ts"] == ts
    assert deleted["previous_message"]["text"] == "the port is 42"


async def test_a_deleted_message_under_replies_becomes_a_tombstone(sandbox: Sandbox) -> None:
    """Slack keeps a thread whose first message is deleted, and tells of it as an edit."""
    bot, asker = Listener(sandbox), sandbox.client("xoxp-asker")
    async with connected(sandbox, bot.app):
        ts = await ask(sandbox, "secret")
        await ask(sandbox, "a reply", thread_ts=ts)
        await asker.chat_delete(channel="C0HELP", ts=ts)
        await until(lambda: len(bot.heard) == 3)
    event = bot.events()[-1]
    assert event["subtype"] == "message_changed"
    assert event["message"]["subtype"] == "tombstone"
    assert "secret" not in str((await sandbox.state())["messages"])


async def test_a_lost_ack_brings_the_same_event_again(sandbox: Sandbox) -> None:
    """Same event id, new envelope, `retry_attempt` and `retry_reason`; then it is acknowledged."""
    bot = Listener(sandbox)
    await sandbox.faults(drop_ack=1, ack_s=2)
    async with connected(sandbox, bot.app):
        await ask(sandbox, "no mention")
        await until(lambda: all_acked(sandbox))
    [delivery] = (await sandbox.state())["deliveries"]
    assert delivery["attempts"] == len(set(delivery["envelopes"])) == 2
    assert [body["event_id"] for body in bot.heard] == [delivery["id"]] * 2


async def test_a_listener_that_fails_is_not_acknowledged(sandbox: Sandbox) -> None:
    """Bolt answers an exception before the ack with status 500, and the event comes again."""
    bot, failed = Listener(sandbox), list[str]()

    @bot.app.middleware
    async def fail_once(body: dict[str, Any], next: Any) -> None:
        if not failed:
            failed.append(body["event_id"])
            raise RuntimeError("the store is away")
        await next()

    await sandbox.faults(ack_s=2)
    async with connected(sandbox, bot.app):
        await ask(sandbox, "no mention")
        await until(lambda: all_acked(sandbox))
    assert [body["event_id"] for body in bot.heard] == failed


async def test_given_up_after_the_last_retry(sandbox: Sandbox) -> None:
    """What is never acknowledged is given up once the schedule is through."""
    bot = Listener(sandbox)
    await sandbox.faults(drop_ack=99, ack_s=0.1, retry_s=[0, 0.1])
    async with connected(sandbox, bot.app):
        await ask(sandbox, "no mention")
        await until(lambda: _gave_up(sandbox))
    assert len(bot.heard) == 3


async def _gave_up(sandbox: Sandbox) -> bool:
    return (await counts(sandbox))["gave_up"] == 1


async def test_duplicates_on_demand(sandbox: Sandbox) -> None:
    """One event in two envelopes: handlers see the same event id twice, the counts one event."""
    bot = Listener(sandbox)
    await sandbox.faults(duplicate=1)
    async with connected(sandbox, bot.app):
        await ask(sandbox, "no mention")
        await until(lambda: len(bot.heard) == 2)
    assert len({body["event_id"] for body in bot.heard}) == 1
    found = await counts(sandbox)
    assert (found["events"], found["delivered"], found["deliveries"]) == (1, 1, 2)


async def test_events_wait_while_no_socket_is_connected(sandbox: Sandbox) -> None:
    """However long nobody listens, nothing is given up, and the order is kept."""
    await sandbox.faults(ack_s=0.1, retry_s=[])
    asked = [await ask(sandbox, f"question {number}") for number in range(20)]
    assert (await counts(sandbox))["waiting"] == 20
    bot = Listener(sandbox)
    await sandbox.faults(ack_s=3)
    async with connected(sandbox, bot.app):
        await until(lambda: all_acked(sandbox))
    assert [event["ts"] for event in bot.events()] == asked


async def test_a_socket_that_drops_loses_nothing(sandbox: Sandbox) -> None:
    """What was sent and not acknowledged comes again on the next socket, beyond the schedule."""
    bot = Listener(sandbox)
    await sandbox.faults(drop_ack=2, ack_s=30, retry_s=[])
    async with connected(sandbox, bot.app):
        await ask(sandbox)
        await until(lambda: len(bot.heard) == 2)
        await sandbox.faults(drop_socket=True)
        await until(lambda: all_acked(sandbox))
    assert len({body["event_id"] for body in bot.heard}) == 2
    assert len(bot.heard) == 4


async def test_bolt_follows_a_refresh(sandbox: Sandbox) -> None:
    """After `refresh_requested` Bolt comes anew, and hears what is said meanwhile."""
    bot = Listener(sandbox)
    async with connected(sandbox, bot.app):
        await sandbox.faults(refresh_socket=True)
        asked = [await ask(sandbox, f"question {number}") for number in range(5)]
        await until(lambda: all_acked(sandbox))
    assert {event["ts"] for event in bot.events()} == set(asked)


async def test_each_envelope_goes_to_one_of_the_sockets(sandbox: Sandbox) -> None:
    """Two connected bots share the events; none hears what the other heard."""
    one, two = Listener(sandbox), Listener(sandbox)
    async with connected(sandbox, one.app), connected(sandbox, two.app):
        for number in range(6):
            await ask(sandbox, f"question {number}")
        await until(lambda: all_acked(sandbox))
    assert len(one.heard) == len(two.heard) == 3
    ids = {body["event_id"] for body in one.heard + two.heard}
    assert len(ids) == 6


async def test_a_command_is_acknowledged_and_answered(sandbox: Sandbox) -> None:
    """The ack's payload shows to the person alone, `respond` posts through the response URL."""
    app = AsyncApp(client=sandbox.client("xoxb-mynah"))
    heard: list[dict[str, Any]] = []

    @app.command("/mynah")
    async def on_command(ack: Any, respond: Any, command: dict[str, Any]) -> None:
        heard.append(command)
        await ack("Working on it")
        await respond(text="Done & dusted", response_type="in_channel")

    async with connected(sandbox, app):
        answer = await sandbox.command("status now")
        await until(lambda: _said(sandbox, 2))
    assert answer["ok"] is True
    assert answer["response"] == {"text": "Working on it"}
    [command] = heard
    assert (command["command"], command["text"]) == ("/mynah", "status now")
    assert (command["user_id"], command["channel_id"]) == ("U0ADMIN", "C0HELP")
    assert command["trigger_id"] == answer["trigger_id"]
    alone, public = sorted(await sandbox.messages(), key=lambda m: "ephemeral_to" not in m)
    assert (alone["text"], alone["ephemeral_to"]) == ("Working on it", "U0ADMIN")
    assert (public["text"], public.get("ephemeral_to")) == ("Done &amp; dusted", None)
    history = await sandbox.client("xoxp-admin").conversations_history(channel="C0HELP")
    assert [message["ts"] for message in history["messages"]] == [public["ts"]]


async def _said(sandbox: Sandbox, count: int) -> bool:
    return len(await sandbox.messages()) == count


async def test_a_command_nobody_hears_fails_as_in_slack(sandbox: Sandbox) -> None:
    """Without a socket `dispatch_failed`, without an ack `operation_timeout`, never a retry."""
    assert (await sandbox.command("status"))["error"] == "dispatch_failed"
    await sandbox.faults(drop_ack=1, ack_s=0.2)
    app = AsyncApp(client=sandbox.client("xoxb-mynah"))
    heard: list[str] = []

    @app.command("/mynah")
    async def on_command(ack: Any, command: dict[str, Any]) -> None:
        heard.append(command["text"])
        await ack()

    async with connected(sandbox, app):
        assert (await sandbox.command("again"))["error"] == "operation_timeout"
        await asyncio.sleep(0.5)
    assert heard == ["again"]


async def test_a_question_is_asked_again_after_429(sandbox: Sandbox) -> None:
    """A rate limit strikes the bot's calls alone, with `Retry-After`, as often as ordered."""
    await sandbox.faults(rate_limit={"method": "chat.postMessage", "n": 1, "retry_after": 7})
    await ask(sandbox)
    bot = sandbox.client("xoxb-mynah")
    with pytest.raises(SlackApiError) as refused:
        await bot.chat_postMessage(channel="C0HELP", text="soon")
    assert refused.value.response.status_code == 429
    assert refused.value.response.headers["Retry-After"] == "7"
    assert refused.value.response["error"] == "ratelimited"
    assert (await bot.chat_postMessage(channel="C0HELP", text="now"))["ok"]
