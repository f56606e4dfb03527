"""What passed and waits: an admin promotes or discards it, once, by a button or a command."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import Session

from bot import deciding, pausing, releases, run_message
from bot.store.database import reading
from bot.store.schema import Audit, InboxEvent, Rollout, RolloutAction, Run, RunStatus, Status
from tests.bot.slack import hands
from tests.bot.slack.house import House
from tests.bot.slack.test_commands import ADMINS_ONLY, TEAM, reply
from tests.bot.slack.waiting import COUNTS, passed, prove, train
from tests.deploy.sandbox.acts import control

ADMINS = "C0ADMIN"


async def message(house: House, channel: str = ADMINS, number: int = 0) -> dict[str, Any]:
    """A message of the bot's that everybody in the channel sees."""
    await house.quiet()
    said = await house.sandbox.messages(channel)
    shown = [one for one in said if not one.get("ephemeral_to") and not one.get("deleted")]
    return shown[number]


async def press(
    house: House, action_id: str, who: str = "admin", channel: str = ADMINS, number: int = 0
) -> str:
    """Press a button under a run's message, and wait for what only that person sees."""
    ts = (await message(house, channel, number))["ts"]
    before = len(await house.responses(channel))
    pressed = await control(
        house.sandbox, "action", token=f"xoxp-{who}", channel=channel, ts=ts, action_id=action_id
    )
    assert pressed["ok"], pressed
    await house.quiet()
    said = await house.responses(channel)
    assert len(said) == before + 1
    return said[-1]


def live(house: House) -> int:
    """The number of the release that answers."""
    with reading(house.engine) as session:
        return releases.live(session, TEAM).number


def done(house: House) -> list[tuple[str, str]]:
    """Who did what to runs, promotions and discards."""
    told = ("run.released", "run.kept", "release.promote", "release.discard")
    rows = [row for row in house.rows(Audit) if row.action in told]
    return [(row.actor, row.action) for row in rows][1:]  # without v1


async def test_an_admin_promotes(house: House) -> None:
    """It is live at once, written down, and the message says by whom, without its buttons."""
    async with house.bot():
        house.write(passed)
        assert (await message(house))["blocks"][1]["type"] == "actions"
        said = await press(house, "admin:promote")
        assert said == "v2 is live. `/mynah rollback now` goes back."
        after = await message(house)
        told = await house.sandbox.messages(ADMINS)
    assert live(house) == 2
    assert done(house) == [("U0ADMIN", "release.promote"), ("U0ADMIN", "run.released")]
    assert after["text"].startswith(":white_check_mark: Run 1: v2 is live, promoted by <@U0ADMIN>.")
    assert [block["type"] for block in after["blocks"]] == ["plan"]
    assert len(told) == 2, "the message, and what the admin alone sees"
    assert house.failed() == []


async def test_a_run_is_one_message_from_the_command_to_the_decision(house: House) -> None:
    """`/mynah train` answers at once; one message then shows what is learned from and what was
    refused, how long it takes, before and after, the verdict, with the picture below, and who
    promoted it."""
    async with house.bot():
        assert (await reply(house, "train")).startswith("Run 1 is queued. <#C0ADMIN> tells")
        asked = await message(house)
        house.write(under_way)
        running = await message(house)
        house.write(
            lambda session: prove(session, run(session), "mynah-0123456789ab", b"a picture")
        )
        proven = await message(house)
        await press(house, "admin:promote")
        decided = await message(house)
        messages = await house.sandbox.messages(ADMINS)
    assert {one["ts"] for one in (asked, running, proven, decided)} == {asked["ts"]}
    assert steps(asked) == ["pending"] * 6
    assert shown(running, "25 examples to learn from", "3 too short", "about 2 minutes left")
    assert shown(proven, "base 0, before 2, now 4 of 5", "4 of 5 right")
    assert hands.buttons(proven) == ["admin:promote", "admin:discard"]
    assert steps(decided) == ["complete"] * 6
    assert hands.buttons(decided) == []
    below = [one for one in messages if one.get("thread_ts") == asked["ts"] and one.get("files")]
    assert [file["name"] for one in below for file in one["files"]] == ["run-1.png"]
    assert house.failed() == []


def run(session: Session) -> Run:
    """The only run."""
    return session.get_one(Run, 1)


def under_way(session: Session) -> None:
    """The worker trains, and tells."""
    train(session, run(session), "dataset", {**COUNTS, "refused": {"too short": 3}})
    run(session).phase, run(session).progress = "training", 0.5
    run_message.tell(session, run(session), step="1", admin_channel=ADMINS, left_s=120)


def steps(message: dict[str, Any]) -> list[str]:
    """How the steps of a run stand."""
    return [task["status"] for task in message["blocks"][0]["tasks"]]


def shown(message: dict[str, Any], *words: str) -> bool:
    """Whether a message's blocks show all of these words."""
    return all(one in " ".join(hands.texts(message)) for one in words)


async def test_an_admin_discards(house: House) -> None:
    """The candidate leaves the servers, what is live stays, and the message says by whom."""
    async with house.bot():
        house.write(passed)
        assert await press(house, "admin:discard") == "v2 is gone."
        after = await message(house)
    assert live(house) == 1
    with reading(house.engine) as session:
        assert releases.desired_adapters(session) == []
    assert [run.status for run in house.rows(Run)] == [RunStatus.KEPT]
    assert done(house) == [("U0ADMIN", "release.discard"), ("U0ADMIN", "run.kept")]
    assert "v2 was discarded by <@U0ADMIN>." in after["text"]


