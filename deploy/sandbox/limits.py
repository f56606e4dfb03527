"""Slack's documented limits for texts and metadata, as errors of the methods."""

from __future__ import annotations

import json
import re
from typing import Any

from deploy.sandbox.errors import SlackError

MESSAGE_CHARS = 40_000
UPDATE_CHARS = 4_000
METADATA_BYTES = 16_000
_EMOJI = re.compile(r"[a-z0-9_+'-]+(?:::skin-tone-[2-6])?")


def check_text(text: str, limit: int = MESSAGE_CHARS) -> None:
    """Refuse a text over `limit` characters: `msg_too_long`."""
    if len(text) > limit:
        raise SlackError("msg_too_long")


def check_emoji(name: str) -> None:
    """Refuse what cannot name an emoji, such as ``:x:`` with its colons: `invalid_name`."""
    if not _EMOJI.fullmatch(name):
        raise SlackError("invalid_name")


def check_metadata(metadata: Any) -> dict[str, Any] | None:
    """Return message metadata, None for an empty object; else `invalid_metadata_format`."""
    if metadata == {}:
        return None
    if (
        not isinstance(metadata, dict)
        or not isinstance(metadata.get("event_type"), str)
        or not isinstance(metadata.get("event_payload"), dict)
    ):
        raise SlackError("invalid_metadata_format")
    if len(json.dumps(metadata)) > METADATA_BYTES:
        raise SlackError("metadata_too_large")
    return metadata
