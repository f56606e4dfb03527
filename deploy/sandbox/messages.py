"""One message: its text, blocks, reactions and metadata, and how Slack shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

STREAM_S = 5 * 60  # measured on Slack: a stream dies after about five minutes


@dataclass
class Message:
    """A message of one channel; `ts` is its id there."""

    ts: str
    channel: str
    user: str
    text: str
    team: str
    touched: str  # the ts of the last change, so that a reader can ask for what is new
    thread_ts: str | None = None  # also on the first message of a thread, once it has replies
    subtype: str | None = None
    bot_id: str | None = None
    app_id: str | None = None
    client_msg_id: str | None = None
    blocks: list[dict[str, Any]] = field(default_factory=list)
    attachments: list[dict[str, Any]] = field(default_factory=list)
    files: list[dict[str, Any]] = field(default_factory=list)
    metadata: dict[str, Any] | None = None
    edited: dict[str, str] | None = None
    reactions: dict[str, list[str]] = field(default_factory=dict)  # name → users, in order
    replies: list[str] = field(default_factory=list)  # the ts of each reply
    reply_users: list[str] = field(default_factory=list)
    parent_user_id: str | None = None
    ephemeral_to: str | None = None
    deleted: bool = False
    streaming: bool = False

    @property
    def is_reply(self) -> bool:
        """Whether it stands in a thread under another message."""
        return self.thread_ts is not None and self.thread_ts != self.ts

    def still_streams(self, now_s: float) -> bool:
        """Whether it is a stream that takes more; one that is too old has ended by itself."""
        self.streaming = self.streaming and now_s - float(self.ts) <= STREAM_S
        return self.streaming

    def as_json(self, *, metadata: bool = False, viewer: str | None = None) -> dict[str, Any]:
        """The message object as history and replies give it."""
        shown: dict[str, Any] = {"type": "message", **self._optional()}
        shown |= {"user": self.user, "ts": self.ts, "team": self.team, "text": self.text}
        if metadata and self.metadata is not None:
            shown["metadata"] = self.metadata
        if self.reactions:
            shown["reactions"] = self.reactions_json()
        if self.thread_ts is not None:
            shown["thread_ts"] = self.thread_ts
        if self.is_reply and self.parent_user_id:
            shown["parent_user_id"] = self.parent_user_id
        if self.replies:
            shown |= self._thread_json(viewer)
        return shown

    def event_json(self) -> dict[str, Any]:
        """The part of a `message` event that describes it."""
        shown = self.as_json()
        for name in ("reactions", "reply_count", "reply_users", "reply_users_count"):
            shown.pop(name, None)
        return shown

    def reactions_json(self) -> list[dict[str, Any]]:
        """Its reactions, the oldest first."""
        return [
            {"name": name, "users": list(users), "count": len(users)}
            for name, users in self.reactions.items()
        ]

    def state_json(self) -> dict[str, Any]:
        """All that the sandbox knows of it, for `GET /_control/state`."""
        shown = self.as_json(metadata=True)
        if self.ephemeral_to:
            shown["ephemeral_to"] = self.ephemeral_to
        if self.deleted:
            shown["deleted"] = True
        if self.streaming:
            shown["streaming"] = True
        return shown

    def _optional(self) -> dict[str, Any]:
        names: tuple[str, ...] = ("subtype", "client_msg_id", "bot_id", "app_id", "blocks")
        names += ("attachments", "files", "edited")
        return {name: value for name in names if (value := getattr(self, name))}

    def _thread_json(self, viewer: str | None) -> dict[str, Any]:
        return {
            "reply_count": len(self.replies),
            "reply_users_count": len(self.reply_users),
            "latest_reply": self.replies[-1],
            "reply_users": list(self.reply_users),
            "is_locked": False,
            "subscribed": viewer is not None and viewer in {self.user, *self.reply_users},
        }
