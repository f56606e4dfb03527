"""A canary as people live it: they ask, react, and the worker decides; admins see how it stands."""

from __future__ import annotations

from pathlib import Path

from sqlmodel import Session

from bot import canary, deciding, pausing, releases
from bot.canary import Decision
from bot.store.database import reading
from bot.store.schema import Rollout, ThreadRelease, now
from tests.bot.slack.house import House
from tests.bot.slack.test_commands import ADMINS_ONLY, TEAM, promoted, reply
from tests.bot.slack.test_home import home, words
from tests.bot.slack.test_promoting import live, message
from tests.bot.slack.waiting import passed
from tests.bot.threads import Threads
from tests.training.stage import worker_settings
from training.canaries import Canaries

CANARY = "mynah-0123456789ab"
PEOPLE = ("staff", "staff2", "admin")


def on_trial(session: Session) -> None:
    """v3 passed, and answers half of new threads beside v2."""
    promoted(session, "mynah-live")
    passed(session, CANARY)
    deciding.promote(session, deciding.find(session, TEAM, 3), by="gate", share=0.5)


def last(house: House) -> Rollout:
    """What last happened to the releases."""
    return house.rows(Rollout)[-1]


async def test_what_people_do_rolls_a_canary_back(house: House, tmp_path: Path) -> None:
    """Real questions, each thread with one release; staff reject what the canary says and approve
    the rest, as they did before; the worker rolls it back, and the next thread is v2's."""
    house.vllm.adapters.update({"mynah-live": "/nowhere", CANARY: "/nowhere"})
    canaries = Canaries(worker_settings(tmp_path, house.vllm.url, canary_error=0.2), house.engine)
    async with house.bot(MYNAH_STAFF="S0STAFF,U0ADMIN", MYNAH_MEMORY="off"):
        house.write(on_trial)
        house.write(lambda session: Threads(session).together((2, 30, 0), (3, 0, 30)))
        before = counts(house)
        for number in range(6):
            said = await house.asked(f"What is item {number} of list {number * 7}?")
            bad = dealt(house, said["thread_ts"]) == 3
            mark = "x" if bad else "white_check_mark"
            await house.react(PEOPLE[number % len(PEOPLE)], mark, said["ts"])
        await house.quiet()
        after_all = counts(house)
        status = await reply(house, "status")
        board = words(await home(house, "admin"))
        decided = canaries.decide(TEAM)
        told = await message(house, number=-1)
        after = await house.asked("Once more?")
    assert sum(after_all) == sum(before) + 6
    assert decided is Decision.ROLL_BACK, status
    assert "*Canary:* v3 (mynah-0123456789ab), 50% of new threads since 20" in status
    assert ": 0 of " in status
    assert "threads went well, of v2's in the same time" in board
    assert "v3 was worse and is rolled back: v2 answers everybody." in told["text"]
    assert dealt(house, after["thread_ts"]) == live(house) == 2
    assert house.failed() == []


def counts(house: House) -> tuple[int, int]:
    """How many threads of v2 went well, and how many of v3's badly; no other was rated."""
    with reading(house.engine) as session:
        found = canary.trial(session, TEAM)
    assert found is not None
    live, trial = found.count(found.live.release_id), found.count(found.canary.release_id)
    assert (live.well, trial.well) == (live.of, 0)
    return live.of, trial.of


def dealt(house: House, thread_ts: str) -> int:
    """The number of the release that a thread was dealt to."""
    row = next(one for one in house.rows(ThreadRelease) if one.thread_ts == thread_ts)
    with reading(house.engine) as session:
        return next(
            view.number
            for view in releases.history(session, TEAM)
            if Threads(session).release(view.number).id == row.release_id
        )


async def test_an_admin_starts_and_ends_a_canary(house: House) -> None:
    """What waits, with a share; another share; all of it; each is a row with the admin's name."""
    async with house.bot():
        house.write(lambda session: promoted(session, "mynah-live"))
        house.write(passed)
        assert await reply(house, "promote v3 25%") == (
            "v3 answers 25% of new threads, v2 the others, until what people do there decides. "
            "`/mynah rollback now` ends that."
        )
        assert (last(house).share, last(house).by, live(house)) == (0.25, "U0ADMIN", 2)
        assert "v3 answers 25% of new threads" in (await message(house))["text"]
        assert (await message(house, number=-1))["text"] == (
            "<@U0ADMIN> lets v3 answer 25% of new threads, v2 the others."
        )
        again = await reply(house, "promote 25%")
        assert again == "Nothing changed: v3 answers 25% of new threads already."
        assert (await reply(house, "promote v3 0.5")).startswith("v3 answers 50% of new threads")
        assert "v3 (mynah-0123456789ab): canary, 50% of new threads" in (
            await reply(house, "releases")
        )
        assert await reply(house, "promote") == "v3 is live. `/mynah rollback now` goes back."
        assert (await message(house))["text"].startswith(":white_check_mark: Run 2: v3 is live")
    assert (last(house).share, last(house).by, live(house)) == (1, "U0ADMIN", 3)
    assert house.failed() == []


async def test_a_release_that_answered_before_can_be_tried_again(house: House) -> None:
    """By its name, for some or for all; what never passed or was discarded cannot."""
    async with house.bot():
        house.write(lambda session: promoted(session, "mynah-live"))
        assert (await reply(house, "promote v1 10%")).startswith("v1 answers 10% of new threads")
        assert await reply(house, "rollback now") == (
            "Rolled back from v1 to v2. From now on v2 answers.\n"
            "`/mynah rollback VERSION` goes to another one: v1 (the base model)."
        )
        assert (await reply(house, "promote v1")).startswith("v1 is live.")
        assert (await message(house, number=-1))["text"] == "<@U0ADMIN> promoted v1."
        assert (await reply(house, "promote v1")).startswith("Nothing changed: v1 was promoted by")
        for share in ("0%", "101%"):
            assert await reply(house, f"promote v2 {share}") == (
                "A share is above 0% and at most 100%: `/mynah promote v3 25%`."
            )
    assert live(house) == 1


async def test_a_canary_is_for_admins_and_not_for_pauses(house: House) -> None:
    """Others are refused; paused, one line says so; what did not pass is named."""
    async with house.bot():
        house.write(lambda session: promoted(session, "mynah-live"))
        for who in ("asker", "staff"):
            assert await reply(house, "promote v1 50%", who) == ADMINS_ONLY
        house.write(lambda session: pausing.pause(session, TEAM, by="U0ADMIN"))
        assert (await reply(house, "promote v1 50%")).startswith("Nothing changed: Mynah is paused")
    assert live(house) == 2
    assert last(house).at < now()
