"""An admin lets a release answer, and goes back, each after the page has asked whether to."""

from __future__ import annotations

from playwright.async_api import Page

from bot import releases
from tests.browser.conftest import PageAs
from tests.browser.hands import conversation, expect, message, thread, write
from tests.browser.house import ADMIN_CHANNEL, House
from tests.browser.passed_run import TEAM, passed


def live(house: House) -> int:
    """The number of the release that answers."""
    return house.read(lambda session: releases.live(session, TEAM).number)


async def confirm(page: Page, question: str, answer: str) -> None:
    """Answer what the page asks before it acts."""
    dialog = page.get_by_role("alertdialog", name=question)
    await dialog.get_by_role("button", name=answer).click()
    await expect(dialog).to_be_hidden()


async def test_promote_and_roll_back(house: House, page_as: PageAs) -> None:
    """Nothing happens before it is confirmed; then the new release answers, then the old one."""
    house.write(lambda session: passed(session, house.local.server_url))
    page = await page_as("admin", channel=ADMIN_CHANNEL)
    strip = page.get_by_role("region", name="Behind the scenes")
    await expect(strip.get_by_text("v1 ").first).to_be_visible()

    card = message(conversation(page), "10 of 20").first
    promote = card.get_by_role("button", name="Promote")
    await promote.click()
    await confirm(page, "Let v2 answer", "Not now")
    assert live(house) == 1
    await promote.click()
    await confirm(page, "Let v2 answer", "Promote v2")
    await expect(card).to_contain_text("v2 is live")
    await expect(strip.get_by_text("v2 ").first).to_be_visible()
    assert live(house) == 2

    await write(page, "/mynah rollback", "Message #mynah-admin")
    list_of = message(conversation(page), "Where to?")
    await expect(list_of).to_contain_text("Only visible to you")
    await list_of.get_by_role("button", name="Go to v1").click()
    await confirm(page, "From v2 to v1?", "Go to v1")
    await expect(message(conversation(page), "v1 answers")).to_be_visible()
    await expect(strip.get_by_text("v1 ").first).to_be_visible()
    assert live(house) == 1


async def test_a_runs_picture_is_shown(house: House, page_as: PageAs) -> None:
    """What a run was worth stands beneath it as a picture that has arrived."""
    house.write(lambda session: passed(session, house.local.server_url))
    page = await page_as("admin", channel=ADMIN_CHANNEL)
    card = message(conversation(page), "10 of 20")
    await card.get_by_role("link", name="repl").click()
    picture = thread(page).get_by_role("img", name="Run 1: before and after")
    await expect(picture).to_be_visible()
    width = "picture => picture.decode().then(() => picture.naturalWidth)"  # once it is there
    assert int(await picture.evaluate(width)) > 300
