"""Slack's documented limits for texts, blocks and metadata, as errors of the methods."""

from __future__ import annotations

import json
import re
from typing import Any

from deploy.sandbox.errors import SlackError

MESSAGE_CHARS = 40_000
UPDATE_CHARS = 4_000
MARKDOWN_CHARS = 12_000
BLOCKS = 50
METADATA_BYTES = 16_000
_EMOJI = re.compile(r"[a-z0-9_+'-]+(?:::skin-tone-[2-6])?")

# Each type of block that a message may hold, with the fields that must be there.
_REQUIRED: dict[str, tuple[str, ...]] = {
    "actions": ("elements",),
    "context": ("elements",),
    "context_actions": ("elements",),
    "divider": (),
    "file": ("external_id",),
    "header": ("text",),
    "image": ("alt_text",),
    "input": ("label", "element"),
    "markdown": ("text",),
    "plan": ("title",),
    "rich_text": ("elements",),
    "section": (),
    "table": ("rows",),
    "task_card": ("task_id", "title"),
    "video": ("video_url", "title"),
}
_ELEMENTS = {"actions": 25, "context": 10, "context_actions": 5}


def check_text(text: str, limit: int = MESSAGE_CHARS) -> None:
    """Refuse a text over `limit` characters: `msg_too_long`."""
    if len(text) > limit:
        raise SlackError("msg_too_long")


def check_emoji(name: str) -> None:
    """Refuse what cannot name an emoji, such as ``:x:`` with its colons: `invalid_name`."""
    if not _EMOJI.fullmatch(name):
        raise SlackError("invalid_name")


def check_blocks(blocks: Any) -> list[dict[str, Any]]:
    """Return `blocks` when a message may hold them; else `invalid_blocks` and where it is wrong."""
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise SlackError("invalid_blocks_format")
    faults = [*_too_many(blocks), *_same_ids(blocks)]
    for at, block in enumerate(blocks):
        faults += [f"{what} [json-pointer:/blocks/{at}{where}]" for where, what in _faults(block)]
    if faults:
        raise SlackError(
            "invalid_blocks",
            errors=faults,
            response_metadata={"messages": [f"[ERROR] {fault}" for fault in faults]},
        )
    if sum(len(_text(b.get("text"))) for b in blocks if b["type"] == "markdown") > MARKDOWN_CHARS:
        raise SlackError("msg_blocks_too_long")
    return blocks


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


def _too_many(blocks: list[dict[str, Any]]) -> list[str]:
    return [f"no more than {BLOCKS} items allowed [json-pointer:/blocks]"] * (len(blocks) > BLOCKS)


def _same_ids(blocks: list[dict[str, Any]]) -> list[str]:
    ids = [block["block_id"] for block in blocks if block.get("block_id")]
    return ["block_id must be unique [json-pointer:/blocks]"] * (len(ids) != len(set(ids)))


def _faults(block: dict[str, Any]) -> list[tuple[str, str]]:
    kind = block.get("type")
    if kind not in _REQUIRED:
        return [("/type", f"unsupported type: {kind}")]
    found = [("", f"missing required field: {n}") for n in _REQUIRED[kind] if not block.get(n)]
    found += _length("/block_id", str(block.get("block_id", "")), 255)
    if kind in _ELEMENTS and len(block.get("elements") or ()) > _ELEMENTS[kind]:
        found.append(("/elements", f"no more than {_ELEMENTS[kind]} items allowed"))
    if kind == "section":
        found += _section(block)
    if kind == "header":
        found += _length("/text/text", _text(block.get("text")), 150)
    return found + _elements(block)


def _section(block: dict[str, Any]) -> list[tuple[str, str]]:
    if not block.get("text") and not block.get("fields"):
        return [("", "missing required field: text")]
    found = _text_object("/text", block["text"], 3000) if "text" in block else []
    for at, item in enumerate(block.get("fields") or ()):
        found += _text_object(f"/fields/{at}", item, 2000)
    if len(block.get("fields") or ()) > 10:
        found.append(("/fields", "no more than 10 items allowed"))
    return found


def _elements(block: dict[str, Any]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for at, element in enumerate(block.get("elements") or ()):
        if isinstance(element, dict) and element.get("type") == "button":
            found += _text_object(f"/elements/{at}/text", element.get("text"), 75)
            found += _length(f"/elements/{at}/value", str(element.get("value", "")), 2000)
        elif isinstance(element, dict) and element.get("type") in ("mrkdwn", "plain_text"):
            found += _text_object(f"/elements/{at}", element, 3000)
    return found


def _text_object(where: str, item: Any, limit: int) -> list[tuple[str, str]]:
    if not isinstance(item, dict) or item.get("type") not in ("mrkdwn", "plain_text"):
        return [(where, "must be a text object of type mrkdwn or plain_text")]
    if not _text(item):
        return [(f"{where}/text", "must be more than 0 characters")]
    return _length(f"{where}/text", _text(item), limit)


def _length(where: str, text: str, limit: int) -> list[tuple[str, str]]:
    return [(where, f"must be less than {limit + 1} characters")] if len(text) > limit else []


def _text(item: Any) -> str:
    return str(item.get("text") or "") if isinstance(item, dict) else str(item or "")
