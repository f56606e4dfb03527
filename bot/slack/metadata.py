"""The mark that every message of Mynah's carries in Slack, so that it is never posted twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.store.schema import AnswerMode

EVENT_TYPE = "mynah_outbox"


def marked(payload: Mapping[str, Any], row_id: int) -> dict[str, Any]:
    """The payload of an outbox row with the row's id in the message's metadata."""
    given = (payload.get("metadata") or {}).get("event_payload") or {}
    mark = {"event_type": EVENT_TYPE, "event_payload": {**given, "id": row_id}}
    return {**payload, "metadata": mark}


def outbox_id(message: Mapping[str, Any]) -> int | None:
    """The outbox row that a message of the bot's came from."""
    metadata = message.get("metadata") or {}
    if metadata.get("event_type") != EVENT_TYPE:
        return None
    found = (metadata.get("event_payload") or {}).get("id")
    return found if isinstance(found, int) else None


def is_aside(message: Mapping[str, Any]) -> bool:
    """Whether a message of the bot's is no part of the conversation: the card of a case, or that
    Mynah is not sure. No model should learn to talk like that from the thread."""
    mark = (message.get("metadata") or {}).get("event_payload") or {}
    return outbox_id(message) is not None and (
        "case" in mark or "aside" in mark or mark.get("mode") == AnswerMode.UNSURE
    )


def is_notice(message: Mapping[str, Any]) -> bool:
    """Whether a message of the bot's only says that its answer is still to come."""
    mark = (message.get("metadata") or {}).get("event_payload") or {}
    return outbox_id(message) is not None and "notice" in mark
