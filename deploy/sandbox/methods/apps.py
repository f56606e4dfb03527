"""Who am I, and where does my socket connect."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from deploy.sandbox.errors import SlackError
from deploy.sandbox.methods.method import Call, Method
from deploy.sandbox.oauth import check_client
from deploy.sandbox.people import TokenKind


def api_test(call: Call) -> dict[str, Any]:
    """Echo the arguments."""
    return {"args": dict(call.args)}


def auth_test(call: Call) -> dict[str, Any]:
    """Whose token it is."""
    caller, space = call.caller, call.workspace
    return {
        "url": f"https://{space.domain}.slack.com/",
        "team": space.domain,
        "user": caller.name,
        "team_id": space.team,
        "user_id": caller.id,
        **({"bot_id": caller.bot_id} if caller.bot_id else {}),
        "is_enterprise_install": False,
    }


def connections_open(call: Call) -> dict[str, Any]:
    """A WebSocket URL that is good for one connection."""
    where = urlsplit(call.base_url)
    scheme = "wss" if where.scheme == "https" else "ws"
    ticket = call.world.courier.sockets.ticket()
    app_id = call.workspace.app.id
    return {"url": f"{scheme}://{where.netloc}/link/?ticket={ticket}&app_id={app_id}"}


def auth_revoke(call: Call) -> dict[str, Any]:
    """End the caller's token; with `test` only tell that it would."""
    if not call.args.flag("test"):
        call.world.revoke(call.secret)
    return {"revoked": not call.args.flag("test")}


def oauth_access(call: Call) -> dict[str, Any]:
    """Tokens for a code, or for a refresh token."""
    client_id, secret = call.client
    check_client(
        client_id or call.args.text("client_id"), secret or call.args.text("client_secret")
    )
    kind = call.args.text("grant_type") or "authorization_code"
    if kind == "refresh_token":
        return call.consents.refresh(call.args.required("refresh_token"))
    if kind != "authorization_code":
        raise SlackError("invalid_grant_type")
    return call.consents.exchange(call.args.text("code"), call.args.text("redirect_uri"))


METHODS = (
    Method("oauth.v2.access", oauth_access, open=True),
    Method("api.test", api_test, open=True),
    Method("auth.test", auth_test),
    Method("auth.revoke", auth_revoke),
    Method(
        "apps.connections.open",
        connections_open,
        scope="connections:write",
        kinds=frozenset({TokenKind.APP}),
    ),
)
