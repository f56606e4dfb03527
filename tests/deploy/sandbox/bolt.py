"""A Bolt app that writes down what it hears."""

from __future__ import annotations

from typing import Any

from slack_bolt.async_app import AsyncApp

from tests.sandbox_server import Sandbox


class Listener:
    """An unmodified Bolt app as the sandbox's bot; `heard` holds the bodies in order."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.app = AsyncApp(
            client=sandbox.client("xoxb-mynah"), raise_error_for_unhandled_request=False
        )
        self.heard: list[dict[str, Any]] = []
        for kind in ("message", "app_mention", "reaction_added", "reaction_removed"):
            self.app.event(kind)(self._hear)
        self.app.event("member_joined_channel")(self._hear)

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """The events heard, all or of one type, in the order in which they happened.

        Bolt handles envelopes side by side, so on a busy machine they are heard in another one.
        """
        found = sorted((body["event"] for body in self.heard), key=lambda e: float(e["event_ts"]))
        return [event for event in found if kind in (None, event["type"])]

    async def _hear(self, body: dict[str, Any]) -> None:
        self.heard.append(body)
