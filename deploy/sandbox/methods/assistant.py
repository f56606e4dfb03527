"""What the assistant shows while it works."""

from __future__ import annotations

from typing import Any

from deploy.sandbox.methods.method import Call, Method


def set_status(call: Call) -> dict[str, Any]:
    """Show a status under the thread; an empty one clears it."""
    channel = call.channel("channel_id")
    key = f"{channel.id}:{call.args.required('thread_ts')}"
    call.world.statuses[key] = call.args.text("status")
    return {}


def set_suggested_prompts(call: Call) -> dict[str, Any]:
    """Accepted; nobody sees them here yet."""
    call.channel("channel_id")
    return {}


METHODS = (
    Method("assistant.threads.setStatus", set_status, scope="assistant:write"),
    Method("assistant.threads.setSuggestedPrompts", set_suggested_prompts, scope="assistant:write"),
)
