"""What Slack does to a text on its way in: escapes, links, mentions."""

from __future__ import annotations

import re

# What may stand between < and > without being escaped: mentions, channels, specials, links.
_ANGLED = r"<(?:@[UW]\w+(?:\|[^<>]*)?|#C\w+(?:\|[^<>]*)?|![^<>]+|(?:https?|mailto|tel):[^<>]+)>"
_ENTITY = r"&(?:amp|lt|gt);"
_URL = r"https?://[^\s<>|]*[^\s<>|.,;:!?)\]}'\"`*_~]"
_EMAIL = r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}"
_PIECES = re.compile(
    rf"(?P<keep>{_ANGLED}|{_ENTITY}|```.*?```|`[^`\n]+`)|(?P<url>{_URL})|(?P<email>{_EMAIL})|(?P<char>[&<>])",
    re.DOTALL,
)
_SPECIAL = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_INSIDE_CODE = re.compile(rf"{_ANGLED}|{_ENTITY}|[&<>]")


def incoming(text: str) -> str:
    """Return `text` as Slack stores it: stray ``& < >`` escaped, bare links and e-mails wrapped.

    What is already escaped or wrapped stays, so the result goes in again unchanged
    (https://docs.slack.dev/messaging/formatting-message-text).
    """
    return _PIECES.sub(_stored, text)


def mentions(text: str, user: str) -> bool:
    """Whether `text` mentions `user`."""
    return re.search(rf"<@{re.escape(user)}(?:\|[^<>]*)?>", text) is not None


def _stored(piece: re.Match[str]) -> str:
    whole = piece.group()
    if piece["url"]:
        return f"<{whole.replace('&amp;', '&').replace('&', '&amp;')}>"
    if piece["email"]:
        return f"<mailto:{whole}|{whole}>"
    if piece["char"]:
        return _SPECIAL[whole]
    if whole.startswith("`"):
        return _INSIDE_CODE.sub(lambda inner: _SPECIAL.get(inner.group(), inner.group()), whole)
    return whole
