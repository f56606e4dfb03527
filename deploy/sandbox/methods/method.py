"""What a method is, and what it is called with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from deploy.sandbox.arguments import Arguments
from deploy.sandbox.errors import SlackError
from deploy.sandbox.oauth import Consents
from deploy.sandbox.people import Channel, Token, TokenKind, User
from deploy.sandbox.state import Workspace
from deploy.sandbox.world import World

PEOPLE_AND_BOTS = frozenset({TokenKind.BOT, TokenKind.USER})


@dataclass(frozen=True)
class Call:
    """One call of a method by an authenticated caller."""

    world: World
    token: Token
    args: Arguments
    base_url: str  # http://host:port, as the caller reached the sandbox
    secret: str = ""  # the token itself
    consents: Consents = field(default_factory=Consents)
    client: tuple[str, str] = ("", "")  # id and secret, where the caller is the app itself

    @property
    def workspace(self) -> Workspace:
        """The workspace."""
        return self.world.workspace

    @property
    def caller(self) -> User:
        """The user behind the token."""
        return self.workspace.users[self.token.user_id]

    def channel(self, name: str = "channel") -> Channel:
        """The channel that an argument names, for one who must be in it."""
        return self.workspace.joined_channel(self.args.required(name), self.caller.id)

    def need(self, scope: str) -> None:
        """Refuse a token without `scope`: `missing_scope`."""
        scopes = self.token.scopes
        if scopes is not None and scope not in scopes:
            provided = ",".join(sorted(scopes))
            raise SlackError("missing_scope", needed=scope, provided=provided)


@dataclass(frozen=True)
class Method:
    """A method of the Web API: its name, its work, and whose token it takes.

    `scope` is checked before the work; a method whose scope depends on the channel checks itself,
    and names the `family`.
    """

    name: str
    run: Callable[[Call], dict[str, Any]]
    scope: str | None = None
    family: str | None = None  # … : the second half of its scopes, as in ``channels:history``
    kinds: frozenset[TokenKind] = PEOPLE_AND_BOTS
    open: bool = False  # takes no token at all

    @property
    def scopes(self) -> frozenset[str]:
        """All scopes that it may need; a bot is in channels of each kind."""
        if self.family is not None:
            return frozenset(f"{kind}:{self.family}" for kind in ("channels", "groups", "im"))
        return frozenset({self.scope} if self.scope else ())


def page(items: list[Any], args: Arguments, default: int, most: int) -> tuple[list[Any], str]:
    """The page of `items` that `limit` and `cursor` ask for, and the cursor of the next ("")."""
    cursor = args.text("cursor")
    if cursor and not (cursor.startswith("at:") and cursor[3:].isdigit()):
        raise SlackError("invalid_cursor")
    start = int(cursor[3:]) if cursor else 0
    end = start + args.number("limit", default, most)
    return items[start:end], f"at:{end}" if end < len(items) else ""
