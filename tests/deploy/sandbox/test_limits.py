"""Slack's limits, one over and one within."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from deploy.sandbox.blocks import check_blocks, with_ids
from deploy.sandbox.errors import SlackError
from deploy.sandbox.limits import check_emoji, check_metadata, check_text

DIVIDER = {"type": "divider"}


def section(chars: int) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": "x" * chars}}


def worded(text: Any) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def button(chars: int, action_id: str = "a") -> dict[str, Any]:
    text = {"type": "plain_text", "text": "x" * chars}
    return {"type": "button", "action_id": action_id, "text": text}


def buttons(count: int) -> list[dict[str, Any]]:
    return [button(75, f"a{number}") for number in range(count)]


def table(rows: int, cells: int, kind: str = "raw_text") -> dict[str, Any]:
    return {"type": "table", "rows": [[{"type": kind, "text": "x"}] * cells] * rows}


def card(**more: Any) -> dict[str, Any]:
    return {"type": "task_card", "task_id": "1", "title": "Read", "status": "complete", **more}


def feedback(**more: Any) -> dict[str, Any]:
    text = {"type": "plain_text", "text": "Good"}
    both = {f"{which}_button": {"text": text, "value": which} for which in ("positive", "negative")}
    return {"type": "feedback_buttons", "action_id": "rate", **both, **more}


def menu(options: int, kind: str = "overflow") -> dict[str, Any]:
    text = {"type": "plain_text", "text": "x"}
    return {
        "type": kind,
        "action_id": "m",
        "options": [{"text": text, "value": str(number)} for number in range(options)],
    }


@pytest.mark.parametrize(
    "blocks",
    [
        [DIVIDER] * 50,
        [section(3000)],
        [{"type": "header", "text": {"type": "plain_text", "text": "x" * 150}}],
        [{"type": "actions", "elements": buttons(25)}],
        [{"type": "context", "elements": [{"type": "mrkdwn", "text": "v1"}] * 10}],
        [{"type": "markdown", "text": "x" * 12_000}],
        [table(100, 20)],
        [{"type": "plan", "title": "Plan", "tasks": [card()]}],
        [{"type": "context_actions", "elements": [feedback()]}],
        [{"type": "actions", "elements": [menu(5)]}],
        [{**section(1), "accessory": menu(100, "static_select")}],
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
        ([worded(20)], "/blocks/0/text/text]"),
        ([{"type": "section"}], "/blocks/0]"),
        ([{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}], "/text/text]"),
        ([{"type": "actions", "elements": [button(76)]}], "/blocks/0/elements/0/text/text]"),
        ([{"type": "actions", "elements": buttons(26)}], "/blocks/0/elements]"),
        ([{"type": "actions", "elements": [button(1)] * 2}], "/blocks/0/elements]"),
        ([{"type": "actions", "elements": [feedback()]}], "/blocks/0/elements/0/type]"),
        ([{"type": "actions", "elements": [menu(6)]}], "/blocks/0/elements/0/options]"),
        ([{**section(1), "accessory": menu(0, "static_select")}], "/blocks/0/accessory/options]"),
        (
            [{"type": "context_actions", "elements": [feedback(positive_button={})]}],
            "/blocks/0/elements/0]",
        ),
        ([table(101, 1)], "/blocks/0/rows]"),
        ([table(1, 21)], "/blocks/0/rows/0]"),
        ([table(1, 1, "mrkdwn")], "/blocks/0/rows/0/0]"),
        ([table(1, 1), table(1, 1)], "/blocks]"),
        ([{"type": []}], "/blocks/0/type]"),
        ([{"type": "actions", "elements": 7}], "/blocks/0/elements]"),
        ([{**section(1), "accessory": {**menu(2), "options": True}}], "/accessory/options]"),
        ([card(status="done")], "/blocks/0/status]"),
        ([{"type": "plan", "title": "Plan", "tasks": [DIVIDER]}], "/blocks/0/tasks/0]"),
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


def test_blocks_get_the_ids_that_the_app_left_out() -> None:
    """Each block and each element that can be used has one; what the app named stays."""
    given = [{"type": "actions", "elements": [button(1, ""), button(1)]}, section(1)]
    row, text = with_ids(check_blocks(given))
    assert row["block_id"] != text["block_id"]
    assert row["elements"][0]["action_id"]
    assert row["elements"][1]["action_id"] == "a"
    assert "block_id" not in given[0]


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
