"""A storm in the local Slack: events come two or three times, late and in another order."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.deploy.sandbox.bolt import Listener
from tests.deploy.sandbox.test_request_url import endpoint
from tests.sandbox_server import Sandbox, connected, until

MESSAGES = 20


async def talk(sandbox: Sandbox) -> list[str]:
    """Somebody says much; the ts of each message."""
    asker = sandbox.client("xoxp-asker")
    said = [await asker.chat_postMessage(channel="C0HELP", text=str(n)) for n in range(MESSAGES)]
    return [str(one["ts"]) for one in said]


async def is_over(sandbox: Sandbox) -> bool:
    """Whether nothing is on its way any more."""
    return bool((await sandbox.state(parts="counts"))["counts"]["carrying"] == 0)


async def test_every_event_comes_again_and_in_another_order(sandbox: Sandbox) -> None:
    """With a share of 1 each event comes two or three times; all of them are acknowledged."""
    bot = Listener(sandbox)
    await sandbox.faults(storm={"duplicate": 1, "reorder_s": 0.5, "seed": 3})
    async with connected(sandbox, bot.app):
        said = await talk(sandbox)
        await until(lambda: is_over(sandbox))
        counts = (await sandbox.state(parts="counts"))["counts"]
        await until(lambda: len(bot.heard) == counts["deliveries"])
    times = Counter(body["event_id"] for body in bot.heard)
    assert len(times) == MESSAGES
    assert set(times.values()) == {2, 3}
    first_heard = list(dict.fromkeys(body["event"]["ts"] for body in bot.heard))
    assert sorted(first_heard) == said
    assert first_heard != said
    assert (counts["events"], counts["acked"], counts["waiting"]) == (MESSAGES, MESSAGES, 0)


async def test_a_request_url_has_the_same_storm(sandbox: Sandbox) -> None:
    """By HTTP, too; what comes again says so in its headers."""
    await sandbox.faults(storm={"duplicate": 1, "reorder_s": 0.2, "seed": 3})
    async with endpoint(sandbox) as heard:
        await talk(sandbox)
        await until(lambda: is_over(sandbox))
        counts = (await sandbox.state(parts="counts"))["counts"]
    assert counts["acked"] == MESSAGES
    assert 2 * MESSAGES <= len(heard.seen) == counts["deliveries"] <= 3 * MESSAGES
    assert heard.retries().count((None, None)) == MESSAGES


async def test_the_same_seed_is_the_same_storm(sandbox: Sandbox) -> None:
    """A share of the events is struck, always the same ones; the calm after it is calm."""
    storm = {"duplicate": 0.3, "reorder_s": 0.0, "seed": 7}
    bot = Listener(sandbox)
    rounds = []
    async with connected(sandbox, bot.app):
        for order in ({"storm": storm}, {"storm": storm}, {"clear": True}):
            before = (await sandbox.state(parts="counts"))["counts"]["deliveries"]
            await sandbox.faults(**order)
            await talk(sandbox)
            await until(lambda: is_over(sandbox))
            rounds.append((await sandbox.state(parts="counts"))["counts"]["deliveries"] - before)
    assert rounds[0] == rounds[1] > MESSAGES
    assert rounds[2] == MESSAGES


@pytest.mark.parametrize("wrong", [{"duplicate": 30, "reorder_s": 1}, {"duplicate": 0.3}])
async def test_a_storm_is_ordered_whole(sandbox: Sandbox, wrong: dict[str, float]) -> None:
    """A share is no percentage, and nothing is assumed."""
    assert (await sandbox.faults(storm=wrong))["error"] == "bad_request"
