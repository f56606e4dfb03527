"""What the assistant shows while it works, and what it proposes to ask."""

from __future__ import annotations

from typing import Any

from deploy.sandbox.errors import SlackError
from deploy.sandbox.methods.method import Call, Method
from deploy.sandbox.people import Channel

MOST_PROMPTS = 4


def set_status(call: Call) -> dict[str, Any]:
    """Show a status under the thread; an empty one, or the next answer, clears it."""
    channel = call.channel("channel_id")
    thread = _thread(call, channel, call.args.required("thread_ts"))
    call.world.say(channel, thread, call.args.text("status"))
    return {}


def set_suggested_prompts(call: Call) -> dict[str, Any]:
    """Propose up to four questions, in a thread or in the whole conversation."""
    channel = call.channel("channel_id")
    thread = call.args.text("thread_ts")
    key = f"{channel.id}:{_thread(call, channel, thread)}" if thread else channel.id
    prompts = call.args.nested("prompts", "invalid_arguments")
    if not isinstance(prompts, list) or not 1 <= len(prompts) <= MOST_PROMPTS:
        raise _invalid(f"prompts must hold 1 to {MOST_PROMPTS} items")
    if not all(isinstance(p, dict) and p.get("title") and p.get("message") for p in prompts):
        raise _invalid("each prompt needs a title and a message")
    call.world.prompts[key] = {"title": call.args.text("title"), "prompts": prompts}
    call.world.changed("prompts")
    return {}


def _thread(call: Call, channel: Channel, ts: str) -> str:
    found = call.workspace.message(channel, ts, "invalid_thread_ts")
    return found.thread_ts or ts


def _invalid(why: str) -> SlackError:
    return SlackError("invalid_arguments", response_metadata={"messages": [f"[ERROR] {why}"]})


METHODS = (
    Method("assistant.threads.setStatus", set_status, scope="assistant:write"),
    Method("assistant.threads.setSuggestedPrompts", set_suggested_prompts, scope="assistant:write"),
)
