"""Who may teach, who may command, who may read. Whoever is not known to may not."""

from __future__ import annotations

from collections.abc import Sequence

from slack_sdk.errors import SlackApiError

from bot.people import is_colleague
from bot.slack.workspace import Workspace
from bot.store.schema import ChannelKind


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

    async def may_read(self, user: str, channel: str) -> bool:
        """Whether the user can read the channel: a colleague every public one, others where they
        are members. What Slack does not tell of, nobody can read."""
        try:
            who = await self._workspace.user(user)
            if who is None or who.get("deleted"):
                return False
            kind = await self._workspace.channel_kind(channel)
            if kind is ChannelKind.PUBLIC and is_colleague(who, self._workspace.identity.team_id):
                return True
            return user in await self._workspace.people(channel)
        except SlackApiError:
            return False

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
