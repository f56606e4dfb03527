"""Answers that grow, statuses and suggested prompts, through the real Slack SDK."""

from __future__ import annotations

from typing import Any

import pytest
from slack_sdk.errors import SlackApiError

from deploy.sandbox.messages import STREAM_S
from deploy.sandbox.world import Content, World
from tests.deploy.sandbox.acts import HELP, feedback
from tests.sandbox_server import Sandbox

METADATA = {"event_type": "mynah_outbox", "event_payload": {"id": 7}}
WHO: dict[str, Any] = {"recipient_user_id": "U0ASKER", "recipient_team_id": "T0MYNAH"}


async def asked(sandbox: Sandbox) -> str:
    posted = await sandbox.client("xoxp-asker").chat_postMessage(channel=HELP, text="which port?")
    return str(posted["ts"])


async def test_the_sdks_streamer_writes_an_answer(sandbox: Sandbox) -> None:
    """`chat_stream` starts, appends and stops; buttons and metadata come with the end."""
    bot, root = sandbox.client("xoxb-mynah"), await asked(sandbox)
    stream = await bot.chat_stream(channel=HELP, thread_ts=root, buffer_size=4, **WHO)
    await stream.append(markdown_text="The port ")
    await stream.append(markdown_text="is 41")
    [_, growing] = await sandbox.messages()
    assert (growing["text"], growing["streaming"]) == ("The port is 41", True)
    await stream.stop(markdown_text=".", blocks=[feedback()], metadata=METADATA)
    [_, done] = await sandbox.messages()
    assert (done["text"], "streaming" in done) == ("The port is 41.", False)
    assert (done["metadata"], done["blocks"]) == (METADATA, [feedback()])
    assert done["thread_ts"] == root


async def test_a_stream_dies_on_demand(sandbox: Sandbox) -> None:
    """It takes no more, keeps what it said, and `chat.update` mends it: open it was refused."""
    bot, root = sandbox.client("xoxb-mynah"), await asked(sandbox)
    stream = await bot.chat_stream(channel=HELP, thread_ts=root, buffer_size=1, **WHO)
    await stream.append(markdown_text="The port")
    ts = str(stream.ts)
    with pytest.raises(SlackApiError, match="streaming_state_conflict"):
        await bot.chat_update(channel=HELP, ts=ts, text="x")
    await sandbox.faults(expire_stream=1)
    for _ in range(2):
        with pytest.raises(SlackApiError, match="message_not_in_streaming_state"):
            await stream.append(markdown_text=" is 41")
    assert (await sandbox.messages())[1]["text"] == "The port"
    await bot.chat_update(channel=HELP, ts=ts, text="The port is 41")


async def test_a_stream_dies_of_age() -> None:
    """After five minutes it is over."""
    world = World.fresh()
    bot, channel = world.workspace.users["U0MYNAH"], world.workspace.channels[HELP]
    message = world.post(bot, channel, Content("The port"), streaming=True)
    await world.courier.close()
    begun = float(message.ts)
    assert message.still_streams(begun + STREAM_S)
    assert not message.still_streams(begun + STREAM_S + 1)
    assert not message.still_streams(begun)


async def test_streams_are_refused_as_slack_does(sandbox: Sandbox) -> None:
    """Each mistake has Slack's own error."""
    bot, root = sandbox.client("xoxb-mynah"), await asked(sandbox)
    here: dict[str, Any] = {"channel": HELP, "thread_ts": root}
    ts = str((await bot.chat_startStream(**here, **WHO))["ts"])
    other = str((await bot.chat_postMessage(channel=HELP, text="no stream"))["ts"])
    chunk = {"type": "markdown_text", "text": "x"}
    append: dict[str, Any] = {"channel": HELP, "ts": ts}
    for method, body, code in (
        ("startStream", here, "missing_recipient_user_id"),
        ("startStream", {**here, "recipient_user_id": "U0ASKER"}, "missing_recipient_team_id"),
        ("startStream", {**here, **WHO, "thread_ts": "1.2"}, "thread_not_found"),
        ("appendStream", {**append, "markdown_text": "x" * 12_001}, "msg_too_long"),
        ("appendStream", {**append, "chunks": [{"type": "none"}]}, "invalid_chunks"),
        (
            "appendStream",
            {**append, "markdown_text": "x", "chunks": [chunk]},
            "cannot_provide_both_markdown_text_and_chunks",
        ),
        ("appendStream", append, "no_text"),
        ("stopStream", {**append, "blocks": [{"type": "none"}]}, "invalid_blocks"),
        ("stopStream", {**append, "ts": other}, "message_not_in_streaming_state"),
        ("stopStream", {**append, "ts": root}, "message_not_owned_by_app"),
    ):
        with pytest.raises(SlackApiError) as refused:
            await bot.api_call(f"chat.{method}", json=body)
        assert refused.value.response["error"] == code, (method, body)
    with pytest.raises(SlackApiError, match="not_allowed_token_type"):
        await sandbox.client("xoxp-staff").chat_appendStream(**append, markdown_text="x")


async def test_steps_show_as_cards(sandbox: Sandbox) -> None:
    """A step that is updated stays one card."""
    bot, root = sandbox.client("xoxb-mynah"), await asked(sandbox)
    started = await bot.chat_startStream(channel=HELP, thread_ts=root, **WHO)
    step = {"type": "task_update", "id": "1", "title": "Read the manual"}
    for status in ("in_progress", "complete"):
        chunks = [{**step, "status": status}]
        await bot.chat_appendStream(
            channel=HELP, ts=started["ts"], markdown_text=None, chunks=chunks
        )
    done = await bot.chat_stopStream(channel=HELP, ts=started["ts"])
    [card] = done["message"]["blocks"]
    assert (card["type"], card["task_id"], card["status"]) == ("task_card", "1", "complete")


async def test_a_status_stands_until_the_answer(sandbox: Sandbox) -> None:
    """The state shows it under its thread; the bot's next message there ends it."""
    bot, root = sandbox.client("xoxb-mynah"), await asked(sandbox)
    await bot.assistant_threads_setStatus(channel_id=HELP, thread_ts=root, status="is reading")
    assert (await sandbox.state())["statuses"] == {f"{HELP}:{root}": "is reading"}
    await bot.chat_postMessage(channel=HELP, text="41", thread_ts=root)
    assert (await sandbox.state())["statuses"] == {}
    with pytest.raises(SlackApiError, match="invalid_thread_ts"):
        await bot.assistant_threads_setStatus(channel_id=HELP, thread_ts="1.2", status="x")


async def test_prompts_are_suggested_up_to_four(sandbox: Sandbox) -> None:
    """In a direct conversation without a thread, as agents do; a fifth is refused."""
    bot = sandbox.client("xoxb-mynah")
    opened = await sandbox.client("xoxp-asker").conversations_open(users="U0MYNAH")
    channel = opened["channel"]["id"]
    prompts = [{"title": "Ports", "message": "Which port?"}]
    await bot.assistant_threads_setSuggestedPrompts(channel_id=channel, prompts=prompts)
    assert (await sandbox.state())["prompts"] == {channel: {"title": "", "prompts": prompts}}
    for wrong in (prompts * 5, [], [{"title": "Ports"}]):
        with pytest.raises(SlackApiError, match="invalid_arguments"):
            await bot.assistant_threads_setSuggestedPrompts(channel_id=channel, prompts=wrong)
