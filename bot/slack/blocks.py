"""Block Kit: what Mynah's messages look like. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bot.answering import Reply
from bot.store.schema import AnswerMode

# Slack's limits: 3,000 characters a section, 50 blocks a message; `text` is cut at 40,000 and
# should stay under 4,000 (https://docs.slack.dev/changelog/2018-truncating-really-long-messages).
SECTION_CHARS = 2900
SECTIONS = 10
TEXT_CHARS = 3900
CUT = " […]"
HELP = """*Ask me* by mentioning me in a channel or a thread, or in a direct message.
*Staff* teach me with reactions: :white_check_mark: on a right answer (mine or a person's), \
:x: on a wrong one, :memo: on your own reply that corrects me. Taking the reaction away takes it \
back.
*Everybody* may ask `/mynah why [link]` – where an answer came from: the newest one that I gave \
you here, or the one that is linked
*Admins* have:
• `/mynah train` – learn from the approved answers now
• `/mynah status` – what is live, what is running
• `/mynah releases` – every release with its score, and what became of it
• `/mynah rollback [v2]` – go back at once to the release before, or to the one named
• `/mynah pause` – train nothing and let nothing go live until `/mynah resume`; I still answer
• `/mynah help` – this"""


def escape(text: str) -> str:
    """Plain text as mrkdwn: nothing in it can mention, link or notify."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def answer(reply: Reply) -> dict[str, Any]:
    """`chat.postMessage` arguments of an answer with its receipt, for people and for programs."""
    sections = [_section(piece) for piece in _pieces(reply.text)]
    return {
        "text": escape(_cut(reply.text, TEXT_CHARS)),
        "blocks": [*sections, _context(receipt(reply))],
        "metadata": {
            "event_payload": {
                "release": f"v{reply.release.number}",
                "adapter": reply.adapter,
                "mode": reply.mode.value,
            }
        },
        "unfurl_links": False,
        "unfurl_media": False,
    }


def receipt(reply: Reply) -> str:
    """The line under an answer, in mrkdwn."""
    parts = [f"v{reply.release.number}"]
    if reply.awaited is not None:
        parts.append(f"v{reply.awaited} is not ready, so the base model answers")
    if reply.match is not None and reply.mode is AnswerMode.QUOTED:
        parts.append(f"quoted, verified by <@{reply.match.approved_by}>")
    elif reply.match is not None:
        parts.append(f"written from an answer verified by <@{reply.match.approved_by}>")
    else:
        parts.append("not verified")
    return " · ".join(parts)


def note(text: str) -> dict[str, Any]:
    """`chat.postMessage` arguments of a plain line; `text` is mrkdwn."""
    return {"text": text, "unfurl_links": False}


def _pieces(text: str) -> Sequence[str]:
    """Cut into sections, at line ends where possible. Escapes count: they make text longer."""
    pieces: list[str] = []
    rest = escape(text)
    while rest and len(pieces) < SECTIONS:
        if len(rest) <= SECTION_CHARS:
            pieces.append(rest)
            return pieces
        end = _end(rest)
        pieces.append(rest[:end])
        rest = rest[end:].lstrip("\n")
    if rest:
        pieces[-1] = pieces[-1][: SECTION_CHARS - len(CUT)] + CUT
    return pieces


def _end(escaped: str) -> int:
    for separator in ("\n", " "):
        end = escaped.rfind(separator, SECTION_CHARS // 2, SECTION_CHARS)
        if end > 0:
            return end
    # Never inside an entity such as &lt; : go back before its ampersand.
    ampersand = escaped.rfind("&", SECTION_CHARS - 5, SECTION_CHARS)
    return ampersand if ampersand > 0 else SECTION_CHARS


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - len(CUT)] + CUT


def _section(mrkdwn: str) -> dict[str, Any]:
    # expand: Slack would hide a long answer behind "see more".
    return {"type": "section", "expand": True, "text": {"type": "mrkdwn", "text": mrkdwn}}


def _context(mrkdwn: str) -> dict[str, Any]:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": mrkdwn}]}
