"""The workspace that every sandbox starts with: people, channels and tokens with fixed names."""

from __future__ import annotations

from deploy.sandbox.people import Channel, Token, TokenKind, User, UserGroup
from deploy.sandbox.state import App, Workspace

TEAM = "T0MYNAH"
BOT_TOKEN = "xoxb-mynah"  # noqa: S105 - a fixed token of a sandbox on loopback
APP_TOKEN = "xapp-mynah"  # noqa: S105
SIGNING_SECRET = "mynah-signing-secret"  # noqa: S105
CLIENT_ID = "1000000000.2000000000"
CLIENT_SECRET = "mynah-client-secret"  # noqa: S105
OTHER_TEAM = "T0OTHER"
APP = App(id="A0MYNAH", user_id="U0MYNAH", bot_id="B0MYNAH", name="mynah")
OTHER_APP = App(id=APP.id, user_id="U0OMYNAH", bot_id="B0OMYNAH", name=APP.name)
BOT_SCOPES = frozenset(
    {
        *("app_mentions:read", "assistant:write", "chat:write", "commands", "files:write"),
        *("channels:history", "channels:read", "groups:history", "groups:read"),
        *("im:history", "im:read", "reactions:read", "usergroups:read", "users:read"),
    }
)
APP_SCOPES = frozenset({"connections:write"})

_PEOPLE = ("asker", "asker2", "staff", "staff2", "admin", "guest")


def workspace() -> Workspace:
    """A fresh workspace with the personas in it, and nothing said yet."""
    fresh = Workspace(team=TEAM, domain="mynah-sandbox", app=APP)
    for name in _PEOPLE:
        _add_person(fresh, name)
    _add_bot(fresh)
    fresh.tokens[BOT_TOKEN] = Token(TokenKind.BOT, APP.user_id, BOT_SCOPES)
    fresh.tokens[APP_TOKEN] = Token(TokenKind.APP, APP.user_id, APP_SCOPES)
    _add_channels(fresh)
    fresh.groups["S0STAFF"] = UserGroup("S0STAFF", "staff", ["U0STAFF", "U0STAFF2"])
    return fresh


def neighbour() -> Workspace:
    """Another workspace, with people (``xoxp-other-asker``) and channels of its own, and without
    the app: nobody has installed it there yet."""
    fresh = Workspace(team=OTHER_TEAM, domain="other-sandbox", app=OTHER_APP)
    for name in ("asker", "staff", "admin"):
        user = User(f"U0O{name.upper()}", name, OTHER_TEAM, is_admin=name == "admin")
        fresh.users[user.id] = user
        fresh.tokens[f"xoxp-other-{name}"] = Token(TokenKind.USER, user.id)
    _add_bot(fresh)
    everybody = list(fresh.users)
    fresh.add_channel(Channel("C0OHELP", "help", members=everybody, creator="U0OADMIN"))
    admins = ["U0OADMIN", OTHER_APP.user_id]
    fresh.add_channel(Channel("C0OADMIN", "mynah-admin", private=True, members=admins))
    return fresh


def _add_bot(fresh: Workspace) -> None:
    app = fresh.app
    bot = User(app.user_id, app.name, fresh.team, "Mynah", is_bot=True, bot_id=app.bot_id)
    fresh.users[bot.id] = bot


def _add_person(fresh: Workspace, name: str) -> None:
    user = User(f"U0{name.upper()}", name, TEAM, is_admin=name == "admin")
    user.is_restricted = name == "guest"
    fresh.users[user.id] = user
    fresh.tokens[f"xoxp-{name}"] = Token(TokenKind.USER, user.id)


def _add_channels(fresh: Workspace) -> None:
    everybody = list(fresh.users)
    team = ["U0STAFF", "U0STAFF2", "U0ADMIN", APP.user_id]
    for channel in (
        Channel("C0HELP", "help", members=everybody),
        Channel("C0OPS", "ops", members=[user for user in everybody if user != "U0GUEST"]),
        Channel("C0ADMIN", "mynah-admin", private=True, members=["U0ADMIN", APP.user_id]),
        Channel("C0PRIV", "private", private=True, members=["U0ASKER", *team]),
    ):
        channel.creator = "U0ADMIN"
        fresh.add_channel(channel)
