"""People and user groups."""

from __future__ import annotations

from typing import Any

from deploy.sandbox.errors import SlackError
from deploy.sandbox.methods.method import Call, Method, page


def info(call: Call) -> dict[str, Any]:
    """One user."""
    user = call.workspace.user(call.args.required("user"))
    return {"user": user.as_json(call.workspace.team)}


def list_(call: Call) -> dict[str, Any]:
    """Every user, bots and deleted ones too."""
    everybody = list(call.workspace.users.values())
    part, cursor = page(everybody, call.args, 1000, 1000)
    return {
        "members": [user.as_json(call.workspace.team) for user in part],
        "cache_ts": call.workspace.clock.seconds(),
        "response_metadata": {"next_cursor": cursor},
    }


def groups(call: Call) -> dict[str, Any]:
    """The user groups."""
    with_users, team = call.args.flag("include_users"), call.workspace.team
    found = [group.as_json(team, with_users) for group in call.workspace.groups.values()]
    return {"usergroups": found}


def group_users(call: Call) -> dict[str, Any]:
    """Who is in a user group."""
    group = call.workspace.groups.get(call.args.required("usergroup"))
    if group is None:
        raise SlackError("no_such_subteam")
    return {"users": list(group.users)}


METHODS = (
    Method("users.info", info, scope="users:read"),
    Method("users.list", list_, scope="users:read"),
    Method("usergroups.list", groups, scope="usergroups:read"),
    Method("usergroups.users.list", group_users, scope="usergroups:read"),
)
