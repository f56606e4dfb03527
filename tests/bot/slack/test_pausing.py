"""Pausing: nothing trains and nothing goes live, people are still answered, and all is written."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import update
from sqlmodel import Session, select

from bot import pausing, releases
from bot.store.runs import claim_run, request_run
from bot.store.schema import Audit, InboxEvent, Run, RunTrigger, Status, Team
from tests.bot.slack.house import House
from tests.bot.slack.test_commands import ADMINS_ONLY, TEAM, promoted, reply

PAUSED = (
    "Paused: nothing is trained and nothing goes live until `/mynah resume`. Questions are "
    "answered, and `/mynah rollback` works."
)
RESUMED = "Resumed. If a time to train was missed, that is caught up now, once."
SINCE = r"paused by <@U0ADMIN> since 20\d\d-\d\d-\d\d \d\d:\d\d UTC"


def actions(house: House) -> list[tuple[str, str]]:
    """Who paused and resumed, in order."""
    rows = [row for row in house.rows(Audit) if row.action in ("team.pause", "team.resume")]
    return [(row.actor, row.action) for row in sorted(rows, key=lambda row: row.id or 0)]


async def test_pause_and_resume(house: House) -> None:
    """Each is done once, written down, and told to the admins; done again it says that it is so."""
    async with house.bot():
        assert await reply(house, "resume") == "Mynah is not paused."
        assert await reply(house, "pause") == PAUSED
        again = await reply(house, "pause")
        assert re.fullmatch(rf"Mynah is {SINCE} already\.", again)
        assert re.match(rf"Mynah is \*{SINCE}\*\.", await reply(house, "status"))
        assert await reply(house, "resume") == RESUMED
        assert await reply(house, "resume") == "Mynah is not paused."
        assert (await reply(house, "status")).startswith("*Live:*")
        await house.quiet()
        told = [one["text"] for one in await house.sandbox.messages("C0ADMIN")]
    assert actions(house) == [("U0ADMIN", "team.pause"), ("U0ADMIN", "team.resume")]
    assert told == [
        "<@U0ADMIN> paused Mynah: nothing is trained or goes live until `/mynah resume`.",
        "<@U0ADMIN> resumed Mynah.",
    ]


async def test_only_admins_pause(house: House) -> None:
    """Staff and askers are refused, and nothing changes."""
    async with house.bot():
        for who in ("asker", "staff", "guest"):
            for text in ("pause", "resume"):
                assert await reply(house, text, who) == ADMINS_ONLY
    assert [row.paused for row in house.rows(Team)] == [False]
    assert actions(house) == []


async def test_paused_trains_nothing_but_answers_and_goes_back(house: House) -> None:
    """`train` is refused with the reason; a question is answered; rolling back is always there."""
    async with house.bot():
        house.write(promoted)
        await reply(house, "pause")
        refused = await reply(house, "train")
        assert re.fullmatch(
            rf"Mynah is {SINCE}, so nothing was queued. `/mynah resume` goes on\.", refused
        )
        assert len(house.rows(Run)) == 1
        assert (await reply(house, "rollback now")).startswith("Rolled back from v2 to v1.")
        assert (await house.asked("Who are you?"))["text"] == "base heard: Who are you?"
        await reply(house, "resume")
        assert (await reply(house, "train")).startswith("Run 2 is queued. <#C0ADMIN> tells")


async def test_pause_says_what_becomes_of_a_run(house: House) -> None:
    """A run that waits goes on waiting; one that runs goes on, but its adapter does not go live."""

    def queue(session: Session) -> None:
        request_run(session, team_id=TEAM, trigger=RunTrigger.SCHEDULE, recipe={})

    def claim(session: Session) -> None:
        assert claim_run(session, "worker", 60) is not None

    async with house.bot():
        house.write(queue)
        assert await reply(house, "pause") == f"{PAUSED} Run 1 waits until then."
        with pytest.raises(AssertionError):
            house.write(claim)
        await reply(house, "resume")
        house.write(claim)
        assert await reply(house, "pause") == (
            f"{PAUSED} Run 1 goes on to its evaluation, but does not go live."
        )


async def test_pause_handled_twice_pauses_once(house: House) -> None:
    """A bot that died after its write handles the row again: a resume since then stands."""

    def resumed_and_again(session: Session) -> None:
        pausing.resume(session, TEAM, by="U0ADMIN")
        session.execute(update(InboxEvent).values(status=Status.WAITING, lease_until=None))

    async with house.bot():
        assert await reply(house, "pause") == PAUSED
        await house.quiet()
        house.write(resumed_and_again)
        await house.quiet()
        assert await house.responses() == [PAUSED]
        assert len(await house.sandbox.messages("C0ADMIN")) == 1
    assert [row.attempts for row in house.rows(InboxEvent)] == [2]
    assert actions(house) == [("U0ADMIN", "team.pause"), ("U0ADMIN", "team.resume")]


async def test_paused_by_hand_is_told(house: House) -> None:
    """A row that somebody set in the database is a pause too, and `/mynah resume` ends it."""

    def by_hand(session: Session) -> None:
        session.exec(select(Team)).one().paused = True

    async with house.bot():
        house.write(by_hand)
        assert (await reply(house, "status")).startswith("Mynah is *paused by hand*.")
        with pytest.raises(releases.Paused):
            house.write(promoted)
        assert await reply(house, "resume") == RESUMED
