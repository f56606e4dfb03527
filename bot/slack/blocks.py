"""Block Kit: what Mynah's messages look like. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from slack_sdk.models.blocks import Block, ContextBlock, MarkdownBlock, MarkdownTextObject

from bot import confidence
from bot.composing import Reply
from bot.grounding import grounded
from bot.mrkdwn import approver, escape
from bot.slack.markdown import PART_CHARS, safe, split, unsafe
from bot.slack.rating import thumbs
from bot.store.schema import AnswerMode
from bot.waiting import Delay

# `text` is for notifications, and for clients that show no blocks. Slack cuts it at 40,000
# characters, and refuses an update with more than 4,000
# (https://docs.slack.dev/changelog/2018-truncating-really-long-messages).
TEXT_CHARS = 3900
CUT = " […]"
_HOW = {
    AnswerMode.QUOTED: "quoted,",
    AnswerMode.QUOTED_AWAY: "quoted,",
    AnswerMode.KNOWN: "learned from an answer",
}
AWAY_NOTICE = (
    "The model that writes my answers is away. I keep your question, and answer here when it is "
    "back."
)
LEARNING_NOTICE = (
    "I am learning just now, for {minutes} minutes at most. I keep your question, and answer here "
    "after that."
)
AWAY = "The model is away, so this is the approved answer to the question that came nearest."
MOST_PARTS = 6  # messages for one answer: nobody reads more
HELP = """*Ask me* by mentioning me in a channel or a thread, or in a direct message.
*Staff* teach me with reactions: :white_check_mark: on a right answer (mine or a person's), \
:x: on a wrong one, :memo: on your own reply that corrects me. Taking the reaction away takes it \
back. :thumbsup: and :thumbsdown: under an answer do the same, and *Correct this answer* in its \
menu (*⋮*) rewrites it.
*Everybody* may put :sos: on a message that needs a person: I ask whoever is on call. \
And everybody may ask `/mynah why [link]` – where an answer came from: the newest one that I gave \
you here, or the one that is linked
*Admins* have:
• `/mynah train` – learn from the approved answers now
• `/mynah status` – what is live, what is running
• `/mynah releases` – every release with its score, and what became of it
• `/mynah rollback [now | v2]` – choose a version to go back to; `now`: at once to the one before
• `/mynah promote [v3] [25%]`, `/mynah discard [v3]` – what passed and waits for an admin; \
with a share, try any version on so many of new threads
• `/mynah shadow [v3 | off]` – record what a version would have said, shown to nobody, and compare
• `/mynah pause` – train nothing and let nothing go live until `/mynah resume`; I still answer
• `/mynah help` – this"""


def fitting(text: str, limit: int) -> str:
    """Plain text as mrkdwn of at most `limit` characters: escaped, it may be five times as long."""
    escaped = escape(text)
    if len(escaped) <= limit:
        return escaped
    return re.sub(r"&[a-z]*$", "", escaped[: limit - len(CUT)]) + CUT


def answer(reply: Reply) -> list[dict[str, Any]]:
    """The messages of an answer, as `chat.postMessage` takes them; the last one has the receipt."""
    about = {
        "release": f"v{reply.release.number}",
        "adapter": reply.adapter,
        "mode": reply.mode.value,
    }
    under = [_context(receipt(reply))]
    if reply.hint is not None:
        # Not its words: whoever takes them back there does so here as well.
        under.insert(0, _context(f"A <{reply.hint}|similar question> was answered."))
    if reply.mode is AnswerMode.QUOTED_AWAY:
        under.insert(0, _context(AWAY))
    rated = () if reply.mode is AnswerMode.UNSURE else (thumbs(),)  # it says nothing to be rated
    return messages(reply.text, [*under, *rated], about)


def notice(delay: Delay) -> dict[str, Any]:
    """That the answer is still to come, and when, as far as that is known."""
    before = (
        f"{delay.before} {'question is' if delay.before == 1 else 'questions are'} before yours"
    )
    minutes = f"about {delay.minutes} minutes"
    if not delay.is_away:
        text = f"Many ask at the moment. {before}, so it may take {minutes}. I answer here."
    else:
        learning = delay.learns_minutes
        text = LEARNING_NOTICE.format(minutes=learning) if learning else AWAY_NOTICE
        if delay.before:
            text += f" {before}" + (f": that may take {minutes} more." if delay.minutes else ".")
    [payload] = messages(text, [], {"aside": True, "notice": True})
    return payload


def _context(mrkdwn: str) -> Block:
    return ContextBlock(elements=[MarkdownTextObject(text=mrkdwn)])


def messages(text: str, under: Sequence[Block], about: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The messages that show a Markdown text, with `under` below the last part.

    Args:
        about: what programs can read of each message.
    """
    parts = split(safe(text), PART_CHARS - len(CUT))
    if len(parts) > MOST_PARTS:
        parts = [*parts[: MOST_PARTS - 1], parts[MOST_PARTS - 1] + CUT]
    shown: list[list[Block]] = [[MarkdownBlock(text=part)] for part in parts]
    shown[-1] += under
    return [_message(about, *said) for said in zip(parts, shown, strict=True)]


def receipt(reply: Reply) -> str:
    """The line under an answer, in mrkdwn."""
    parts = [f"v{reply.release.number}"]
    if reply.awaited is not None:
        parts.append(f"v{reply.awaited} is not ready, so the base model answers")
    if reply.mode is AnswerMode.UNSURE:
        return " · ".join([*parts, "not sure"])
    if not _learned(reply):  # how sure a model is of what nobody taught it says nothing
        parts.append("not verified")
        label = "a similar question"
    else:
        if sure := confidence.word(reply.mode, reply.confidence):
            parts.append(sure)
        parts.append(_origin(reply))
        label = "source"
    if reply.source is not None:
        parts.append(f"<{reply.source}|{label}>")
    return " · ".join(parts)


def _learned(reply: Reply) -> bool:
    """Whether an answer comes from what staff approved: word for word, from a note, or trained."""
    if reply.mode is AnswerMode.OPEN_BOOK and reply.match is not None:
        return grounded(reply.text, reply.match.answer, reply.match.question)
    return reply.mode is not AnswerMode.CLOSED_BOOK or reply.adapter is not None


def _origin(reply: Reply) -> str:
    match = reply.match
    if match is None:
        return "not verified"
    how = _HOW.get(reply.mode, "written from an answer")
    return f"{how} verified by {approver(match.approved_by)}"


def _message(about: Mapping[str, Any], text: str, shown: Sequence[Block]) -> dict[str, Any]:
    return {
        "text": fitting(unsafe(text), TEXT_CHARS),
        "blocks": [block.to_dict() for block in shown],
        "metadata": {"event_payload": dict(about)},
        "unfurl_links": False,
        "unfurl_media": False,
    }


def note(text: str) -> dict[str, Any]:
    """`chat.postMessage` arguments of a plain line; `text` is mrkdwn."""
    return {"text": text, "unfurl_links": False}
