"""Ephemeral messages: what one person alone sees, for a moment, in a channel."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session

from bot import outbox
from bot.slack.interactions import Press, Shortcut
from bot.store.schema import OutboxKind


def reply(session: Session, team_id: str, act: Press | Shortcut, text: str) -> None:
    """Answer a press or a shortcut; `text` is mrkdwn. Said once for each."""
    if not act.response_url:
        return
    payload: dict[str, Any] = {
        "response_url": act.response_url, "response_type": "ephemeral",
        "replace_original": False, "text": text,
    }  # fmt: skip
    outbox.say(
        session, team_id=team_id, key=f"reply:{act.event_id}", channel=act.channel or act.user,
        kind=OutboxKind.RESPOND, payload=payload,
    )  # fmt: skip


def whisper(
    session: Session, team_id: str, key: str, user: str, text: str, *, channel: str, thread_ts: str
) -> None:
    """Say something in a thread to one person; `text` is mrkdwn. A key counts once."""
    outbox.say(
        session, team_id=team_id, key=key, channel=channel, thread_ts=thread_ts,
        kind=OutboxKind.EPHEMERAL, payload={"user": user, "text": text},
    )  # fmt: skip
