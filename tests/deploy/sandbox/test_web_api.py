"""The Web API through the real Slack SDK, and by hand where the SDK would never go."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from typing import Any

import httpx
import pytest
from slack_sdk.errors import SlackApiError

from tests.sandbox_server import Sandbox

HELP = "C0HELP"
METADATA = {"event_type": "mynah_outbox", "event_payload": {"id": 7}}


async def refused(call: Awaitable[Any]) -> str:
    """The error that a call is answered with."""
    with pytest.raises(SlackApiError) as error:
        await call
    return str(error.value.response["error"])


async def posted(sandbox: Sandbox, text: str, who: str = "xoxp-asker", **more: Any) -> str:
    answer = await sandbox.client(who).chat_postMessage(channel=HELP, text=text, **more)
    return str(answer["ts"])


async def test_auth_test_tells_a_bot_from_a_person(sandbox: Sandbox) -> None:
    """The bot has a bot id, a person none; both name the team."""
    bot = (await sandbox.client("xoxb-mynah").auth_test()).data
    person = (await sandbox.client("xoxp-staff").auth_test()).data
    assert isinstance(bot, dict)
    assert isinstance(person, dict)
    assert (bot["user_id"], bot["bot_id"], bot["team_id"]) == ("U0MYNAH", "B0MYNAH", "T0MYNAH")
    assert person["user_id"] == "U0STAFF"
    assert "bot_id" not in person


async def test_tokens_are_told_apart(sandbox: Sandbox) -> None:
    """No token, a wrong one, the wrong family and a missing scope each have their error."""
    assert await refused(sandbox.client("").auth_test()) == "not_authed"
    assert await refused(sandbox.client("xoxb-other").auth_test()) == "invalid_auth"
    app, bot = sandbox.client("xapp-mynah"), sandbox.client("xoxb-mynah")
    assert await refused(app.chat_postMessage(channel=HELP, text="x")) == "not_allowed_token_type"
    assert await refused(bot.apps_connections_open(app_token="xoxb-mynah")) == (
        "not_allowed_token_type"
    )
    assert await refused(bot.conversations_join(channel=HELP)) == "missing_scope"
    await sandbox.seed(bot_scopes=["chat:write"])
    assert await refused(bot.conversations_history(channel=HELP)) == "missing_scope"
    assert await refused(bot.api_call("chat.shout")) == "unknown_method"


async def test_arguments_come_in_every_form(sandbox: Sandbox) -> None:
    """Query, form with nested JSON as strings, JSON and multipart say the same."""
    text = {"type": "mrkdwn", "text": "block"}
    blocks = [{"type": "section", "block_id": "b", "text": text}]
    flat = {"channel": HELP, "text": "hi", "blocks": json.dumps(blocks)}
    headers = {"Authorization": "Bearer xoxp-asker"}
    async with httpx.AsyncClient(base_url=sandbox.api_url, headers=headers) as http:
        answers = [
            await http.get("chat.postMessage", params=flat),
            await http.post("chat.postMessage", params=flat),
            await http.post("chat.postMessage", data=flat),
            await http.post("chat.postMessage", json={**flat, "blocks": blocks}),
            await http.post("chat.postMessage", data=flat, files={"f": b"x"}),
        ]
        bad = await http.post(
            "chat.postMessage", content="{", headers={"content-type": "application/json"}
        )
    shown = [answer.json()["message"] for answer in answers]
    assert [(one["text"], one["blocks"]) for one in shown] == [("hi", blocks)] * 5
    assert (bad.status_code, bad.json()) == (200, {"ok": False, "error": "invalid_json"})


async def test_ts_grows_with_each_message(sandbox: Sandbox) -> None:
    """Timestamps are unique and in order, in Slack's form."""
    sent = [await posted(sandbox, str(number)) for number in range(20)]
    assert sent == sorted(set(sent))
    assert all(len(ts) == 17 and ts[10] == "." for ts in sent)


