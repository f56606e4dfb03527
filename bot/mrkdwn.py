"""Slack's markup (mrkdwn) as plain text, and plain text as mrkdwn."""

from __future__ import annotations

import html
import re

_BRACKET = re.compile(r"<([^<>\n]*)>( ?)")
_NOBODY = ("@", "!subteam", "!here", "!channel", "!everyone")
IMPORTED = "import by "  # what the approver of an imported example begins with
_BLANK_LINES = re.compile(r"\n\s*\n\s*\n+")


def plain(text: str) -> str:
    """Return `text` (Slack mrkdwn) without mentions of people, links spelled out, escapes undone.

    ``<@U1> see <https://a.example/x|the guide> in <#C1|help>`` becomes
    ``see the guide (https://a.example/x) in #help``. Indentation and code stay as they are.
    """
    bare = storable(html.unescape(_BRACKET.sub(_spell_out, text)))
    lines = (line.rstrip() for line in bare.splitlines())
    return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip()


def storable(text: str) -> str:
    """Without what databases refuse: NUL characters and halves of surrogate pairs."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def approver(approved_by: str) -> str:
    """Whose word an example is: a mention, and whether it came from elsewhere."""
    user = approved_by.removeprefix(IMPORTED)
    return f"<@{user}>" if user == approved_by else f"<@{user}> (imported)"


def escape(text: str) -> str:
    """Plain text as mrkdwn: nothing in it can mention, link or notify."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _spell_out(match: re.Match[str]) -> str:
    target, _, label = match[1].partition("|")
    space = match[2]
    if target.startswith(_NOBODY):
        return ""
    if target.startswith("#"):
        return f"#{label or target[1:]}{space}"
    if target.startswith("!"):  # <!date^…|fallback>
        return label + space
    if target.startswith(("mailto:", "tel:")):
        target = target.partition(":")[2]
    elif "://" not in target:
        return match[0]  # not Slack's: somebody's own <placeholder>
    return (target if not label or label in target else f"{label} ({target})") + space
