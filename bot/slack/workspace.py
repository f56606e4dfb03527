"""What Mynah asks Slack about: who it is, people, groups, channels and threads."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.dispatcher import Later
from bot.store.callers import is_caller
from bot.store.schema import ChannelKind

PAGE = 200
# Slack's own words for "it is me, not you": https://docs.slack.dev/reference/methods
TROUBLE = frozenset(
    {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable",
     "request_timeout", "team_added_to_org"}
)  # fmt: skip
GONE = frozenset(
    {"message_not_found", "thread_not_found", "channel_not_found", "user_not_found",
     "user_not_visible", "no_such_subteam", "subteam_not_found"}
)  # fmt: skip
TOKEN_ENDED = frozenset(
    {"invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive"}
)
# Nobody's message is at fault when the token is: wait until the operator mended it.
LOCKED_OUT = TOKEN_ENDED | {"missing_scope", "ekm_access_denied"}
LOCKED_OUT_S = 60.0
# Nothing came back, or the SDK tripped over what did: a page of text where it expects JSON.
NO_REPLY = (aiohttp.ClientError, TimeoutError, AttributeError, UnicodeError)
Message = Mapping[str, Any]


@dataclass(frozen=True)
class Identity:
    """Who the bot is in its workspace, from `auth.test`."""

    team_id: str
    user_id: str
    bot_id: str
    team: str = ""


def error_of(error: SlackApiError) -> str:
    """Slack's error code, or "HTTP" and the status where the answer names none."""
    response = error.response
    if not isinstance(response, AsyncSlackResponse):
        return f"HTTP {getattr(response, 'status', 'unknown')}"
    if response.status_code == 429:
        return "ratelimited"
    if response.status_code >= 500:
        return "service_unavailable"
    code = response.data.get("error") if isinstance(response.data, dict) else None
    return str(code or f"HTTP {response.status_code}")


def is_trouble(code: str) -> bool:
    """Whether it may go well later. Without a code it was not Slack that answered: a proxy did."""
    return code in TROUBLE or code.startswith("HTTP ")