async def test_posting_is_refused_as_slack_does(sandbox: Sandbox) -> None:
    """Each mistake in a post has Slack's own error."""
    bot, guest = sandbox.client("xoxb-mynah"), sandbox.client("xoxp-guest")
    await sandbox.seed(channels=[{"id": "C0AWAY", "name": "away", "members": ["U0ADMIN"]}])
    assert await refused(bot.chat_postMessage(channel="C0NONE", text="x")) == "channel_not_found"
    assert await refused(bot.chat_postMessage(channel="C0AWAY", text="x")) == "not_in_channel"
    assert await refused(guest.chat_postMessage(channel="C0PRIV", text="x")) == "channel_not_found"
    empty = bot.api_call("chat.postMessage", json={"channel": HELP, "text": " "})
    assert await refused(empty) == "no_text"
    assert await refused(bot.chat_postMessage(channel=HELP, text="x" * 40_001)) == "msg_too_long"
    assert await refused(bot.chat_postMessage(channel=HELP, text="x", thread_ts="1.2")) == (
        "thread_not_found"
    )
    assert (await bot.chat_postMessage(channel="#help", text="x" * 40_000))["channel"] == HELP


async def test_a_thread_counts_its_replies(sandbox: Sandbox) -> None:
    """The root tells of its replies; history leaves them out, but for broadcasts."""
    asker = sandbox.client("xoxp-asker")
    root = await posted(sandbox, "root")
    reply = await posted(sandbox, "reply", "xoxp-staff", thread_ts=root)
    loud = await posted(sandbox, "loud", thread_ts=reply, reply_broadcast=True)
    thread = (await asker.conversations_replies(channel=HELP, ts=root))["messages"]
    assert [message["ts"] for message in thread] == [root, reply, loud]
    assert (thread[0]["reply_count"], thread[0]["latest_reply"]) == (2, loud)
    assert (thread[1]["thread_ts"], thread[1]["parent_user_id"]) == (root, "U0ASKER")
    history = (await asker.conversations_history(channel=HELP))["messages"]
    assert [message["ts"] for message in history] == [loud, root]
    alone = (await asker.conversations_replies(channel=HELP, ts=reply))["messages"]
    assert [message["ts"] for message in alone] == [reply]
    await asker.chat_delete(channel=HELP, ts=loud)
    thread = (await asker.conversations_replies(channel=HELP, ts=root))["messages"]
    assert (len(thread), thread[0]["reply_count"]) == (2, 1)


async def test_pages_and_bounds(sandbox: Sandbox) -> None:
    """`limit` and `cursor` walk everything once; `oldest` and `latest` cut exactly."""
    asker = sandbox.client("xoxp-asker")
    sent = [await posted(sandbox, str(number)) for number in range(5)]
    seen: list[str] = []
    async for page in await asker.conversations_history(channel=HELP, limit=2):
        seen += [message["ts"] for message in page["messages"]]
    assert seen == sent[::-1]
    inner = await asker.conversations_history(channel=HELP, oldest=sent[1], latest=sent[3])
    assert [message["ts"] for message in inner["messages"]] == [sent[2]]
    bounds: dict[str, Any] = {"oldest": sent[1], "latest": sent[3], "inclusive": True}
    whole = await asker.conversations_history(channel=HELP, **bounds)
    assert [message["ts"] for message in whole["messages"]] == sent[3:0:-1]
    wrong = asker.conversations_history(channel=HELP, oldest="yesterday")
    assert await refused(wrong) == "invalid_ts_oldest"


