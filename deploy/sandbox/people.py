"""Who and what is in the workspace: people, channels, user groups, and what their tokens allow."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class TokenKind(StrEnum):
    """Slack's token families."""

    BOT = "xoxb"
    USER = "xoxp"
    APP = "xapp"


@dataclass(frozen=True)
class Token:
    """What a caller proved to be; `scopes` None means every scope (a person in a client)."""

    kind: TokenKind
    user_id: str
    scopes: frozenset[str] | None = None
    until: float | None = None  # seconds since the epoch, of an app that rotates its tokens


@dataclass
class User:
    """A member of the workspace, a guest, a bot, or somebody from another workspace."""

    id: str
    name: str
    team: str
    real_name: str = ""
    is_bot: bool = False
    is_admin: bool = False
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    deleted: bool = False
    bot_id: str | None = None

    def as_json(self, home: str) -> dict[str, Any]:
        """The user object as `users.info` gives it, seen from the workspace `home`."""
        real_name = self.real_name or self.name
        stranger = self.team != home
        return {
            "id": self.id,
            "team_id": self.team,
            "name": self.name,
            "real_name": real_name,
            "deleted": self.deleted,
            "tz": "Etc/UTC",
            "tz_offset": 0,
            "profile": {
                "real_name": real_name,
                "display_name": self.name,
                "team": self.team,
                **({"bot_id": self.bot_id, "api_app_id": ""} if self.is_bot else {}),
            },
            "is_admin": self.is_admin,
            "is_owner": False,
            "is_restricted": self.is_restricted,
            "is_ultra_restricted": self.is_ultra_restricted,
            "is_bot": self.is_bot,
            "is_app_user": False,
            **({"is_stranger": True} if stranger else {}),
        }


@dataclass
class Channel:
    """A channel (C…, also when private) or a direct conversation (D…)."""

    id: str
    name: str
    private: bool = False
    im: bool = False
    members: list[str] = field(default_factory=list)  # in the order of joining
    creator: str = ""
    created: int = 0

    @property
    def type(self) -> str:
        """What events call it: `channel`, `group` or `im`."""
        return "im" if self.im else "group" if self.private else "channel"

    @property
    def scope_family(self) -> str:
        """The first half of the scopes that guard it, as in ``channels:history``."""
        return {"im": "im", "group": "groups", "channel": "channels"}[self.type]

    def other(self, user: str) -> str:
        """In a direct conversation, the other one."""
        return next((member for member in self.members if member != user), user)

    def as_json(self, viewer: str) -> dict[str, Any]:
        """The conversation object as `viewer` sees it."""
        common: dict[str, Any] = {
            "id": self.id,
            "created": self.created,
            "is_archived": False,
            "is_im": self.im,
            "is_org_shared": False,
        }
        if self.im:
            return common | {"user": self.other(viewer), "is_user_deleted": False}
        return common | {
            "name": self.name,
            "name_normalized": self.name,
            "is_channel": not self.private,
            "is_group": False,
            "is_mpim": False,
            "is_private": self.private,
            "is_general": False,
            "is_shared": False,
            "is_ext_shared": False,
            "is_member": viewer in self.members,
            "creator": self.creator,
            "topic": {"value": "", "creator": "", "last_set": 0},
            "purpose": {"value": "", "creator": "", "last_set": 0},
        }


@dataclass
class UserGroup:
    """A user group (S…)."""

    id: str
    handle: str
    users: list[str]

    def as_json(self, team: str, with_users: bool) -> dict[str, Any]:
        """The user group object."""
        return {
            "id": self.id,
            "team_id": team,
            "is_usergroup": True,
            "name": self.handle,
            "handle": self.handle,
            "user_count": len(self.users),
            **({"users": list(self.users)} if with_users else {}),
        }
