"""What Slack shows to one person alone, at once: modals, the Home tab. Nothing of it is kept."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from slack_sdk.errors import SlackApiError
from slack_sdk.models.views import View
from slack_sdk.web.async_client import AsyncWebClient

from bot.dispatcher import Later
from bot.slack.workspace import NO_REPLY, error_of, is_trouble

log = logging.getLogger(__name__)


class Windows:
    """Opens modals and publishes Home tabs."""

    def __init__(self, client: AsyncWebClient) -> None:
        self._client = client

    async def open(self, trigger_id: str, view: View) -> bool:
        """Open a modal; False when it is too late for that: a trigger lives for 3 seconds."""
        try:
            await self._client.views_open(trigger_id=trigger_id, view=view)
        except SlackApiError as error:
            log.warning("a modal was not opened: %s", error_of(error))
            return False
        except NO_REPLY as error:
            log.warning("a modal was not opened: %s", type(error).__name__)
            return False
        return True

    async def publish(self, user: str, view: View) -> None:
        """Show a person's Home tab. Raises Later when Slack is in trouble."""
        await _try(lambda: self._client.views_publish(user_id=user, view=view))


async def _try(call: Callable[[], Awaitable[Any]]) -> None:
    try:
        await call()
    except SlackApiError as error:
        if is_trouble(error_of(error)):
            raise Later(f"Slack: {error_of(error)}", delay_s=2.0) from error
        raise
    except NO_REPLY as error:
        raise Later(f"Slack cannot be reached: {type(error).__name__}", delay_s=2.0) from error
