"""What can go wrong in the sandbox, in Slack's own words where Slack has one."""

from __future__ import annotations

from typing import Any


class SlackError(Exception):
    """A method refuses: answered as ``{"ok": false, "error": code, …}`` with HTTP 200."""

    def __init__(self, code: str, **extra: Any) -> None:
        super().__init__(code)
        self.code = code
        self.extra = extra

    def as_json(self) -> dict[str, Any]:
        """The body of the answer."""
        return {"ok": False, "error": self.code, **self.extra}


class PortTaken(Exception):
    """The port that the sandbox should listen on is not free; the message names it."""


class NotLoopback(Exception):
    """The sandbox has no passwords: it listens on this machine's own addresses alone."""


class NotKept(Exception):
    """What a sandbox kept on disk cannot be used; the message names the file and what to do."""


class Impossible(Exception):
    """What nobody could do in Slack's client; the message says why."""
