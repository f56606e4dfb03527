"""Requests as they come: whatever is in one, it is a question or an error in OpenAI's shape."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.api import rating, reading, telling
from bot.api.errors import ApiError

T = TypeVar("T")
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "text", "role", "content", "x"]), inner)
    ),
    max_leaves=6,
)
ROLES = st.sampled_from(["system", "developer", "user", "assistant", "tool"])
PARTS = st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=8)}))
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": ROLES | ANYTHING, "content": st.text(max_size=8) | PARTS | ANYTHING}
    ),
    max_size=4,
)
NAMES = ["n", "stream", "stream_options", "user", "metadata", "tool_choice", "temperature", "id",
         "rating", "reason", "comment", "response_format"]  # fmt: skip
BODIES = st.fixed_dictionaries(
    {"model": st.just("mynah") | ANYTHING, "messages": MESSAGES | ANYTHING},
    optional=dict.fromkeys(NAMES, ANYTHING),
)


@given(BODIES)
def test_a_body_is_read_or_refused(body: dict[str, Any]) -> None:
    """Nothing else comes of it, and what is read can be stored and told."""
    sent = json.dumps(body).encode()
    asked = read_or_refused(reading.asked, sent)
    if asked is not None:
        assert asked.question.strip()
        assert "\0" not in asked.question + asked.user
        (asked.question + asked.user + asked.thread).encode()
        json.dumps(asked.ignored)
    read_or_refused(rating.rated, sent)


def read_or_refused(read: Callable[[bytes], T], sent: bytes) -> T | None:
    """What a body says; None where it is refused as OpenAI's client expects it."""
    try:
        return read(sent)
    except ApiError as error:
        found = error
    assert found.status in (400, 404)
    json.dumps(found.body())
    return None


@pytest.mark.parametrize(
    ("name", "number"),
    [("chatcmpl-12", 12), ("12", 12), ("chatcmpl-", 0), ("chatcmpl-1e3", 0), ("-1", 0),
     ("chatcmpl-" + "9" * 30, 0), ("٣", 0)],
)  # fmt: skip
def test_an_identifier_names_a_question(name: str, number: int) -> None:
    """Anything else names none, and no database is asked for what it cannot hold."""
    assert telling.number(name) == number


def test_the_same_conversation_is_the_same_thread() -> None:
    """By its name, or else by how it begins; of another person it is another one."""

    def thread(*texts: str, **more: Any) -> str:
        messages = [{"role": "user", "content": text} for text in texts]
        body = {"model": "mynah", "messages": messages} | more
        return reading.asked(json.dumps(body).encode()).thread

    named = {"metadata": {"conversation": "a"}}
    assert thread("Hi") == thread("Hi", "And then?") != thread("Hello")
    assert thread("Hi", **named) == thread("Hello", **named) != thread("Hi")
    assert thread("Hi", user="ann") != thread("Hi", user="bob")
    assert thread("a") != thread("x", **named)
