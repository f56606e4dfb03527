"""👍 and 👎 under an answer: what they look like, and what a press of them says."""

from __future__ import annotations

from slack_sdk.models.blocks import (
    ContextActionsBlock,
    FeedbackButtonObject,
    FeedbackButtonsElement,
)

RATE = "rate"
GOOD = "good"
BAD = "bad"


def thumbs() -> ContextActionsBlock:
    """The two buttons."""
    good = FeedbackButtonObject(text="👍", accessibility_label="This answer is good", value=GOOD)
    bad = FeedbackButtonObject(text="👎", accessibility_label="This answer is bad", value=BAD)
    buttons = FeedbackButtonsElement(action_id=RATE, positive_button=good, negative_button=bad)
    return ContextActionsBlock(elements=[buttons])
