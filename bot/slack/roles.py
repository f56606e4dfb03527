"""Who may teach and who may command. Whoever is not known to may not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bot.slack.workspace import Workspace


class Roles:
    """Staff and admins, as user ids (U…, W…) or user-group ids (S…)."""

    def __init__(
        self, workspace: Workspace, *, staff: Sequence[str], admins: Sequence[str]
    ) -> None:
        self._workspace = workspace
        self._staff = staff
        self._admins = admins

    async def is_staff(self, user: str) -> bool:
        """Whether the user may teach."""
        return await self._is_one_of(user, self._staff)

    async def is_admin(self, user: str) -> bool:
        """Whether the user may train and roll back."""
        return await self._is_one_of(user, self._admins)

    async def _is_one_of(self, user: str, names: Sequence[str]) -> bool:
        if not user or not await self._is_named(user, names):
            return False
        who = await self._workspace.user(user)
        return who is not None and is_colleague(who, self._workspace.identity.team_id)

    async def _is_named(self, user: str, names: Sequence[str]) -> bool:
        if user in names:
            return True
        for name in names:
            if name.startswith("S") and user in await self._workspace.members(name):
                return True
        return False


def is_colleague(user: Mapping[str, Any], team_id: str) -> bool:
    """A living person with a full account of this workspace."""
    barred = ("deleted", "is_bot", "is_restricted", "is_ultra_restricted", "is_stranger")
    if any(user.get(name) for name in barred) or user.get("id") == "USLACKBOT":
        return False
    teams = {user.get("team_id"), *(user.get("enterprise_user") or {}).get("teams", ())}
    return team_id in teams
