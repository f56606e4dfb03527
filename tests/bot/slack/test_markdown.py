"""Markdown: what is shown stays within limits, keeps its code and tables, and notifies nobody."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack.markdown import PART_CHARS, safe, split

LINES = st.lists(
    st.sampled_from(
        ["", "word " * 9, "x" * 70, "```", "```python", "~~~", "| a | b |", "|---|---|"]
    )
)


@given(LINES, st.integers(min_value=24, max_value=90))
def test_no_part_is_too_long_and_no_word_is_lost(lines: list[str], limit: int) -> None:
    """Whatever the text, parts fit, and every word that is no fence or table head is there once."""
    text = "\n".join(lines)
    parts = split(text, limit)
    assert all(len(part) <= limit for part in parts)
    for word in ("word", "x"):
        assert sum(part.count(word) for part in parts) == text.count(word)


@given(LINES)
def test_short_text_is_one_part(lines: list[str]) -> None:
    """What fits is not cut."""
    text = "\n".join(lines)
    assert len(split(text, len(text) + 1)) == 1


def test_code_goes_on_as_code() -> None:
    """Each part of a long code block opens and closes it, in its language."""
    lines = [f"line {number}" for number in range(60)]
    text = "Do this:\n\n```python\n" + "\n".join(lines) + "\n```\n\nDone."
    parts = split(text, 200)
    assert parts[0].startswith("Do this:\n\n```python\n") or parts[0] == "Do this:"
    code = [part for part in parts if "line" in part]
    assert len(code) > 2
    for part in code:
        assert part.count("```") == 2
        assert "```python\n" in part
    assert re.findall(r"line \d+", "\n".join(parts)) == lines


def test_code_that_was_never_closed_is_closed() -> None:
    """A model that ran out of tokens inside a code block leaves no part open."""
    parts = split("```\n" + "\n".join(["echo hello"] * 40), 100)
    assert all(part.startswith("```\n") and part.endswith("\n```") for part in parts)


def test_table_begins_again_with_its_head() -> None:
    """Each part of a long table is a table."""
    rows = [f"| host{number} | 10.0.0.{number} |" for number in range(40)]
    parts = split("\n".join(["| host | address |", "| --- | --- |", *rows]), 200)
    assert len(parts) > 3
    assert all(part.startswith("| host | address |\n| --- | --- |\n| host") for part in parts)
    assert [row for part in parts for row in part.split("\n")[2:]] == rows


def test_blank_lines_within_code_do_not_cut_it() -> None:
    """A code block with blank lines is one block."""
    code = "```\na\n\n\nb\n```"
    assert split(f"{'x ' * 20}\n\n{code}", 45)[1] == code


@pytest.mark.parametrize("call", ["<!channel>", "<!here|here>", "<@U0STAFF>", "<#C0HELP|help>",
                                  "<!subteam^S1>", "<!date^1^x|y>"])  # fmt: skip
def test_nobody_is_notified(call: str) -> None:
    """What an asker got the model to say cannot mention a person, a group or a channel."""
    assert call not in safe(f"he said {call} to me")
    assert safe(f"he said {call}").replace("\u200b", "") == f"he said {call}"


@pytest.mark.parametrize("text", ["<!DOCTYPE html>", "a < b", "#include <stdio.h>", "<!-- x -->"])
def test_code_stays_as_it_is(text: str) -> None:
    """Only what Slack would act on is changed."""
    assert safe(text) == text


def test_a_part_can_be_changed_later() -> None:
    """The limit leaves room for what Slack takes in an update."""
    assert PART_CHARS < 4000
