"""Files, uploaded in three steps: a URL, the content, and where to share it."""

from __future__ import annotations

from typing import Any

from deploy.sandbox.errors import SlackError
from deploy.sandbox.files import File
from deploy.sandbox.methods.chat import thread_root
from deploy.sandbox.methods.method import Call, Method
from deploy.sandbox.world import Content


def get_upload_url(call: Call) -> dict[str, Any]:
    """Where to send the content of a file of this name and length."""
    name, length = call.args.required("filename"), call.args.required("length")
    if not length.isdigit() or int(length) < 1:
        raise SlackError("missing_argument")
    now = call.workspace.clock.seconds()
    file, path = call.world.files.announce(name, int(length), call.caller.id, now)
    return {"upload_url": call.base_url + path, "file_id": file.id}


def complete_upload(call: Call) -> dict[str, Any]:
    """Finish uploads; named channels get one message with all the files."""
    named = call.args.names("channels") or call.args.names("channel_id")
    channels = [call.workspace.joined_channel(name, call.caller.id) for name in named]
    roots = [thread_root(call, channel) for channel in channels]
    files = [_uploaded(call, item) for item in _items(call)]
    for file, title in files:
        call.world.files.complete(file, title)
    whole = [file.as_json(call.base_url) for file, _ in files]
    for channel, root in zip(channels, roots, strict=True):
        content = Content(call.args.text("initial_comment"), files=whole)
        message = call.world.post(call.caller, channel, content, root=root)
        for file, _ in files:
            call.world.files.share(file, channel.id, message.ts)
    return {"files": [{**one, "channels": named} for one in whole]}


def _items(call: Call) -> list[dict[str, Any]]:
    items = call.args.nested("files", "invalid_arguments")
    if not isinstance(items, list) or not items or not all(isinstance(one, dict) for one in items):
        raise SlackError("invalid_arguments")
    return items


def _uploaded(call: Call, item: dict[str, Any]) -> tuple[File, str]:
    """The caller's own uploaded file that an item names, and its title."""
    file = call.world.files.by_id.get(str(item.get("id")))
    if file is None or file.user != call.caller.id or file.content is None or file.complete:
        raise SlackError("file_not_found")
    return file, str(item.get("title") or "")


METHODS = (
    Method("files.getUploadURLExternal", get_upload_url, scope="files:write"),
    Method("files.completeUploadExternal", complete_upload, scope="files:write"),
)
