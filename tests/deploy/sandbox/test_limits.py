"""Slack's limits, one over and one within."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from deploy.sandbox.errors import SlackError
from deploy.sandbox.limits import check_blocks, check_emoji, check_metadata, check_text

DIVIDER = {"type": "divider"}


def section(chars: int) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": "x" * chars}}


def button(chars: int) -> dict[str, Any]:
    return {"type": "button", "action_id": "a", "text": {"type": "plain_text", "text": "x" * chars}}


@pytest.mark.parametrize(
    "blocks",
    [
        [DIVIDER] * 50,
        [section(3000)],
        [{"type": "header", "text": {"type": "plain_text", "text": "x" * 150}}],
        [{"type": "actions", "elements": [button(75)] * 25}],
        [{"type": "context", "elements": [{"type": "mrkdwn", "text": "v1"}] * 10}],
        [{"type": "markdown", "text": "x" * 12_000}],
    ],
)
def test_blocks_at_the_limit_pass(blocks: list[dict[str, Any]]) -> None:
    """What Slack takes is taken, unchanged."""
    assert check_blocks(blocks) == blocks


@pytest.mark.parametrize(
    ("blocks", "where"),
    [
        ([DIVIDER] * 51, "/blocks]"),
        ([DIVIDER, section(3001)], "/blocks/1/text/text]"),
        ([section(0)], "/blocks/0/text/text]"),
        ([{"type": "section"}], "/blocks/0]"),
        ([{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}], "/text/text]"),
        ([{"type": "actions", "elements": [button(76)]}], "/blocks/0/elements/0/text/text]"),
        ([{"type": "actions", "elements": [button(1)] * 26}], "/blocks/0/elements]"),
        ([{"type": "context", "elements": [{"type": "mrkdwn", "text": "v"}] * 11}], "/elements]"),
        ([{"type": "nonsense"}], "/blocks/0/type]"),
        ([{**DIVIDER, "block_id": "a"}] * 2, "/blocks]"),
    ],
)
def test_blocks_over_a_limit_say_where(blocks: list[dict[str, Any]], where: str) -> None:
    """`invalid_blocks`, with the place as a JSON pointer."""
    with pytest.raises(SlackError) as refused:
        check_blocks(blocks)
    assert refused.value.code == "invalid_blocks"
    assert where in refused.value.extra["errors"][0]


def test_other_refusals_have_slacks_names() -> None:
    """Each limit has the error that Slack documents."""
    refusals: tuple[tuple[Callable[[Any], object], Any, str], ...] = (
        (check_blocks, {"type": "divider"}, "invalid_blocks_format"),
        (check_blocks, [{"type": "markdown", "text": "x" * 12_001}], "msg_blocks_too_long"),
        (check_text, "x" * 40_001, "msg_too_long"),
        (check_emoji, ":x:", "invalid_name"),
        (check_metadata, {"event_type": "a"}, "invalid_metadata_format"),
        (
            check_metadata,
            {"event_type": "a", "event_payload": {"b": "x" * 16_000}},
            "metadata_too_large",
        ),
    )
    for check, value, code in refusals:
        with pytest.raises(SlackError, match=code):
            check(value)
    check_text("x" * 40_000)
    assert check_metadata({}) is None
