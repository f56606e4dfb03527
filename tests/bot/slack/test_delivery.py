"""Deliveries: what is stored, under which id, in which lane."""

from __future__ import annotations

from typing import Any

import pytest

from bot.slack import delivery
from bot.slack.workspace import Identity

ME = Identity("T1", "U0BOT", "B0BOT")
COMMAND = {"command": "/mynah", "trigger_id": "1.2", "user_id": "U1", "text": "whys"}
Event = dict[str, Any]


def body(event: Event) -> Event:
    """An event as Slack wraps it."""
    return {"type": "event_callback", "event_id": "Ev1", "token": "secret", "event": event}


def message(**more: Any) -> Event:
    """A message of a person in a channel."""
    plain = {"type": "message", "channel": "C1", "user": "U1", "ts": "5.0", "text": "<@U0BOT> hi"}
    return {**plain, **more}


def changed(new: Event, old: Event) -> Event:
    """A `message_changed` event."""
    return {
        "type": "message", "subtype": "message_changed", "channel": "C1", "ts": "9.0",
        "message": new, "previous_message": old,
    }  # fmt: skip


def reaction(name: str, **more: Any) -> Event:
    """A `reaction_added` event."""
    item = {"type": "message", "channel": "C1", "ts": "5.0"}
    return {"type": "reaction_added", "user": "U1", "reaction": name, "item": item, **more}


@pytest.mark.parametrize(
    ("event", "lane"),
    [
        (message(), "C1:5.0"),
        (message(type="app_mention"), "C1:5.0"),
        (message(thread_ts="3.0"), "C1:3.0"),
        (message(text="<@U0BOT|mynah> hi"), "C1:5.0"),
        (message(channel="D1", channel_type="im", text="hi"), "D1:5.0"),
        (message(subtype="file_share"), "C1:5.0"),
        (changed(message(text="b", thread_ts="3.0"), message(text="a")), "C1:3.0"),
        (changed(message(subtype="tombstone"), message()), "C1:5.0"),
        (
            {"type": "message", "subtype": "message_deleted", "channel": "C1", "ts": "9.0",
             "deleted_ts": "5.0", "previous_message": message(thread_ts="3.0")},
            "C1:3.0",
        ),
        (
            {"type": "message", "subtype": "message_deleted", "channel": "C1", "ts": "9.0",
             "deleted_ts": "5.0"},
            "C1:5.0",
        ),
        (reaction("memo"), "C1:5.0"),
        (message(thread_ts="3.0", text="and then?"), "C1:3.0"),
        ({"type": "app_home_opened", "user": "U1", "channel": "D1", "tab": "home"}, "view:U1"),
    ],
)  # fmt: skip
def test_what_concerns_mynah_is_stored(event: Event, lane: str) -> None:
    """Questions, edits, deletions and ratings are stored, in the lane of their thread."""
    found = delivery.read(body(event), ME)
    assert found is not None
    assert (found.event_id, found.kind, found.lane) == ("Ev1", "event", lane)
    assert "token" not in found.payload


@pytest.mark.parametrize(
    ("event", "thread"),
    [
        (message(thread_ts="3.0", text="and then?"), ("C1", "3.0")),
        (message(thread_ts="3.0", text="<@U0OTHER> hi"), ("C1", "3.0")),
        (message(thread_ts="3.0"), None),
        (message(thread_ts="3.0", type="app_mention"), None),
        (message(thread_ts="3.0", channel="D1", channel_type="im", text="hi"), None),
        (changed(message(text="b", thread_ts="3.0"), message(text="a")), None),
        (reaction("memo"), None),
    ],
)
def test_replies_are_kept_for_the_sake_of_their_thread(
    event: Event, thread: tuple[str, str] | None
) -> None:
    """A reply without a mention matters only where Mynah takes part; all else does anyway."""
    found = delivery.read(body(event), ME)
    assert found is not None
    assert found.thread == thread


@pytest.mark.parametrize(
    "event",
    [
        message(text="lunch?"),
        message(text="lunch?", thread_ts="5.0"),
        message(text="lunch?", thread_ts="3.0", bot_id="B9"),
        message(user="U0BOT"),
        message(bot_id="B9"),
        message(user="USLACKBOT"),
        message(subtype="channel_join"),
        message(subtype="bot_message"),
        changed(message(), message()),
        changed(message(user="U0BOT", text="b"), message(user="U0BOT", text="a")),
        reaction("tada"),
        reaction("memo", user="U0BOT"),
        reaction("memo", item={"type": "file", "file": "F1"}),
        {"type": "member_joined_channel", "user": "U1", "channel": "C1"},
    ],
)
def test_what_does_not_is_not(event: Event) -> None:
    """Other people's talk, bots, previews of links and foreign events are not kept."""
    assert delivery.read(body(event), ME) is None


def test_commands_and_interactions_have_ids() -> None:
    """A command is known by its trigger; an interaction without one by its content."""
    command = delivery.read(COMMAND, ME)
    assert command is not None
    assert (command.event_id, command.kind, command.lane) == ("1.2", "command", "commands")
    why = delivery.read({**COMMAND, "text": " Why https://x"}, ME)
    assert why is not None
    assert why.lane == "why:U1"  # it may wait for Slack, and no roll back waits for it
    sent = {"type": "view_submission", "view": {"id": "V1"}, "user": {"id": "U1"}}
    closed = delivery.read(sent, ME)
    again = delivery.read(dict(reversed(sent.items())), ME)
    assert closed is not None
    assert again is not None
    assert closed.event_id == again.event_id
    assert delivery.read({"type": "something_new"}, ME) is None


@pytest.mark.parametrize(
    ("body", "lane"),
    [
        ({"actions": [{"action_id": "rate"}]}, "C1:1.0"),  # in turn with reactions on that thread
        ({"actions": [{"action_id": "open:correct"}]}, "open:9.9"),  # its trigger cannot wait
        ({"actions": [{"action_id": "admin:pause"}]}, "commands"),
        ({"type": "message_action"}, "shortcut:9.9"),
        (
            {"type": "view_submission", "view": {"private_metadata": '{"lane": "C1:1.0"}'}},
            "C1:1.0",
        ),
        ({"type": "view_submission", "view": {"private_metadata": ""}}, "view:U1"),
    ],
)
def test_interactions_take_their_turn(body: dict[str, Any], lane: str) -> None:
    """What is about a thread comes in turn with it; what opens a modal comes at once."""
    place = {"message_ts": "1.5", "thread_ts": "1.0"} if "actions" in body else {}
    whole = {
        "type": "block_actions", "trigger_id": "9.9", "user": {"id": "U1"},
        "channel": {"id": "C1"}, "container": place, **body,
    }  # fmt: skip
    found = delivery.read(whole, ME)
    assert found is not None
    assert found.lane == lane
