"""What was imported from an export counts in Slack as if Mynah had been there."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bot.embedder import LexicalEmbedder
from bot.importing import judging, storing
from bot.importing.judging import Verdict
from bot.importing.pairs import Pair
from bot.slack import conflict_card
from bot.store.schema import Example, ExampleStatus, Feedback
from deploy import importing
from deploy.settings import ImportSettings
from tests.bot.importing.exports import read, written
from tests.bot.slack import hands
from tests.bot.slack.house import HELP, House

TEAM = "T0MYNAH"
QUESTION = "Which port does the fern gateway use by default?"
ANSWER = "It uses port 7411."


async def marked(house: House) -> tuple[str, str]:
    """Someone asks, someone answers, staff approve; the ts of the question and of the answer."""
    asked = await house.say("asker", QUESTION)
    ts = await house.say("asker2", ANSWER, thread_ts=asked)
    await house.react("staff", "white_check_mark", ts)
    return asked, ts


async def exported(house: House, asked: str, path: Path) -> list[Pair]:
    """An export of what stands in #help, made of what Slack's API says of it."""
    thread = await house.client("staff").conversations_replies(channel=HELP, ts=asked)
    people = [{"id": "U0STAFF", "team_id": TEAM}]
    days = {"help/2026-01-01.json": thread["messages"]}
    return list(read(written(path / "export.zip", days, users=people)).pairs)


def bring_in(house: House, pairs: list[Pair]) -> list[str]:
    """Import them, and say what became of each."""
    items = judging.drafted(pairs, lambda *_: None)
    made: list[Verdict] = []
    house.write(
        lambda session: made.extend(
            storing.store(
                session, TEAM, items, by="U0ADMIN", origin={"sha256": "0"}, vectors={},
                embedder=LexicalEmbedder.name,
            )
        )
    )  # fmt: skip
    return [str(one.fate) for one in made]


@pytest.mark.parametrize("how", ["the reaction goes", "the answer goes"])
async def test_an_imported_approval_is_used_and_taken_back(
    house: House, tmp_path: Path, how: str
) -> None:
    """Quoted with the name of who approved it; the same ✅ told by Slack of late adds nothing."""
    asked, ts = await marked(house)  # before there is a bot
    assert bring_in(house, await exported(house, asked, tmp_path)) == ["learned"]
    async with house.bot():
        await house.quiet()
        answer = await house.asked(QUESTION)
        assert ANSWER in str(answer)
        assert "verified by <@U0STAFF>" in str(answer)
        assert len(house.rows(Example)) == len(house.rows(Feedback)) == 1
        if how == "the reaction goes":
            await house.unreact("staff", "white_check_mark", ts)
        else:
            await house.client("asker2").chat_delete(channel=HELP, ts=ts)
        await house.quiet()
    assert [one.status for one in house.rows(Example)] == [ExampleStatus.REVOKED]


async def test_what_was_learned_live_is_known_to_an_import(house: House, tmp_path: Path) -> None:
    """From the same messages: it is not doubled."""
    async with house.bot():
        asked, _ = await marked(house)
        await house.quiet()
    assert len(house.rows(Example)) == 1
    assert bring_in(house, await exported(house, asked, tmp_path)) == ["known"]
    assert len(house.rows(Example)) == 1


async def test_a_running_bot_shows_what_an_import_found(house: House, tmp_path: Path) -> None:
    """The next who asks gets the newer answer, and staff get the card; one press undoes it."""
    settings = ImportSettings(
        _env_file=None, MYNAH_ADMINS=("U0ADMIN",), MYNAH_REVIEW_CHANNEL="C0OPS",
        MYNAH_EMBEDDER="none",
    )  # fmt: skip
    file = tmp_path / "faq.csv"
    rows = [f"{QUESTION},It uses port 80.", f'"please tell me, {QUESTION}",{ANSWER}']
    file.write_text("\n".join(["question,answer", *rows]))
    async with house.bot(MYNAH_REVIEW_CHANNEL="C0OPS"):
        await house.asked(QUESTION)  # memory was looked at before there was anything
        await asyncio.to_thread(
            importing.bring_in, house.engine, file, settings, team=TEAM, by=None, dry_run=False
        )
        assert ANSWER in str(await house.asked(QUESTION))
        await house.quiet()
        [card] = await house.sandbox.messages("C0OPS")
        assert "It uses port 80." in str(card)
        await hands.press(house, "staff", card["ts"], conflict_card.OLDER, channel="C0OPS")
        await house.quiet()
        assert "It uses port 80." in str(await house.asked(QUESTION))
