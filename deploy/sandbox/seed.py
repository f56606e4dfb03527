"""People, channels and groups that a test or a demo adds: checked whole, then put in place."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from deploy.sandbox.people import Channel, Token, TokenKind, User, UserGroup
from deploy.sandbox.personas import BOT_TOKEN
from deploy.sandbox.state import Workspace

Id = Field(pattern=r"^[A-Z][A-Z0-9_]{1,31}$")


class BadSeed(Exception):
    """What a seed names that does not exist."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SeedUser(_Strict):
    """A user to add, or to replace by id; without a token nobody can act as them."""

    id: str = Id
    name: str = ""
    real_name: str = ""
    token: str | None = Field(None, pattern=r"^xox[bp]-.+")
    team: str = ""
    is_bot: bool = False
    is_admin: bool = False
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    deleted: bool = False


class SeedChannel(_Strict):
    """A channel to add, or to change by id; the bot is a member only when it is named."""

    id: str = Id
    name: str = ""
    private: bool = False
    members: list[str] = Field(default_factory=list)


class SeedGroup(_Strict):
    """A user group to add or replace."""

    id: str = Id
    handle: str = ""
    users: list[str] = Field(default_factory=list)


class Seed(_Strict):
    """The body of `POST /_control/seed`."""

    team: str = ""  # the home of most tests
    users: list[SeedUser] = Field(default_factory=list)
    channels: list[SeedChannel] = Field(default_factory=list)
    usergroups: list[SeedGroup] = Field(default_factory=list)
    bot_scopes: list[str] | None = None  # the bot's scopes from now on


def plant(workspace: Workspace, seed: Seed) -> dict[str, Any]:
    """Put a seed in place, or nothing of it.

    Raises:
        BadSeed: a channel or group names a user who is neither there nor in the seed.
    """
    known = {*workspace.users, *(user.id for user in seed.users)}
    for named in (*((c.id, c.members) for c in seed.channels), *_group_users(seed)):
        if unknown := sorted(set(named[1]) - known):
            raise BadSeed(f"{named[0]} names unknown users: {', '.join(unknown)}")
    for user in seed.users:
        _add_user(workspace, user)
    for channel in seed.channels:
        _add_channel(workspace, channel)
    for group in seed.usergroups:
        workspace.groups[group.id] = UserGroup(
            group.id, group.handle or group.id.lower(), list(group.users)
        )
    if seed.bot_scopes is not None:
        scopes = frozenset(seed.bot_scopes)
        workspace.tokens[BOT_TOKEN] = Token(TokenKind.BOT, workspace.app.user_id, scopes)
    return {"users": len(seed.users), "channels": len(seed.channels)}


def _group_users(seed: Seed) -> list[tuple[str, list[str]]]:
    return [(group.id, group.users) for group in seed.usergroups]


def _add_user(workspace: Workspace, user: SeedUser) -> None:
    fields = user.model_dump(exclude={"token", "name", "team"})
    bot_id = f"B{user.id[1:]}" if user.is_bot else None
    team = user.team or workspace.team
    name = user.name or user.id.lower()
    workspace.users[user.id] = User(**fields, name=name, team=team, bot_id=bot_id)
    if user.token:
        kind = TokenKind(user.token[:4])
        workspace.tokens[user.token] = Token(kind, user.id)


def _add_channel(workspace: Workspace, channel: SeedChannel) -> None:
    workspace.add_channel(
        Channel(
            channel.id,
            channel.name or channel.id.lower(),
            private=channel.private,
            members=list(dict.fromkeys(channel.members)),
        )
    )
