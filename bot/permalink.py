"""How people name a message: by its link, or by channel and timestamp."""

from __future__ import annotations

import re

_LINK = re.compile(r"<?https?://[^/\s]+/archives/([A-Z0-9]+)/p(\d{10})(\d{6})(?:\?[^\s>]*)?>?")
_PLAIN = re.compile(r"([A-Z][A-Z0-9]+):(\d+)\.(\d+)")


def message(word: str) -> tuple[str, str] | None:
    """Channel and timestamp of ``https://….slack.com/archives/C1/p17…`` or ``C1:17….000100``."""
    found = _LINK.fullmatch(word) or _PLAIN.fullmatch(word)
    return (found[1], f"{found[2]}.{found[3]}") if found else None
