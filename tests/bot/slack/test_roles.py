"""Roles: whoever is not known to be allowed is not."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from bot.people import is_colleague
from bot.slack.roles import Roles
from bot.slack.workspace import Identity, Workspace
from tests.sandbox_server import Sandbox

TEAM = "T0MYNAH"


@pytest.mark.parametrize(
    ("user", "allowed"),
    [
        ({"team_id": TEAM}, True),
        ({"team_id": "T9GRID", "enterprise_user": {"teams": [TEAM]}}, True),
        ({"team_id": "T9OTHER"}, False),
        ({"team_id": "T9OTHER", "enterprise_user": {"teams": ["T9OTHER"]}}, False),
        ({}, False),
        ({"team_id": TEAM, "deleted": True}, False),
        ({"team_id": TEAM, "is_bot": True}, False),
        ({"team_id": TEAM, "is_restricted": True}, False),
        ({"team_id": TEAM, "is_ultra_restricted": True}, False),
        ({"team_id": TEAM, "is_stranger": True}, False),
        ({"team_id": TEAM, "id": "USLACKBOT"}, False),
    ],
)
def test_who_is_a_colleague(user: dict[str, Any], allowed: bool) -> None:
    """Living people with full accounts of this workspace are; nobody else is."""
    assert is_colleague(user, TEAM) is allowed


@pytest.mark.parametrize(
    ("staff", "user", "allowed"),
    [
        (("U0STAFF",), "U0STAFF", True),
        (("S0STAFF",), "U0STAFF2", True),
        (("S0STAFF",), "U0ASKER", False),
        (("S9NONE",), "U0STAFF", False),
        (("U9NOBODY",), "U9NOBODY", False),
        ((), "U0STAFF", False),
        (("S0STAFF",), "", False),
    ],
)
async def test_names_and_groups(
    sandbox: Sandbox, staff: tuple[str, ...], user: str, allowed: bool
) -> None:
    """Staff are named one by one or by user group; an unknown name or group allows nobody."""
    workspace = Workspace(sandbox.client("xoxb-mynah"), Identity(TEAM, "U0MYNAH", "B0MYNAH"))
    roles = Roles(workspace, staff=staff, admins=())
    assert await roles.is_staff(user) is allowed
    assert not await roles.is_admin(user)


async def test_a_group_that_changes_is_seen_soon(sandbox: Sandbox) -> None:
    """Who joins the user group may teach, and who leaves it, or becomes a guest, may not any more,
    as soon as what Slack said is not fresh; the bot asks again after half a minute."""
    me = Identity(TEAM, "U0MYNAH", "B0MYNAH")
    assert inspect.signature(Workspace).parameters["fresh_s"].default == 30.0
    kept = Roles(Workspace(sandbox.client("xoxb-mynah"), me), staff=["S0STAFF"], admins=())
    asking = Workspace(sandbox.client("xoxb-mynah"), me, fresh_s=0)
    roles = Roles(asking, staff=["S0STAFF"], admins=())
    assert await kept.is_staff("U0STAFF")
    assert [await roles.is_staff(one) for one in ("U0STAFF", "U0ASKER")] == [True, False]
    await sandbox.seed(usergroups=[{"id": "S0STAFF", "users": ["U0ASKER", "U0STAFF2"]}])
    assert [await roles.is_staff(one) for one in ("U0STAFF", "U0ASKER")] == [False, True]
    assert await kept.is_staff("U0STAFF")  # Slack is not asked for every press
    await sandbox.seed(users=[{"id": "U0STAFF2", "name": "staff2", "is_restricted": True}])
    assert not await roles.is_staff("U0STAFF2")


@pytest.mark.parametrize(
    ("user", "channel", "allowed"),
    [
        ("U0ASKER2", "C0NEW", True),  # public: a colleague need not be in it
        ("U0GUEST", "C0NEW", False),
        ("U0GUEST", "C0HELP", True),
        ("U0ASKER2", "C0PRIV", False),
        ("U0ASKER", "C0PRIV", True),
        ("U319", "C0BIG", True),  # a member on the second page
        ("U0ASKER", "C0BIG", False),
        ("U0GONE", "C0BIG", False),
        ("U0ADMIN", "C0DARK", False),  # Mynah is not in it, so it does not know
        ("U0ADMIN", "C9NONE", False),
        ("U9NOBODY", "C0HELP", False),
        ("", "C0HELP", False),
    ],
)
async def test_who_may_read(sandbox: Sandbox, user: str, channel: str, allowed: bool) -> None:
    """Colleagues read public channels, members the others; what Slack does not tell, nobody."""
    crowd = [f"U{number}" for number in range(100, 320)]
    await sandbox.seed(
        users=[{"id": one} for one in crowd] + [{"id": "U0GONE", "deleted": True}],
        channels=[
            {"id": "C0NEW"},
            {"id": "C0BIG", "private": True, "members": ["U0MYNAH", *sorted(crowd), "U0GONE"]},
            {"id": "C0DARK", "private": True, "members": ["U0ADMIN"]},
        ],
    )
    workspace = Workspace(sandbox.client("xoxb-mynah"), Identity(TEAM, "U0MYNAH", "B0MYNAH"))
    assert await Roles(workspace, staff=(), admins=()).may_read(user, channel) is allowed