async def test_only_admins_decide(house: House) -> None:
    """Staff see a friendly refusal that nobody else sees; nothing changes."""
    await house.sandbox.seed(channels=[{"id": ADMINS, "members": ["U0STAFF"]}])
    async with house.bot():
        house.write(partial(passed, channel="C0HELP"))
        for action_id in ("admin:promote", "admin:discard"):
            assert await press(house, action_id, "staff", "C0HELP") == ADMINS_ONLY
        for text in ("promote", "discard v2"):
            assert await reply(house, text, "staff") == ADMINS_ONLY
    assert live(house) == 1
    assert done(house) == []


async def test_it_is_decided_once(house: House) -> None:
    """Handled again after a crash nothing more happens; the second admin hears who was first."""

    def again(session: Session) -> None:
        session.execute(update(InboxEvent).values(status=Status.WAITING, lease_until=None))

    async with house.bot():
        house.write(passed)
        await press(house, "admin:discard")
        house.write(again)
        await house.quiet()
        assert len(done(house)) == 2
        assert len(await house.responses(ADMINS)) == 1
        late = await reply(house, "promote v2")
        assert late.startswith("Nothing changed: v2 was discarded by <@U0ADMIN> on 20")
        assert await reply(house, "promote") == "Nothing changed: nothing waits for a decision."
        assert await reply(house, "promote v9") == "Nothing changed: there is no release v9."
        assert await reply(house, "promote next") == (
            "Name a release as in `/mynah promote v3`, or none: one waits at most."
        )
    assert live(house) == 1


async def test_buttons_of_an_older_candidate_tell_what_happened(house: House) -> None:
    """Whoever presses what is decided already, before the message is changed, reads by whom."""

    def promoted_elsewhere(session: Session) -> None:
        one = deciding.waiting(session, TEAM)
        assert one is not None
        deciding.promote(session, one, by="operator")

    async with house.bot():
        house.write(passed)
        await message(house)
        house.write(promoted_elsewhere)
        for action_id in ("admin:promote", "admin:discard"):
            said = await press(house, action_id)
            assert said.startswith("Nothing changed: v2 was promoted by operator on 20")
    assert live(house) == 2


async def test_what_waits_can_be_promoted_over_a_newer_release(house: House) -> None:
    """Another release went live meanwhile: an admin may still choose what waits."""

    def other(session: Session) -> None:
        from tests.bot.released import promoted

        promoted(session, "mynah-other")

    async with house.bot():
        house.write(passed)
        await message(house)
        house.write(other)
        assert live(house) == 3
        assert (await press(house, "admin:promote")).startswith("v2 is live.")
    assert live(house) == 2


async def test_paused_nothing_is_promoted(house: House) -> None:
    """The reason is named; what waits goes on waiting, and can be discarded or promoted later."""
    async with house.bot():
        house.write(passed)
        await message(house)
        house.write(partial(pausing.pause, team_id=TEAM, by="U0ADMIN"))
        said = await press(house, "admin:promote")
        assert said.startswith("Nothing changed: Mynah is paused by <@U0ADMIN> since 20")
        assert said.endswith("`/mynah resume` goes on.")
        assert (await message(house))["blocks"][1]["type"] == "actions"
        house.write(partial(pausing.resume, team_id=TEAM, by="U0ADMIN"))
        assert (await press(house, "admin:promote")).startswith("v2 is live.")
    assert live(house) == 2


@pytest.mark.parametrize("way", ["button", "command"])
async def test_the_admins_channel_knows(house: House, way: str) -> None:
    """Where the run's message stands elsewhere, a line in the admins' channel tells of it."""
    async with house.bot():
        house.write(partial(passed, channel="C0HELP"))
        if way == "button":
            await press(house, "admin:promote", channel="C0HELP")
        else:
            await reply(house, "promote")
        told = (await message(house))["text"]
        changed = (await message(house, "C0HELP"))["text"]
    assert told == "<@U0ADMIN> promoted v2 of run 1."
    assert "promoted by <@U0ADMIN>" in changed


async def test_status_and_releases_show_what_waits(house: House) -> None:
    """With the words that decide on it."""
    async with house.bot():
        house.write(passed)
        status = await reply(house, "status")
        assert "*Waiting:* v2 of run 1 passed: `/mynah promote v2` or `/mynah discard v2`" in status
        assert "waits for an admin, score 0.80" in await reply(house, "releases")
        assert await reply(house, "discard v2") == "v2 is gone."
        assert "Waiting" not in await reply(house, "status")
    assert house.rows(Rollout)[-1].action is RolloutAction.DISCARD


async def test_a_deleted_message_does_not_lose_the_verdict(house: House) -> None:
    """Somebody deleted the run's message: how it ended is said anew."""
    async with house.bot():
        house.write(passed)
        first = await message(house)
        await house.client("admin").chat_delete(channel=ADMINS, ts=first["ts"])
        await reply(house, "promote")
        anew = await message(house)
    assert anew["ts"] != first["ts"]
    assert "promoted by <@U0ADMIN>" in anew["text"]
    assert house.failed() == []