async def test_metadata_shows_when_asked_for(sandbox: Sandbox) -> None:
    """Metadata comes with `include_all_metadata` alone, survives an edit, and `{}` removes it."""
    bot = sandbox.client("xoxb-mynah")
    ts = await posted(sandbox, "answer", "xoxb-mynah", metadata=METADATA)

    async def shown(asked: bool) -> Any:
        found = await bot.conversations_replies(channel=HELP, ts=ts, include_all_metadata=asked)
        return found["messages"][0].get("metadata")

    assert (await shown(False), await shown(True)) == (None, METADATA)
    await bot.chat_update(channel=HELP, ts=ts, text="better")
    assert await shown(True) == METADATA
    await bot.chat_update(channel=HELP, ts=ts, text="better", metadata={})
    assert await shown(True) is None
    bad = bot.chat_postMessage(channel=HELP, text="x", metadata={"event_type": "x"})
    assert await refused(bad) == "invalid_metadata_format"


async def test_editing_and_deleting_is_the_authors(sandbox: Sandbox) -> None:
    """Others may not, an admin may delete; an update is held to 4,000 characters."""
    asker, bot = sandbox.client("xoxp-asker"), sandbox.client("xoxb-mynah")
    blocks = [{"type": "divider", "block_id": "b"}]
    ts = await posted(sandbox, "mine", blocks=blocks)
    assert await refused(bot.chat_update(channel=HELP, ts=ts, text="x")) == "cant_update_message"
    assert await refused(bot.chat_delete(channel=HELP, ts=ts)) == "cant_delete_message"
    assert await refused(asker.chat_update(channel=HELP, ts="1.2", text="x")) == "message_not_found"
    long = asker.chat_update(channel=HELP, ts=ts, text="x" * 4_001)
    assert await refused(long) == "msg_too_long"
    kept = await asker.api_call("chat.update", json={"channel": HELP, "ts": ts, "blocks": blocks})
    assert kept["message"]["blocks"] == blocks
    changed = await asker.chat_update(channel=HELP, ts=ts, text="x" * 4_000)
    assert "blocks" not in changed["message"]
    await sandbox.client("xoxp-admin").chat_delete(channel=HELP, ts=ts)
    assert await refused(asker.chat_delete(channel=HELP, ts=ts)) == "message_not_found"


async def test_reactions_are_counted_once_a_person(sandbox: Sandbox) -> None:
    """The same reaction twice, or removed when absent, is refused."""
    staff, ts = sandbox.client("xoxp-staff"), await posted(sandbox, "good")
    here = {"channel": HELP, "timestamp": ts, "name": "white_check_mark"}
    await staff.reactions_add(**here)
    await sandbox.client("xoxp-staff2").reactions_add(**here)
    assert await refused(staff.reactions_add(**here)) == "already_reacted"
    got = await staff.reactions_get(channel=HELP, timestamp=ts)
    assert got["message"]["reactions"] == [
        {"name": "white_check_mark", "users": ["U0STAFF", "U0STAFF2"], "count": 2}
    ]
    await staff.reactions_remove(**here)
    assert await refused(staff.reactions_remove(**here)) == "no_reaction"
    assert await refused(staff.reactions_add(**{**here, "timestamp": "1.2"})) == "message_not_found"
    assert await refused(staff.reactions_add(**{**here, "name": ":x:"})) == "invalid_name"


async def test_an_ephemeral_message_is_in_the_state_alone(sandbox: Sandbox) -> None:
    """One person sees it; neither history nor events know of it."""
    bot = sandbox.client("xoxb-mynah")
    await bot.chat_postEphemeral(channel=HELP, user="U0ASKER", text="for you")
    [message] = await sandbox.messages()
    assert (message["text"], message["ephemeral_to"]) == ("for you", "U0ASKER")
    assert (await bot.conversations_history(channel=HELP))["messages"] == []
    assert (await sandbox.state(parts="counts"))["counts"]["events"] == 0
    outside = bot.chat_postEphemeral(channel=HELP, user="U0NONE", text="x")
    assert await refused(outside) == "user_not_in_channel"


