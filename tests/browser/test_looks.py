"""Light and dark, wide and narrow; and nothing in the way of a screen reader."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from playwright.async_api import Page

from deploy.personas import BOT, CHANNEL
from tests.browser.accessible import violations
from tests.browser.conftest import PageAs
from tests.browser.driver import Theme
from tests.browser.hands import answers, choose, conversation, expect, message, thread, write
from tests.browser.house import House
from tests.sandbox_server import Sandbox

QUESTION = "How long do I wait for a replacement laptop?"
ANSWER = "It is ready within 2 working days."
BACKGROUND = "getComputedStyle(document.body).backgroundColor"
OVERFLOW = "document.documentElement.scrollWidth - innerWidth"


async def darkness(page: Page) -> float:
    """How dark the page's ground is, from 0 to 1."""
    channels = (await page.evaluate(BACKGROUND)).strip("rgba()").split(",")[:3]
    return 1 - sum(float(one) for one in channels) / 765


async def test_dark_as_the_system_has_it(page_as: PageAs, sandbox: Sandbox) -> None:
    """Each window follows its system, also when that changes."""
    light, dark = await page_as("asker"), await page_as("asker", theme="dark")
    assert await darkness(light) < 0.2
    assert await darkness(dark) > 0.7
    await dark.emulate_media(color_scheme="light")
    assert await darkness(dark) < 0.2


async def test_dark_by_hand(page_as: PageAs, sandbox: Sandbox) -> None:
    """What somebody chose counts more than the system, and is remembered."""
    page = await page_as("asker")
    await page.get_by_role("button", name="Switch to dark").click()
    assert await darkness(page) > 0.7
    await page.reload()
    await expect(page.get_by_role("button", name="Switch to light")).to_be_visible()
    assert await darkness(page) > 0.7
    await page.get_by_role("button", name="Switch to light").click()
    assert await darkness(page) < 0.2


async def test_a_narrow_window(house: House, page_as: PageAs) -> None:
    """At 390 pixels the list, the channel, the thread and both boxes are there to be used."""
    await house.ask("asker", QUESTION, ANSWER)
    page = await page_as("asker", width=390, height=780, channel="C0OPS")
    await page.get_by_role("button", name="Show the list").click()
    side = page.get_by_role("navigation", name="Conversations")
    await side.get_by_role("link", name="help").click()
    await expect(side).not_to_be_in_viewport()
    await write(page, "A word from a phone.")
    await expect(message(conversation(page), "from a phone")).to_be_in_viewport()
    assert await page.evaluate(OVERFLOW) <= 0
    await message(conversation(page), QUESTION).get_by_role("link", name="1 reply").click()
    await expect(answers(page)).to_be_in_viewport()
    await write(page, "Thanks!", "Reply in thread")
    await expect(message(thread(page), "Thanks!")).to_be_in_viewport()
    assert await page.evaluate(OVERFLOW) <= 0
    await page.get_by_role("link", name="Close the thread").click()
    await expect(page.get_by_role("textbox", name="Message #help")).to_be_in_viewport()


async def in_conversation(page: Page) -> None:
    """The channel, with the pointer on a message."""
    await message(conversation(page), QUESTION).hover()


async def in_thread(page: Page) -> None:
    """The thread of an answer, with a menu open."""
    await message(conversation(page), QUESTION).get_by_role("link", name="1 reply").click()
    answer = answers(page)
    await answer.hover()
    await answer.get_by_role("button", name="More actions").click()
    await expect(page.get_by_role("menu")).to_be_visible()


async def in_modal(page: Page) -> None:
    """The form of a correction."""
    await message(conversation(page), QUESTION).get_by_role("link", name="1 reply").click()
    await choose(answers(page), "Correct this answer")
    await expect(page.get_by_role("dialog", name="Correct this answer")).to_be_visible()


async def at_home(page: Page) -> None:
    """The app's Home tab."""
    side = page.get_by_role("navigation", name="Conversations")
    await side.get_by_text("Mynah", exact=True).click()
    await page.get_by_role("link", name="Home", exact=True).click()
    await expect(page.locator(".home")).to_contain_text("Waiting for review")


async def in_drawer(page: Page) -> None:
    """What Bolt sees, with an entry open."""
    await page.get_by_role("button", name="What Bolt sees", exact=True).click()
    drawer = page.get_by_role("complementary", name="What Bolt sees")
    await drawer.locator("li.event").first.get_by_role("button").first.click()
    await expect(drawer.locator("pre")).to_be_visible()


async def in_switcher(page: Page) -> None:
    """The menu of people."""
    await page.get_by_role("button", name="You are").click()
    await expect(page.get_by_role("menu")).to_be_visible()


Look = Callable[[Page], Awaitable[None]]
LOOKS: tuple[Look, ...] = (
    in_conversation, in_thread, at_home, in_drawer, in_switcher, in_modal,
)  # fmt: skip


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_nothing_serious_for_a_screen_reader(
    house: House, page_as: PageAs, theme: Theme
) -> None:
    """axe-core finds nothing serious, wherever staff look."""
    await house.ask("asker", QUESTION, ANSWER)
    await house.say("asker", f"<@{BOT}> *bold* `code` <https://example.com|a link> :tada:")
    found = {}
    for look in LOOKS:
        page = await page_as("staff", channel=CHANNEL, theme=theme)
        await look(page)
        found[look.__name__] = await violations(page)
        await page.close()
    assert {where: what for where, what in found.items() if what} == {}


async def test_nothing_serious_in_a_narrow_window(house: House, page_as: PageAs) -> None:
    """Neither with the list open, nor in a channel, a thread or the drawer."""
    await house.ask("asker", QUESTION, ANSWER)
    found = {}
    for look in (in_conversation, in_thread, in_drawer):
        page = await page_as("staff", width=390, channel=CHANNEL)
        await look(page)
        found[look.__name__] = await violations(page)
        await page.close()
    page = await page_as("staff", width=390, channel=CHANNEL)
    await page.get_by_role("button", name="Show the list").click()
    found["list"] = await violations(page)
    assert {where: what for where, what in found.items() if what} == {}


async def test_what_axe_would_find_is_found(page_as: PageAs, sandbox: Sandbox) -> None:
    """A picture without words, for one."""
    page = await page_as("asker")
    await page.evaluate("document.body.append(document.createElement('img'))")
    assert [one.split(":")[0] for one in await violations(page)] == ["image-alt"]
