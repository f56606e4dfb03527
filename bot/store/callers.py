"""Channels that are none of Slack's: each other system that asks over HTTP has its own."""

from __future__ import annotations

CALLER = "api:"


def channel_of(name: str) -> str:
    """The channel of what a system with a key of this name asks."""
    return f"{CALLER}{name}"


def is_caller(channel: str) -> bool:
    """Whether a channel is another system's: Slack knows nothing of it."""
    return channel.startswith(CALLER)


def name_of(channel: str) -> str:
    """The name of the system whose channel it is."""
    return channel.removeprefix(CALLER)
