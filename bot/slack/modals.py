"""Modals. Pure functions."""

from __future__ import annotations

import json
from typing import Any

from slack_sdk.models.blocks import (
    InputBlock,
    Option,
    PlainTextInputElement,
    StaticSelectElement,
)
from slack_sdk.models.views import View

from bot.slack.corrected import REASONS
from bot.slack.delivery import lane
from bot.store.schema import Answer, AnswerMode, ChannelKind, Question

CORRECT = "correct_answer"
INPUT_CHARS = 3000  # Slack's limit for what is typed, and for what it is filled with


def correction(
    question: Question, answer: Answer, *, callback_id: str = CORRECT, **more: Any
) -> View:
    """The question and its answer, to be edited by staff.

    Args:
        more: what else the submission should be about.
    """
    about = {
        "lane": lane(question.channel, question.thread_ts), "answer": answer.id,
        "channel": question.channel, "thread_ts": question.thread_ts,
        **more,
    }  # fmt: skip
    shown = "" if answer.mode is AnswerMode.UNSURE else answer.text
    where = "for everybody" if question.channel_kind is ChannelKind.PUBLIC else "here alone"
    hint = f"Both are remembered as you leave them, {where}, and the answer changes."
    return View(
        type="modal",
        callback_id=callback_id,
        title="Correct this answer",
        submit="Correct",
        close="Cancel",
        private_metadata=json.dumps(about),
        blocks=[
            InputBlock(block_id="question", label="Question", element=_typed(question.text)),
            InputBlock(block_id="answer", label="Answer", hint=hint, element=_typed(shown)),
            InputBlock(block_id="reason", label="What was wrong?", element=_reasons()),
        ],
    )


def _typed(text: str) -> PlainTextInputElement:
    # Half a text must not be taken for the whole: one that is too long is written anew.
    return PlainTextInputElement(
        action_id="typed", multiline=True, min_length=1, max_length=INPUT_CHARS,
        initial_value=text if 0 < len(text) <= INPUT_CHARS else None,
    )  # fmt: skip


def _reasons() -> StaticSelectElement:
    options = [Option(value=value, label=label) for value, label in REASONS.items()]
    return StaticSelectElement(action_id="chosen", options=options)
