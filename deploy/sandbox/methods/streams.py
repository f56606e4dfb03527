"""An answer that grows while it is written."""

from __future__ import annotations

from typing import Any

from deploy.sandbox.blocks import MARKDOWN_CHARS, check_blocks
from deploy.sandbox.errors import SlackError
from deploy.sandbox.limits import check_metadata, check_text
from deploy.sandbox.messages import Message
from deploy.sandbox.methods.chat import thread_root
from deploy.sandbox.methods.method import Call, Method
from deploy.sandbox.people import Channel
from deploy.sandbox.world import Content

LIVES_S = 5 * 60  # measured on Slack: a stream dies after about five minutes


def start(call: Call) -> dict[str, Any]:
    """Begin a streamed message in a thread. It takes no metadata: only its end does."""
    channel = call.channel()
    call.args.required("thread_ts")
    for needed in ("recipient_user_id", "recipient_team_id"):
        if not channel.im and not call.args.text(needed):
            raise SlackError(f"missing_{needed}")
    message = call.world.post(
        call.caller,
        channel,
        Content(_markdown(call)),
        root=thread_root(call, channel),
        streaming=True,
    )
    return {"channel": channel.id, "ts": message.ts}


def append(call: Call) -> dict[str, Any]:
    """Add text; the app hears of it when the stream stops."""
    channel, message = _stream(call)
    text = _markdown(call)
    if not text:
        raise SlackError("no_text")
    message.text += text
    message.touched = call.workspace.clock.ts()
    return {"channel": channel.id, "ts": message.ts}


def stop(call: Call) -> dict[str, Any]:
    """Finish a streamed message; now it may carry blocks and metadata."""
    channel, message = _stream(call)
    blocks = check_blocks(call.args.nested("blocks", "invalid_blocks_format") or [])
    metadata = call.args.nested("metadata", "invalid_metadata_format")
    content = Content(
        message.text + _markdown(call),
        blocks,
        metadata=None if metadata is None else check_metadata(metadata),
    )
    message.streaming = False
    call.world.edit(channel, message, content, mark=False)
    shown = message.as_json(metadata=True)
    return {"channel": channel.id, "ts": message.ts, "message": shown}


def _stream(call: Call) -> tuple[Channel, Message]:
    channel = call.channel()
    message = call.workspace.message(channel, call.args.required("ts"))
    if message.user != call.caller.id:
        raise SlackError("message_not_owned_by_app")
    if call.workspace.clock.seconds() - float(message.ts) > LIVES_S:
        message.streaming = False
    if not message.streaming:
        raise SlackError("message_not_in_streaming_state")
    return channel, message


def _markdown(call: Call) -> str:
    chunks = call.args.nested("chunks", "invalid_chunks") or []
    if not isinstance(chunks, list):
        raise SlackError("invalid_chunks")
    text = call.args.text("markdown_text")
    text += "".join(str(chunk.get("text", "")) for chunk in chunks if isinstance(chunk, dict))
    check_text(text, MARKDOWN_CHARS)
    return text


METHODS = (
    Method("chat.startStream", start, scope="chat:write"),
    Method("chat.appendStream", append, scope="chat:write"),
    Method("chat.stopStream", stop, scope="chat:write"),
)