class Workspace:
    """Slack's Web API as Mynah reads it; answers about people and channels are kept for `fresh_s`.

    Every method raises Later when Slack cannot be reached or is in trouble.
    """

    def __init__(
        self, client: AsyncWebClient, identity: Identity, *, fresh_s: float = 30.0
    ) -> None:
        self._client = client
        self.identity = identity
        self._fresh_s = fresh_s
        self._kept: dict[tuple[str, str], tuple[float, Any]] = {}

    async def takes_us(self) -> bool:
        """Whether Slack still takes the token, asked anew each time."""
        try:
            await self._client.auth_test()
        except SlackApiError as error:
            if error_of(error) in TOKEN_ENDED:
                return False
            raise Later(f"Slack: {error_of(error)}", delay_s=2.0) from error
        except NO_REPLY as error:
            raise Later(f"Slack cannot be reached: {type(error).__name__}", 2.0) from error
        return True

    async def user(self, user_id: str) -> Mapping[str, Any] | None:
        """`users.info`, or None when there is no such user."""

        async def ask() -> Any:
            reply = await _call(self._client.users_info, user=user_id)
            return reply and reply["user"]

        found: Mapping[str, Any] | None = await self._keep("user", user_id, ask)
        return found

    async def members(self, group_id: str) -> frozenset[str]:
        """The user ids of a user group; empty when there is no such group."""

        async def ask() -> Any:
            reply = await _call(self._client.usergroups_users_list, usergroup=group_id)
            return frozenset(reply["users"] if reply else ())

        return frozenset(await self._keep("group", group_id, ask))

    async def channel_kind(self, channel: str) -> ChannelKind:
        """Who can read the channel. What Slack does not tell counts as private; what another
        system asked is there for the whole workspace."""
        if is_caller(channel):
            return ChannelKind.PUBLIC

        async def ask() -> Any:
            reply = await _call(self._client.conversations_info, channel=channel)
            return _kind(reply["channel"]) if reply else ChannelKind.PRIVATE

        return ChannelKind(await self._keep("channel", channel, ask))

    async def people(self, channel: str) -> frozenset[str]:
        """The user ids of who is in the channel, asked anew each time; none when it is gone."""
        call = self._client.conversations_members
        return frozenset(await _all(call, "members", channel=channel))

    async def link(self, channel: str, ts: str) -> str | None:
        """The web address of a message; None when it is gone, or was never in Slack."""
        if is_caller(channel):
            return None
        reply = await _call(self._client.chat_getPermalink, channel=channel, message_ts=ts)
        return str(reply["permalink"]) if reply else None

    async def message(self, channel: str, ts: str) -> Message | None:
        """One message, in a thread or not, with reactions and metadata; None when it is gone."""
        found = await self._replies(channel, ts)
        return next((message for message in found if message["ts"] == ts), None)

    async def thread(self, channel: str, thread_ts: str) -> list[Message]:
        """The thread's messages, oldest first; empty when it is gone."""
        return await self._replies(channel, thread_ts)

    async def since(self, channel: str, oldest: str) -> list[Message]:
        """The channel's own messages (not those in threads) since `oldest`, oldest first."""
        call = self._client.conversations_history
        return await _pages(call, channel=channel, oldest=oldest, include_all_metadata=True)

    async def _replies(self, channel: str, ts: str) -> list[Message]:
        call = self._client.conversations_replies
        return await _pages(call, channel=channel, ts=ts, include_all_metadata=True)

    async def _keep(self, sort: str, name: str, ask: Callable[[], Awaitable[Any]]) -> Any:
        kept = self._kept.get((sort, name))
        if kept is None or time.monotonic() - kept[0] > self._fresh_s:
            kept = (time.monotonic(), await ask())
            self._kept[sort, name] = kept
        return kept[1]


def _kind(channel: Mapping[str, Any]) -> ChannelKind:
    if channel.get("is_im"):
        return ChannelKind.IM
    private = channel.get("is_private") or channel.get("is_mpim") or channel.get("is_group")
    return ChannelKind.PRIVATE if private else ChannelKind.PUBLIC


async def _pages(call: Callable[..., Any], **arguments: Any) -> list[Message]:
    messages = await _all(call, "messages", **arguments)
    # Each page of a thread may begin with the thread's first message again.
    return [message for _, message in sorted({m["ts"]: m for m in messages}.items())]


async def _all(call: Callable[..., Any], part: str, **arguments: Any) -> list[Any]:
    """What all pages hold under `part`; nothing when what was asked for does not exist."""
    found: list[Any] = []
    cursor = ""
    while True:
        more = {"cursor": cursor} if cursor else {}
        reply = await _call(call, limit=PAGE, **arguments, **more)
        if reply is None:
            return []
        found += reply[part]
        cursor = (reply.get("response_metadata") or {}).get("next_cursor") or ""
        if not cursor:
            return found


async def _call(call: Callable[..., Any], **arguments: Any) -> AsyncSlackResponse | None:
    """Call Slack; None when what was asked for does not exist.

    Raises:
        Later: no connection, Slack is in trouble, or it does not take the token.
        SlackApiError: anything else, such as a channel the bot is not in.
    """
    try:
        reply: AsyncSlackResponse = await call(**arguments)
    except SlackApiError as error:
        code = error_of(error)
        if code in GONE:
            return None
        if is_trouble(code):
            raise Later(f"Slack: {code}", delay_s=2.0) from error
        if code in LOCKED_OUT:
            raise Later(f"Slack: {code}", LOCKED_OUT_S) from error
        raise
    except NO_REPLY as error:
        raise Later(f"Slack cannot be reached: {type(error).__name__}", delay_s=2.0) from error
    return reply
