"""HTTP delivery: signed posts to the app's request URL, and what it answers."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
import ssl
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode

import httpx

from deploy.sandbox import sent
from deploy.sandbox.errors import SlackError

TOKEN = "sandbox-verification-token"  # noqa: S105 - deprecated by Slack, and still sent
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Reply:
    """What came of one post."""

    failure: str = ""  # as `X-Slack-Retry-Reason` names it; empty when the app took it
    answer: Any = None


def signed(secret: str, body: bytes, now_s: int) -> dict[str, str]:
    """The headers that prove to the app who posts.

    https://docs.slack.dev/authentication/verifying-requests-from-slack/
    """
    digest = hmac.new(secret.encode(), b"v0:%d:%b" % (now_s, body), hashlib.sha256)
    return {
        "X-Slack-Request-Timestamp": str(now_s),
        "X-Slack-Signature": f"v0={digest.hexdigest()}",
    }


def encoded(kind: str, payload: dict[str, Any]) -> tuple[str, bytes]:
    """The content type and the body of a delivery: events are JSON, what people do is a form."""
    if kind == "events_api":
        return JSON, json.dumps(payload).encode()
    form = {"payload": json.dumps(payload)} if kind == "interactive" else payload
    return FORM, urlencode(form).encode()


class RequestUrl:
    """Where the app wants its deliveries; `check` it before anything goes there."""

    def __init__(self, url: str, signing_secret: str) -> None:
        self._url = url
        self._secret = signing_secret
        self._tls = ssl.create_default_context()

    async def check(self, within_s: float) -> None:
        """Ask for the answer to the challenge of `url_verification`.

        Raises:
            SlackError: `url_not_verified`, with what came instead.
        """
        challenge = secrets.token_urlsafe(40)
        payload = {"token": TOKEN, "challenge": challenge, "type": "url_verification"}
        reply = await self.post("events_api", payload, within_s=within_s)
        if reply.failure or _challenge(reply.answer) != challenge:
            why = reply.failure or "the app answered without the value of `challenge`"
            raise SlackError("url_not_verified", detail=why)

    async def post(
        self,
        kind: str,
        payload: dict[str, Any],
        *,
        within_s: float,
        retry: tuple[int, str] = (0, ""),
    ) -> Reply:
        """Post a payload once.

        Args:
            within_s: how long the app has to answer.
            retry: the number of this further attempt, and why the one before failed.
        """
        content_type, body = encoded(kind, payload)
        number, reason = retry
        headers = {
            "Content-Type": content_type,
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            **signed(self._secret, body, int(time.time())),
            **(
                {"X-Slack-Retry-Num": str(number), "X-Slack-Retry-Reason": reason} if number else {}
            ),
        }
        try:
            # A connection for each post, as from Slack's many machines: none is stale after a
            # restart of the app, and one that hangs holds up no other.
            async with (
                asyncio.timeout(within_s),
                httpx.AsyncClient(verify=self._tls, trust_env=False, timeout=None) as client,  # noqa: S113
            ):
                response = await client.post(self._url, content=body, headers=headers)
        except TimeoutError:
            return Reply("http_timeout")
        except httpx.HTTPError:
            return Reply("connection_failed")
        return Reply(answer=_answer(response)) if response.is_success else Reply("http_error")


def _answer(response: httpx.Response) -> Any:
    """What the app said, as Socket Mode would bring it: an object, or a text in one."""
    content_type = response.headers.get("content-type", "").split(";")[0].strip()
    if not response.content:
        return None
    if content_type == JSON:
        try:
            return sent.read(response.content)
        except ValueError:
            return None
    if content_type == FORM:
        return {name: values[0] for name, values in parse_qs(response.text).items()}
    return {"text": response.text}


def _challenge(answer: Any) -> str | None:
    """The challenge in an answer of any of the three forms that Slack takes."""
    if not isinstance(answer, dict):
        return None
    found = answer.get("challenge", answer.get("text"))
    return found if isinstance(found, str) else None
