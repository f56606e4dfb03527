"""The card of an answer that staff disagree on, for the review channel. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    RichTextBlock,
    RichTextQuoteElement,
    RichTextSectionElement,
    SectionBlock,
)

from bot.disputes import Dispute
from bot.mrkdwn import escape
from bot.slack.blocks import fitting
from bot.slack.pieces import cut, text
from bot.store.schema import ChannelKind, Feedback, FeedbackKind

RIGHT = "dispute_right"
WRONG = "dispute_wrong"
SHOWN_CHARS = 700
INSTEAD_CHARS = 100
NAMED = 10


def opened(dispute: Dispute, link: str) -> dict[str, Any]:
    """`chat.postMessage` arguments while nobody has settled it.

    What was said in a channel that not everybody can read is not repeated: there is its link.
    """
    public = dispute.question.channel_kind is ChannelKind.PUBLIC
    value = str(dispute.answer.id)
    title = "Staff disagree on an answer of mine. Until somebody settles it, I do not use it."
    shown: list[Block] = [
        SectionBlock(text=f"*{title}* {_linked(link)}".rstrip()),
        *([_texts(dispute)] if public else ()),
        SectionBlock(text="\n".join(_opinions(dispute, words=public))),
    ]
    buttons = [
        ButtonElement(action_id=RIGHT, text="It is right", value=value),
        ButtonElement(action_id=WRONG, text="It is wrong", value=value),
    ]
    blocks = [block.to_dict() for block in (*shown, ActionsBlock(elements=buttons))]
    return _card(title, blocks, link, is_open=True)


def closed(decision: Feedback | None, link: str) -> dict[str, Any]:
    """The same when it is over. It repeats nothing: what was asked may have been deleted."""
    if decision is None:
        words = "*No longer disputed:* nobody disagrees on this answer any more."
    else:
        verdict = "right" if decision.kind is FeedbackKind.APPROVE else "wrong"
        words = f"*Settled:* <@{decision.user}> says that the answer is {verdict}."
    words = f"{words} {_linked(link)}".rstrip()
    return _card(words, [SectionBlock(text=words).to_dict()], link, is_open=False)


def is_open(payload: dict[str, Any]) -> bool:
    """Whether a card asks for a decision."""
    return bool(payload["metadata"]["event_payload"]["open"])


def link_of(payload: dict[str, Any]) -> str:
    """The link that a card shows."""
    return str(payload["metadata"]["event_payload"]["link"])


def _card(line: str, blocks: list[dict[str, Any]], link: str, *, is_open: bool) -> dict[str, Any]:
    known = {"open": is_open, "link": link}
    return {
        "text": line,
        "blocks": blocks,
        "metadata": {"event_payload": known},
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _linked(link: str) -> str:
    return f"<{link}|See it>" if link else ""


def _texts(dispute: Dispute) -> Block:
    """What was asked and answered, as it is: nobody can write a line of the card."""
    said = (("Question:", dispute.question.text), ("Answer:", dispute.answer.text))
    parts = [
        part
        for name, words in said
        for part in (
            RichTextSectionElement(elements=[text(name, bold=True)]),
            RichTextQuoteElement(elements=[text(cut(words, SHOWN_CHARS))]),
        )
    ]
    return RichTextBlock(elements=parts)


def _opinions(dispute: Dispute, *, words: bool) -> Sequence[str]:
    right = [f"• <@{given.user}>: it is right" for given in dispute.right]
    wrong = [f"• <@{given.user}>: {_against(given, words=words)}" for given in dispute.wrong]
    return [*right[:NAMED], *wrong[:NAMED]]


def _against(given: Feedback, *, words: bool) -> str:
    reason = f" ({escape(given.reason)})" if given.reason else ""
    if given.kind is FeedbackKind.REJECT:
        return f"it is wrong{reason}"
    instead = (
        f": “{fitting(' '.join((given.correction or '').split()), INSTEAD_CHARS)}”" if words else ""
    )
    return f"corrected it{reason}{instead}"
