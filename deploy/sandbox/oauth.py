"""OAuth: what pressing Allow gives, and the tokens that it is exchanged for."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from deploy.sandbox.errors import Impossible, SlackError
from deploy.sandbox.people import Token, TokenKind, User
from deploy.sandbox.personas import BOT_SCOPES, CLIENT_ID, CLIENT_SECRET
from deploy.sandbox.world import World

CODE_S = 600.0
PATH = "/oauth/v2/authorize"


@dataclass(frozen=True)
class Grant:
    """What a person allowed: where, and which scopes."""

    world: World
    user: User
    scopes: frozenset[str]
    redirect_uri: str
    until: float


@dataclass
class Consents:
    """Codes and refresh tokens that were given out; each is good for one use."""

    lives_s: int | None = None  # how long tokens live, if the app rotates them (Slack: 43200)
    _codes: dict[str, Grant] = field(default_factory=dict)
    _refresh: dict[str, Grant] = field(default_factory=dict)

    def allow(self, world: World, user: User, url: str, *, deny: bool = False) -> str:
        """Press Allow (or Cancel) on the consent page at `url`: the query the browser comes back
        with.

        Raises:
            Impossible: Slack would show an error instead of the page.
        """
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        _check(user, urlsplit(url).path, asked)
        state = {"state": asked.get("state", "")}
        if deny:
            return urlencode({"error": "access_denied"} | state)
        code = secrets.token_hex(16)
        scopes = frozenset(asked["scope"].split(","))
        until = time.monotonic() + CODE_S
        grant = Grant(world, user, scopes, asked.get("redirect_uri", ""), until)
        self._codes[code] = grant
        return urlencode({"code": code} | state)

    def exchange(self, code: str, redirect_uri: str) -> dict[str, Any]:
        """The token for a code; from now on the app is installed there."""
        grant = self._codes.pop(code, None)
        if grant is None or grant.until < time.monotonic():
            raise SlackError("invalid_code")
        if grant.redirect_uri != redirect_uri:
            raise SlackError("bad_redirect_uri")
        grant.world.installed = True  # … which issuing the token tells
        return self._issue(grant) | {"authed_user": {"id": grant.user.id}}

    def refresh(self, refresh_token: str) -> dict[str, Any]:
        """The next token; the one before lives on until its time."""
        grant = self._refresh.pop(refresh_token, None)
        if grant is None or not grant.world.installed:
            raise SlackError("invalid_refresh_token")
        return self._issue(grant)

    def _issue(self, grant: Grant) -> dict[str, Any]:
        space = grant.world.workspace
        rotates = {}
        secret, until = f"xoxb-{secrets.token_hex(12)}", None
        if self.lives_s is not None:
            secret, until = f"xoxe.{secret}", time.time() + self.lives_s
            rotates = {"expires_in": self.lives_s, "refresh_token": f"xoxe-1-{secrets.token_hex()}"}
            self._refresh[str(rotates["refresh_token"])] = grant
        space.tokens[secret] = Token(TokenKind.BOT, space.app.user_id, grant.scopes, until)
        grant.world.changed("people")
        return {
            "access_token": secret,
            "token_type": "bot",
            "scope": ",".join(sorted(grant.scopes)),
            "bot_user_id": space.app.user_id,
            "app_id": space.app.id,
            "team": {"id": space.team, "name": space.domain},
            "enterprise": None,
            "is_enterprise_install": False,
            **rotates,
        }


def check_client(client_id: str, client_secret: str) -> None:
    """Refuse who is not the app."""
    if client_id != CLIENT_ID:
        raise SlackError("invalid_client_id")
    if client_secret != CLIENT_SECRET:
        raise SlackError("bad_client_secret")


def _check(user: User, path: str, asked: Mapping[str, str]) -> None:
    if path != PATH or asked.get("client_id") != CLIENT_ID:
        raise Impossible("this is not the app's consent page")
    if unknown := sorted(set(asked.get("scope", "").split(",")) - BOT_SCOPES):
        raise Impossible(f"invalid_scope: {', '.join(unknown)}")
    if user.is_restricted or user.is_ultra_restricted or user.is_bot:
        raise Impossible(f"{user.id} may not install apps")
