"""Saying, changing and taking back."""

from __future__ import annotations

from typing import Any

from deploy.sandbox.blocks import MARKDOWN_CHARS, check_blocks
from deploy.sandbox.errors import SlackError
from deploy.sandbox.limits import UPDATE_CHARS, check_metadata, check_text
from deploy.sandbox.messages import Message
from deploy.sandbox.methods.method import Call, Method
from deploy.sandbox.people import Channel
from deploy.sandbox.world import Content


def post_message(call: Call) -> dict[str, Any]:
    """Post to a channel, or to a person's direct conversation when a user is named."""
    channel = _target(call)
    message = call.world.post(
        call.caller,
        channel,
        _content(call),
        root=thread_root(call, channel),
        broadcast=call.args.flag("reply_broadcast"),
    )
    return _said(channel, message)


def post_ephemeral(call: Call) -> dict[str, Any]:
    """Post what one person alone sees, and no history keeps."""
    channel = call.channel()
    user = call.args.required("user")
    if user not in channel.members:
        raise SlackError("user_not_in_channel")
    root = thread_root(call, channel)
    message = call.world.post(call.caller, channel, _content(call), root=root, ephemeral_to=user)
    return {"message_ts": message.ts}


def update(call: Call) -> dict[str, Any]:
    """Change one's own message; without new metadata the old stays, `{}` removes it."""
    channel = call.channel()
    message = call.workspace.message(channel, call.args.required("ts"))
    if message.user != call.caller.id or message.subtype == "tombstone":
        raise SlackError("cant_update_message")
    if message.still_streams(call.workspace.clock.seconds()):
        raise SlackError("streaming_state_conflict")
    check_text(call.args.text("text"), UPDATE_CHARS)
    call.world.edit(channel, message, _changed(call, message), mark="blocks" not in call.args)
    return _said(channel, message) | {"text": message.text}


def delete(call: Call) -> dict[str, Any]:
    """Delete one's own message; an admin deletes anybody's."""
    channel = call.channel()
    message = call.workspace.message(channel, call.args.required("ts"))
    if message.subtype == "tombstone":
        raise SlackError("message_not_found")
    if message.user != call.caller.id and not call.caller.is_admin:
        raise SlackError("cant_delete_message")
    if message.still_streams(call.workspace.clock.seconds()):
        raise SlackError("cant_delete_message")
    call.world.delete(channel, message)
    return {"channel": channel.id, "ts": message.ts}


def get_permalink(call: Call) -> dict[str, Any]:
    """The web address of a message."""
    channel = call.workspace.visible_channel(call.args.required("channel"), call.caller.id)
    message = call.workspace.message(channel, call.args.required("message_ts"))
    link = f"https://{call.workspace.domain}.slack.com/archives/{channel.id}/p"
    link += message.ts.replace(".", "")
    if message.is_reply:
        link += f"?thread_ts={message.thread_ts}&cid={channel.id}"
    return {"channel": channel.id, "permalink": link}


def thread_root(call: Call, channel: Channel) -> Message | None:
    """The message under which `thread_ts` puts a reply; a reply's own ts leads to its root."""
    ts = call.args.text("thread_ts")
    if not ts:
        return None
    found = call.workspace.message(channel, ts, "thread_not_found")
    return call.workspace.messages[channel.id][found.thread_ts or ts]


def _target(call: Call) -> Channel:
    target = call.args.required("channel")
    if target in call.workspace.users:
        return call.world.direct(call.caller.id, target)[0]
    return call.channel()


def _content(call: Call) -> Content:
    args = call.args
    text, markdown = args.text("text"), args.text("markdown_text")
    if markdown and (text or args.get("blocks")):
        raise SlackError("markdown_text_conflict")
    check_text(markdown, MARKDOWN_CHARS)
    blocks = check_blocks(args.nested("blocks", "invalid_blocks_format") or [])
    attachments = _attachments(call) or []
    if not (text or markdown).strip() and not blocks and not attachments:
        raise SlackError("no_text")
    return Content(text or markdown, blocks, attachments, _metadata(call, None))


def _changed(call: Call, message: Message) -> Content:
    """The new content; a text without blocks removes the old blocks."""
    args = call.args
    text = args.text("text") or args.text("markdown_text")
    kept = [] if text else message.blocks
    blocks = args.nested("blocks", "invalid_blocks_format")
    attachments = _attachments(call)
    content = Content(
        text or ("" if blocks else message.text),
        kept if blocks is None else check_blocks(blocks),
        message.attachments if attachments is None else attachments,
        _metadata(call, message.metadata),
    )
    if not content.text and not content.blocks and not content.attachments:
        raise SlackError("no_text")
    return content


def _attachments(call: Call) -> list[dict[str, Any]] | None:
    attachments = call.args.nested("attachments", "invalid_attachments")
    if attachments is not None and not isinstance(attachments, list):
        raise SlackError("invalid_attachments")
    return attachments


def _metadata(call: Call, before: dict[str, Any] | None) -> dict[str, Any] | None:
    metadata = call.args.nested("metadata", "invalid_metadata_format")
    return before if metadata is None else check_metadata(metadata)


def _said(channel: Channel, message: Message) -> dict[str, Any]:
    return {"channel": channel.id, "ts": message.ts, "message": message.as_json(metadata=True)}


METHODS = (
    Method("chat.postMessage", post_message, scope="chat:write"),
    Method("chat.postEphemeral", post_ephemeral, scope="chat:write"),
    Method("chat.update", update, scope="chat:write"),
    Method("chat.delete", delete, scope="chat:write"),
    Method("chat.getPermalink", get_permalink),
)
