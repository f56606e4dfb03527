"""Going back: at once by name or by `now`; without either, an admin chooses and confirms."""

from __future__ import annotations

from functools import partial
from typing import Any

from sqlalchemy import update
from sqlmodel import Session

from bot import releases
from bot.slack import versions
from bot.store.database import reading
from bot.store.schema import Audit, InboxEvent, Rollout, Status
from deploy.sandbox.blocks import check_blocks
from tests.bot.released import promoted
from tests.bot.slack.house import HELP, House
from tests.bot.slack.test_commands import ADMINS_ONLY, TEAM, reply
from tests.deploy.sandbox.acts import control


def three(session: Session) -> None:
    """v2 to v4 went live one after the other."""
    for score, name in ((0.5, "mynah-a"), (0.75, "mynah-b"), (0.25, "mynah-c")):
        promoted(session, name, score=score)


async def shown(house: House) -> dict[str, Any]:
    """What only an admin sees, as it stands now."""
    await house.quiet()
    said = await house.sandbox.messages(HELP)
    return [one for one in said if one.get("ephemeral_to")][-1]


async def press(house: House, value: str, ts: str, who: str = "admin") -> dict[str, Any]:
    """Press and confirm the button of a version."""
    pressed = await control(
        house.sandbox, "action", token=f"xoxp-{who}", channel=HELP, ts=ts,
        action_id=versions.ROLL_BACK_TO, value=value,
    )  # fmt: skip
    await house.quiet()
    return pressed


def live(house: House) -> int:
    """The number of the release that answers."""
    with reading(house.engine) as session:
        return releases.live(session, TEAM).number


def buttons(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The buttons of the versions, in order."""
    return [block["accessory"] for block in message["blocks"] if block.get("accessory")]


async def test_without_a_name_an_admin_chooses(house: House) -> None:
    """Each version with its score; the release before stands first; each asks before it acts, and
    until then nothing changes."""
    async with house.bot():
        house.write(three)
        said = await reply(house, "rollback")
        assert said == (
            "v4 answers now. Where to? `/mynah rollback now` goes to v3 at once. "
            "`/mynah rollback VERSION` goes to any."
        )
        message = await shown(house)
    check_blocks(message["blocks"])
    rows = [block["text"]["text"] for block in message["blocks"][1:]]
    assert rows == ["*v3 (score 0.75)* – the release before", "*v2 (score 0.50)*",
                    "*v1 (the base model)*"]  # fmt: skip
    assert [one["value"] for one in buttons(message)] == ["4:3", "4:2", "4:1"]
    assert [one.get("style") for one in buttons(message)] == ["primary", None, None]
    confirm = buttons(message)[1]["confirm"]
    assert confirm["title"]["text"] == "From v4 to v2?"
    assert confirm["text"]["text"] == (
        "v2 (score 0.50) answers from the next question on, for everybody."
    )
    assert live(house) == 4


async def test_the_chosen_version_answers(house: House) -> None:
    """It takes effect once, is written down and told; the choice becomes its outcome. Handled
    again after a crash, it does not undo what somebody did since."""

    def again(session: Session) -> None:
        releases.roll_back(session, TEAM, by="U0OTHER", number=4)
        session.execute(update(InboxEvent).values(status=Status.WAITING, lease_until=None))

    async with house.bot():
        house.write(three)
        await reply(house, "rollback")
        ts = (await shown(house))["ts"]
        assert (await press(house, "4:2", ts))["ok"]
        message = await shown(house)
        assert (message["ts"], message["text"]) == (
            ts,
            "Rolled back from v4 to v2. From now on v2 answers.",
        )
        assert not message.get("blocks")
        last = house.rows(Audit)[-1]
        house.write(again)
        await house.quiet()
        told = [one["text"] for one in await house.sandbox.messages("C0ADMIN")]
    assert live(house) == 4
    assert told == ["<@U0ADMIN> rolled back from v4 to v2."]
    assert (last.actor, last.action, last.subject) == ("U0ADMIN", "release.roll_back", "release:2")
    assert len(house.rows(Rollout)) == 1 + 3 * 2 + 2


async def test_what_was_confirmed_must_still_be_so(house: House) -> None:
    """Another release went live since the choice was shown: it is shown anew, and nothing done."""
    async with house.bot():
        house.write(three)
        await reply(house, "rollback")
        ts = (await shown(house))["ts"]
        house.write(partial(promoted, name="mynah-d"))
        await press(house, "4:3", ts)
        message = await shown(house)
        assert message["text"].startswith("v5 answers by now, no longer v4. v5 answers now.")
        assert live(house) == 5
        await press(house, "5:4", message["ts"])
    assert live(house) == 4


async def test_now_goes_back_at_once(house: House) -> None:
    """At night with a bad release nothing is asked."""
    async with house.bot():
        house.write(three)
        assert (await reply(house, "rollback now")).startswith("Rolled back from v4 to v3.")
        assert (await reply(house, "rollback v1")).startswith("Rolled back from v3 to v1.")
        message = await shown(house)
        assert not message.get("blocks")
        text = await reply(house, "rollback")
        assert text == "v1 answers now. Where to? `/mynah rollback VERSION` goes to any."
        assert {one.get("style") for one in buttons(await shown(house))} == {None}
    assert live(house) == 1


async def test_with_a_canary_the_live_one_is_a_choice(house: House) -> None:
    """One goes back from the canary, and the usual way is to what everybody else has."""
    async with house.bot():
        house.write(partial(promoted, name="mynah-a"))
        house.write(partial(promoted, name="mynah-b", share=0.1))
        await reply(house, "rollback")
        message = await shown(house)
        assert [one["value"] for one in buttons(message)] == ["3:2", "3:1"]
        await press(house, "3:2", message["ts"])
        assert (await shown(house))["text"].startswith("Rolled back from v3 to v2.")


async def test_a_role_that_was_lost_meanwhile_counts(house: House) -> None:
    """Whoever is no admin any more when the button is pressed is refused, and nothing changes."""
    async with house.bot():
        house.write(three)
        await reply(house, "rollback")
        ts = (await shown(house))["ts"]
    async with house.bot(MYNAH_ADMINS="U0ADMIN2"):
        await press(house, "4:3", ts)
        assert (await house.responses())[-1] == ADMINS_ONLY
    assert live(house) == 4
