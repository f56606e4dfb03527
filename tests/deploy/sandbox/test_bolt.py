"""Real Bolt over the sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from slack_bolt.async_app import AsyncApp

from tests.sandbox_server import Sandbox, connected


def bolt(sandbox: Sandbox) -> AsyncApp:
    """An unmodified Bolt app as the sandbox's bot."""
    return AsyncApp(client=sandbox.client("xoxb-mynah"), raise_error_for_unhandled_request=False)


async def until(true: Callable[[], bool], within_s: float = 10) -> None:
    """Wait until something is true."""
    async with asyncio.timeout(within_s):
        while not true():
            await asyncio.sleep(0.02)


async def test_one_question_arrives_as_mention_and_message_and_is_answered(
    sandbox: Sandbox,
) -> None:
    """A post by a person reaches Bolt twice, as in Slack, and the bot's reply stands in its thread."""
    app, heard = bolt(sandbox), list[dict[str, Any]]()

    @app.event("app_mention")
    async def on_mention(body: dict[str, Any], say: Any) -> None:
        heard.append(body)
        await say("41", thread_ts=body["event"]["ts"])

    @app.event("message")
    async def on_message(body: dict[str, Any]) -> None:
        heard.append(body)

    async with connected(sandbox, app):
        asked = await sandbox.client("xoxp-asker").chat_postMessage(
            channel="C0HELP", text="<@U0MYNAH> which port?"
        )
        await until(lambda: len(heard) >= 2)
        await asyncio.sleep(0.3)
    assert sorted(body["event"]["type"] for body in heard) == ["app_mention", "message"]
    assert len({body["event_id"] for body in heard}) == 2
    assert {body["event"]["ts"] for body in heard} == {asked["ts"]}
    thread = await sandbox.client("xoxp-asker").conversations_replies(
        channel="C0HELP", ts=asked["ts"]
    )
    assert [m["text"] for m in thread["messages"]] == ["<@U0MYNAH> which port?", "41"]
    assert thread["messages"][1]["bot_id"] == "B0MYNAH"
