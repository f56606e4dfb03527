"""What somebody has read, and what is still unread and calls for them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from slack_sdk.errors import SlackApiError

from deploy.sandbox.people import Channel
from deploy.sandbox.unread import begin, unread
from deploy.sandbox.world import Content, World
from tests.sandbox_server import Sandbox

ASKER = "U0ASKER"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A world where nothing is said yet."""
    fresh = World.fresh()
    yield fresh
    await fresh.courier.close()


def says(world: World, who: str, text: str, channel: Channel, **more: Any) -> str:
    """Somebody says something; gives its ts."""
    return world.post(world.workspace.users[who], channel, Content(text), **more).ts


async def test_others_words_after_the_mark_are_unread(world: World) -> None:
    """Not one's own, not replies, not what is gone or somebody alone sees; broadcasts are."""
    here = world.workspace.channels["C0HELP"]
    there = world.workspace.messages[here.id]
    first = says(world, "U0STAFF", "before", here)
    world.mark(ASKER, here, first)
    assert unread(world, ASKER, here) == (0, 0)
    root = says(world, "U0STAFF", "root", here)
    assert unread(world, ASKER, here) == (1, 0)
    says(world, ASKER, "own", here)
    says(world, "U0STAFF", "reply", here, root=there[root])
    says(world, "U0MYNAH", "for you", here, ephemeral_to=ASKER)
    says(world, "U0MYNAH", "for staff", here, ephemeral_to="U0STAFF")
    gone = says(world, "U0STAFF", "gone", here)
    world.delete(here, there[gone])
    assert unread(world, ASKER, here) == (1, 0)
    says(world, "U0STAFF", "loud", here, root=there[root], broadcast=True)
    assert unread(world, ASKER, here) == (2, 0)
    world.delete(here, there[root])
    assert unread(world, ASKER, here) == (1, 0)
    assert unread(world, "U0ASKER2", here) == (0, 0)


async def test_what_comes_after_somebody_came_is_unread(world: World) -> None:
    """Also where they never looked, and where nothing was said yet; what they had read stays so."""
    here, empty = world.workspace.channels["C0HELP"], world.workspace.channels["C0OPS"]
    says(world, "U0STAFF", "before", here)
    begin(world, ASKER)
    assert [unread(world, ASKER, one)[0] for one in (here, empty)] == [0, 0]
    for channel in (here, empty):
        says(world, "U0STAFF", "after", channel)
    begin(world, ASKER)
    assert [unread(world, ASKER, one)[0] for one in (here, empty)] == [1, 1]


@pytest.mark.parametrize(
    ("text", "user", "calls"),
    [
        ("<@U0ASKER> hi", ASKER, 1),
        ("<@U0ASKER|asker> hi", ASKER, 1),
        ("<@U0ASKER2> hi", ASKER, 0),
        ("<!here> hi", ASKER, 1),
        ("<!channel> hi", ASKER, 1),
        ("<!subteam^S0STAFF> hi", "U0STAFF2", 1),
        ("<!subteam^S0STAFF> hi", ASKER, 0),
        ("asker, hi", ASKER, 0),
    ],
)
async def test_a_mention_calls(world: World, text: str, user: str, calls: int) -> None:
    """Of the person, of a group of theirs, or of everybody."""
    here = world.workspace.channels["C0HELP"]
    world.mark(user, here, says(world, "U0ADMIN", "before", here))
    says(world, "U0ADMIN", text, here)
    assert unread(world, user, here) == (1, calls)


async def test_direct_messages_call_always(world: World) -> None:
    """Also before anything was marked; who is not in a conversation has nothing to read."""
    direct, _ = world.direct(ASKER, "U0MYNAH")
    first = says(world, "U0MYNAH", "one", direct)
    says(world, "U0MYNAH", "two", direct)
    assert unread(world, ASKER, direct) == (2, 2)
    world.mark(ASKER, direct, first)
    assert unread(world, ASKER, direct) == (1, 1)
    assert unread(world, "U0STAFF", direct) == (0, 0)


async def test_a_mark_only_moves_forward(world: World) -> None:
    """And it is told once, to whom it concerns."""
    here = world.workspace.channels["C0HELP"]
    with world.feed.watch() as watcher:
        world.mark(ASKER, here, "1700000000.000200")
        assert watcher.take() == [("T0MYNAH", "read", ASKER, "C0HELP")]
        for earlier in ("1700000000.000100", "1700000000.000200"):
            world.mark(ASKER, here, earlier)
        assert watcher.take() == []
    assert world.reads == {(ASKER, "C0HELP"): "1700000000.000200"}


async def test_it_is_fast_in_a_long_channel(world: World) -> None:
    """It looks at what came after the mark alone: five thousand messages before cost nothing."""
    here = world.workspace.channels["C0HELP"]
    for number in range(5000):
        last = says(world, "U0STAFF", f"message {number}", here)
    world.mark(ASKER, here, last)
    says(world, "U0STAFF", "new", here)
    start = time.process_time()
    for _ in range(100):
        assert unread(world, ASKER, here) == (1, 0)
    assert time.process_time() - start < 0.005


@pytest.mark.parametrize(
    ("token", "channel", "ts", "error"),
    [
        ("xoxp-asker", "C0ADMIN", "1700000000.000100", "channel_not_found"),
        ("xoxp-guest", "C0OPS", "1700000000.000100", "not_in_channel"),
        ("xoxp-asker", "C0HELP", "yesterday", "invalid_timestamp"),
        ("xoxb-mynah", "C0HELP", "1700000000.000100", "not_allowed_token_type"),
        ("xoxp-asker", "C0HELP", "1700000000.000100", None),
    ],
)
async def test_marking_with_slacks_errors(
    sandbox: Sandbox, token: str, channel: str, ts: str, error: str | None
) -> None:
    """`conversations.mark` is for people, in channels that they are in."""
    call = sandbox.client(token).conversations_mark(channel=channel, ts=ts)
    if error is None:
        assert (await call)["ok"]
        return
    with pytest.raises(SlackApiError) as refused:
        await call
    assert refused.value.response["error"] == error
