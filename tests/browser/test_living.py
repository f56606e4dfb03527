"""What changes while somebody looks, and what stays when the sandbox comes again."""

from __future__ import annotations

import asyncio

from deploy.personas import CHANNEL
from tests.browser.conftest import PageAs
from tests.browser.driver import Windows
from tests.browser.hands import answers, conversation, expect, message, open_thread, thread, write
from tests.browser.house import House

QUESTION = "How long do I wait for a replacement laptop?"
ANSWER = "A replacement laptop is ready within 2 working days, at the IT desk of your own office."


async def test_an_answer_grows_while_it_is_written(house: House, page_as: PageAs) -> None:
    """The first words are there while the model still writes the last ones."""
    house.lines[QUESTION] = ANSWER
    held = house.write_slowly(until="office.")
    page = await page_as("asker", channel=CHANNEL)
    await write(page, f"@Mynah {QUESTION}")
    await open_thread(page, QUESTION)
    growing = answers(page)
    await expect(growing).to_contain_text("2 working days")
    await expect(growing).not_to_contain_text("office.")
    held.set()
    await expect(growing).to_contain_text(ANSWER)


async def test_an_edited_question_and_a_deleted_one(house: House, page_as: PageAs) -> None:
    """The answer changes with its question, in place, and goes with it."""
    house.lines |= {"printer": "On floor 2.", "scanner": "On floor 3."}
    page = await page_as("asker", channel=CHANNEL)
    ts = await house.say("asker", "<@U0MYNAH> Where is the printer?")
    await open_thread(page, "Where is the printer?")
    await expect(message(thread(page), "On floor 2.")).to_be_visible()
    asker = house.client("asker")
    await asker.chat_update(channel=CHANNEL, ts=ts, text="<@U0MYNAH> Where is the scanner?")
    await expect(message(thread(page), "On floor 3.")).to_be_visible()
    await expect(message(thread(page), "On floor 2.")).to_have_count(0)
    await asker.chat_delete(channel=CHANNEL, ts=ts)
    await expect(message(conversation(page), "scanner")).to_be_hidden()
    await expect(message(thread(page), "On floor")).to_have_count(0)


async def test_the_home_tab_acts(house: House, page_as: PageAs) -> None:
    """What waits for review is rated by a press there, and waits no more."""
    await house.ask("asker", QUESTION, ANSWER)
    page = await page_as("staff", channel=CHANNEL)
    side = page.get_by_role("navigation", name="Conversations")
    await side.get_by_text("Mynah", exact=True).click()
    await page.get_by_role("link", name="Home").click()
    home = page.locator(".home")
    await expect(home).to_contain_text(ANSWER)
    await home.get_by_role("button", name="Right").click()
    await expect(home).to_contain_text("Nothing waits for you")
    await house.until("it is learned", lambda: house.known() == 1)


async def test_what_was_said_outlives_the_sandbox(
    house: House, page_as: PageAs, windows: Windows
) -> None:
    """The page says that the sandbox is gone, and goes on with everything when it is back."""
    await house.move_in()
    page = await page_as("asker", channel=CHANNEL)
    await write(page, "Is anybody here?")
    await expect(message(conversation(page), "Is anybody here?")).to_be_visible()
    await asyncio.to_thread(house.local.stop, "sandbox")
    await expect(page.get_by_role("alert")).to_contain_text("does not answer")
    await house.local.start_sandbox()
    await house.local.ready("bot", f"http://127.0.0.1:{house.local.ports.bot}/readyz", 120)
    await expect(page.get_by_role("alert")).to_be_hidden()
    await expect(message(conversation(page), "Is anybody here?")).to_be_visible()
    house.lines[QUESTION] = ANSWER
    await write(page, f"@Mynah {QUESTION}")
    await open_thread(page, QUESTION)
    await expect(message(thread(page), ANSWER)).to_be_visible()
    windows.complaints[:] = [one for one in windows.complaints if "ERR_" not in one]
