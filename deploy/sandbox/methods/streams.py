"""An answer that grows while it is written."""

from __future__ import annotations

from typing import Any

from deploy.sandbox.blocks import MARKDOWN_CHARS, check_blocks, with_ids
from deploy.sandbox.elements import Json
from deploy.sandbox.errors import SlackError
from deploy.sandbox.limits import check_metadata, check_text
from deploy.sandbox.messages import Message
from deploy.sandbox.methods.chat import thread_root
from deploy.sandbox.methods.method import Call, Method
from deploy.sandbox.people import Channel, TokenKind
from deploy.sandbox.world import Content

# Each kind of chunk with the fields that must be there.
_CHUNKS = {
    "markdown_text": ("text",),
    "task_update": ("id", "title", "status"),
    "plan_update": ("title",),
    "blocks": ("blocks",),
}


def start(call: Call) -> Json:
    """Begin a streamed message in a thread. It takes no metadata: only its end does."""
    channel = call.channel()
    call.args.required("thread_ts")
    for needed in ("recipient_user_id", "recipient_team_id"):
        if not channel.im and not call.args.text(needed):
            raise SlackError(f"missing_{needed}")
    if call.args.text("recipient_user_id"):
        call.workspace.user(call.args.text("recipient_user_id"))
    text, blocks = _more(call, "", [])
    root = thread_root(call, channel)
    message = call.world.post(
        call.caller, channel, Content(text, blocks), root=root, streaming=True
    )
    return {"channel": channel.id, "ts": message.ts}


def append(call: Call) -> Json:
    """Add text or steps; the app hears of it when the stream stops."""
    channel, message = _stream(call)
    if not call.args.text("markdown_text") and not call.args.get("chunks"):
        raise SlackError("no_text")
    message.text, blocks = _more(call, message.text, message.blocks)
    message.blocks = with_ids(blocks)
    message.touched = call.workspace.clock.ts()
    call.world.touched(message)
    return {"channel": channel.id, "ts": message.ts}


def stop(call: Call) -> Json:
    """Finish a streamed message; now it may carry blocks and metadata."""
    channel, message = _stream(call)
    text, blocks = _more(call, message.text, message.blocks)
    more = check_blocks(call.args.nested("blocks", "invalid_blocks_format") or [])
    metadata = call.args.nested("metadata", "invalid_metadata_format")
    content = Content(
        text,
        check_blocks([*blocks, *more]),
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
    if message.streaming and call.world.faults.expires_stream():
        message.streaming = False
        call.world.touched(message)
    if not message.still_streams(call.workspace.clock.seconds()):
        raise SlackError("message_not_in_streaming_state")
    return channel, message


def _more(call: Call, text: str, blocks: list[Json]) -> tuple[str, list[Json]]:
    """What the message says with what the call adds to it."""
    markdown, chunks = call.args.text("markdown_text"), _chunks(call)
    if markdown and chunks:
        raise SlackError("cannot_provide_both_markdown_text_and_chunks")
    added = markdown + "".join(c["text"] for c in chunks if c["type"] == "markdown_text")
    check_text(added, MARKDOWN_CHARS)
    check_text(text + added)
    for chunk in chunks:
        blocks = _with_chunk(blocks, chunk)
    return text + added, check_blocks(blocks)


def _chunks(call: Call) -> list[Json]:
    chunks = call.args.nested("chunks", "invalid_chunks") or []
    if not isinstance(chunks, list) or not all(_sound(chunk) for chunk in chunks):
        raise SlackError("invalid_chunks")
    return chunks


def _sound(chunk: Any) -> bool:
    if not isinstance(chunk, dict) or chunk.get("type") not in _CHUNKS:
        return False
    return all(chunk.get(name) for name in _CHUNKS[chunk["type"]])


def _with_chunk(blocks: list[Json], chunk: Json) -> list[Json]:
    """The blocks with a step, a plan's title or further blocks; a known step is brought up."""
    if chunk["type"] == "blocks":
        return [*blocks, *check_blocks(chunk["blocks"])]
    if chunk["type"] == "plan_update":
        others = [block for block in blocks if block["type"] != "plan"]
        return [{"type": "plan", "title": chunk["title"]}, *others]
    if chunk["type"] == "task_update":
        # Details and output of a chunk are texts, those of a block rich text: only the step shows.
        card: Json = {"type": "task_card", "task_id": chunk["id"]}
        card |= {"title": chunk["title"], "status": chunk["status"]}
        at = next((i for i, b in enumerate(blocks) if b.get("task_id") == chunk["id"]), len(blocks))
        return [*blocks[:at], card, *blocks[at + 1 :]]
    return blocks


_BOT = frozenset({TokenKind.BOT})
METHODS = (
    Method("chat.startStream", start, scope="chat:write", kinds=_BOT),
    Method("chat.appendStream", append, scope="chat:write", kinds=_BOT),
    Method("chat.stopStream", stop, scope="chat:write", kinds=_BOT),
)
