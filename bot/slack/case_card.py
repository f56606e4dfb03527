"""The card of a case: what people are asked to do, and how it stands. Pure functions."""

from __future__ import annotations

from typing import Any

from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    ContextBlock,
    MarkdownTextObject,
    SectionBlock,
)

from bot.cases import MYNAH, UNSURE, is_direct
from bot.store.schema import UNSETTLED, Case, CaseStatus

CLAIM, RESOLVE = "case_claim", "case_resolve"
STAFF_ONLY = "Only staff can claim and resolve cases."
GONE = "This case is not there any more."
TOLD = "I have told the people on call that you need help. They do not see what you wrote here."
NOBODY = "I cannot pass this on from a direct message. Please ask in a channel."
_HOW = (
    "Please answer here in the thread. Staff mark the right answer with :white_check_mark:, or "
    "their own with :memo:: that closes the case, and I learn from it."
)
_HOW_DIRECT = (
    "They asked in a direct message with me, which nobody else can read: please write to them."
)


def card(case: Case, *, asker: str, ping: str) -> dict[str, Any]:
    """`chat.postMessage` arguments of a case's card.

    Args:
        asker: the user id of whoever needs help.
        ping: the mention of whoever is on call; empty when nobody is to be notified.
    """
    why = _why(case, asker)
    text = f"{ping} {why}" if ping else why
    blocks: list[Block] = [SectionBlock(text=MarkdownTextObject(text=text))]
    if case.status in UNSETTLED:
        how = _HOW_DIRECT if is_direct(case.channel) else _HOW
        blocks += [
            ContextBlock(elements=[MarkdownTextObject(text=how)]),
            ActionsBlock(block_id=f"case:{case.id}", elements=_buttons(case)),
        ]
    if status := standing(case):
        blocks.append(ContextBlock(elements=[MarkdownTextObject(text=status)]))
    return {
        "text": text,
        "blocks": [block.to_dict() for block in blocks],
        "metadata": {"event_payload": {"case": case.id}},
        "unfurl_links": False,
    }


def mention(oncall: str) -> str:
    """What notifies a user group (S…) or a person (U…, W…); empty for nobody."""
    if not oncall:
        return ""
    return f"<!subteam^{oncall}>" if oncall.startswith("S") else f"<@{oncall}>"


def standing(case: Case) -> str:
    """Who has a case, or what became of it; empty while it is open."""
    if case.status is CaseStatus.CLAIMED:
        return f":raising_hand: Claimed by <@{case.claimed_by}>"
    if case.status is CaseStatus.RESOLVED:
        return f":white_check_mark: Resolved by <@{case.resolved_by}>"
    if case.status is CaseStatus.WITHDRAWN:
        by = "" if case.resolved_by == MYNAH else f" by <@{case.resolved_by}>"
        return f"Withdrawn{by}: no help is needed any more"
    return ""


def _why(case: Case, asker: str) -> str:
    if case.reason == UNSURE:
        return f":sos: *<@{asker}> needs a person:* I am not sure of my answer."
    if case.opened_by != asker:
        return f":sos: *<@{asker}> needs a person:* <@{case.opened_by}> asked for help."
    return f":sos: *<@{asker}> needs a person* and asked for help."


def _buttons(case: Case) -> list[ButtonElement]:
    value = str(case.id)
    claim = ButtonElement(text="Claim", action_id=CLAIM, value=value, style="primary")
    resolve = ButtonElement(text="Resolve", action_id=RESOLVE, value=value)
    return [claim, resolve] if case.status is CaseStatus.OPEN else [resolve]