async def test_people_and_groups_are_told(sandbox: Sandbox) -> None:
    """Guests, bots, strangers and staff are to be told apart by what Slack says of them."""
    await sandbox.seed(users=[{"id": "U0FAR", "team": "T0OTHER"}])
    bot = sandbox.client("xoxb-mynah")

    async def user(user_id: str) -> Any:
        return (await bot.users_info(user=user_id))["user"]

    assert (await user("U0GUEST"))["is_restricted"] is True
    assert (await user("U0MYNAH"))["is_bot"] is True
    assert (await user("U0FAR"))["team_id"] == "T0OTHER"
    assert (await user("U0STAFF"))["is_restricted"] is False
    assert await refused(bot.users_info(user="U0NONE")) == "user_not_found"
    assert (await bot.usergroups_users_list(usergroup="S0STAFF"))["users"] == [
        "U0STAFF",
        "U0STAFF2",
    ]
    everybody = (await bot.users_list())["members"]
    assert {"U0FAR", "U0MYNAH", "U0ASKER"} <= {one["id"] for one in everybody}


async def test_conversations_are_found_and_joined(sandbox: Sandbox) -> None:
    """Private ones show to members; joining and inviting make members, and the app hears of it."""
    await sandbox.seed(channels=[{"id": "C0NEW", "name": "new", "members": ["U0ADMIN"]}])
    asker, admin, bot = (sandbox.client(f"xox{end}") for end in ("p-asker", "p-admin", "b-mynah"))
    named = {c["id"] for c in (await bot.conversations_list(types="public_channel"))["channels"]}
    assert named == {"C0HELP", "C0OPS", "C0NEW"}
    private = await bot.conversations_info(channel="C0PRIV")
    assert private["channel"]["is_private"] is True
    guest = sandbox.client("xoxp-guest")
    assert await refused(guest.conversations_info(channel="C0PRIV")) == "channel_not_found"
    await asker.conversations_join(channel="C0NEW")
    await admin.conversations_invite(channel="C0NEW", users=["U0MYNAH"])
    found = await asker.conversations_members(channel="C0NEW")
    assert found["members"] == ["U0ADMIN", "U0ASKER", "U0MYNAH"]
    [delivery] = (await sandbox.state())["deliveries"]
    assert delivery["type"] == "member_joined_channel"


async def test_a_permalink_leads_to_the_thread(sandbox: Sandbox) -> None:
    """A reply's link names its thread."""
    root = await posted(sandbox, "root")
    reply = await posted(sandbox, "reply", thread_ts=root)
    link = await sandbox.client("xoxb-mynah").chat_getPermalink(channel=HELP, message_ts=reply)
    assert link["permalink"].endswith(
        f"/C0HELP/p{reply.replace('.', '')}?thread_ts={root}&cid=C0HELP"
    )


async def test_a_stream_grows_and_stops_once(sandbox: Sandbox) -> None:
    """Text comes in pieces; metadata only at the end; what has stopped takes no more."""
    bot, root = sandbox.client("xoxb-mynah"), await posted(sandbox, "root")
    here: dict[str, Any] = {"channel": HELP, "thread_ts": root}
    assert await refused(bot.chat_startStream(**here)) == "missing_recipient_user_id"
    who: dict[str, Any] = {"recipient_user_id": "U0ASKER", "recipient_team_id": "T0MYNAH"}
    started = await bot.chat_startStream(**here, **who, markdown_text="The port ")
    ts = started["ts"]
    await bot.chat_appendStream(channel=HELP, ts=ts, markdown_text="is 41")
    await bot.chat_stopStream(channel=HELP, ts=ts, markdown_text=".", metadata=METADATA)
    thread = await bot.conversations_replies(channel=HELP, ts=root, include_all_metadata=True)
    assert thread["messages"][1]["text"] == "The port is 41."
    assert thread["messages"][1]["metadata"] == METADATA
    late = bot.chat_appendStream(channel=HELP, ts=ts, markdown_text="!")
    assert await refused(late) == "message_not_in_streaming_state"
