"""The card of answers that contradict each other, for the review channel. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    RichTextBlock,
    RichTextQuoteElement,
    RichTextSectionElement,
    SectionBlock,
)

from bot.mrkdwn import approver
from bot.slack.pieces import QUESTION, button, cut, text
from bot.store.schema import Conflict, ConflictStatus, Example

BOTH, NEWER, OLDER = "conflict_both", "conflict_newer", "conflict_older"
VERDICTS = {
    BOTH: ConflictStatus.BOTH,
    NEWER: ConflictStatus.NEWER,
    OLDER: ConflictStatus.OLDER,
}
_BUTTONS = ((BOTH, "Keep both"), (NEWER, "The newer is right"), (OLDER, "Put the older back"))
SHOWN = 3  # older ones
ANSWER = 500  # characters
REPLACED = (
    "A newer answer took the place of an older one: I took the questions for the same. "
    "If they are not, keep both."
)
POSSIBLE = "These answers may contradict each other. I use both until somebody says which is right."
_SAID = {
    ConflictStatus.BOTH: "both answers count",
    ConflictStatus.NEWER: "the newer answer is right",
    ConflictStatus.OLDER: "the older answer is right",
}


def opened(
    newer: Example, older: Sequence[tuple[Conflict, Example]], links: Mapping[str, str]
) -> dict[str, Any]:
    """`chat.postMessage` arguments while staff have not settled it.

    What was said in a channel that not everybody can read is not repeated: there are its links.

    Args:
        links: to the messages, by example id.
    """
    replaced = any(conflict.status is ConflictStatus.REPLACED for conflict, _ in older)
    title = REPLACED if replaced else POSSIBLE
    blocks: list[Block] = [SectionBlock(text=f"*{title}*"), *_example("Newer", newer, links)]
    for _, one in older[:SHOWN]:
        blocks += _example("Older", one, links)
    if len(older) > SHOWN:
        blocks.append(SectionBlock(text=f"… and {len(older) - SHOWN} more."))
    blocks.append(ActionsBlock(elements=[button(*each, str(newer.id)) for each in _BUTTONS]))
    return _card(title, [block.to_dict() for block in blocks], dict(links), is_open=True)


def closed(decided: Conflict | None) -> dict[str, Any]:
    """The same when it is over. It repeats nothing: what was said may have been deleted."""
    if decided is None:
        words = "*No longer in question:* one of these answers was taken back or replaced."
    else:
        words = f"*Settled:* <@{decided.decided_by}> says that {_SAID[decided.status]}."
    return _card(words, [SectionBlock(text=words).to_dict()], {}, is_open=False)


def is_open(payload: Mapping[str, Any]) -> bool:
    """Whether a card asks for a decision."""
    return bool(payload["metadata"]["event_payload"]["open"])


def links_of(payload: Mapping[str, Any]) -> dict[str, str]:
    """The links that a card shows."""
    return dict(payload["metadata"]["event_payload"]["links"])


def _example(name: str, one: Example, links: Mapping[str, str]) -> list[Block]:
    link = links.get(str(one.id), "")
    by = f"*{name}:* by {approver(one.approved_by)}"
    line = f"{by} · <{link}|see it>" if link else by
    if one.scope is not None:
        return [SectionBlock(text=f"{line} · in <#{one.scope}>")]
    parts = [
        RichTextSectionElement(elements=[text(cut(one.question, QUESTION), bold=True)]),
        RichTextQuoteElement(elements=[text(cut(one.answer, ANSWER))]),
    ]
    return [SectionBlock(text=line), RichTextBlock(elements=parts)]


def _card(
    line: str, blocks: list[dict[str, Any]], links: dict[str, str], *, is_open: bool
) -> dict[str, Any]:
    return {
        "text": line,
        "blocks": blocks,
        "metadata": {"event_payload": {"open": is_open, "links": links}},
        "unfurl_links": False,
        "unfurl_media": False,
    }
