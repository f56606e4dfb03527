"""What Bolt sees, and what comes of bad luck that is switched on there."""

from __future__ import annotations

from playwright.async_api import Locator, Page

from deploy.personas import CHANNEL
from tests.browser.conftest import PageAs
from tests.browser.hands import conversation, expect, message, open_thread, thread, write
from tests.browser.house import House

QUESTION = "Where do I get a new badge?"
ANSWER = (
    "At the reception desk on the ground floor, every day from nine to five. "
    "Bring your old badge and a photo."
)


async def opened_drawer(page_as: PageAs, house: House) -> tuple[Page, Locator]:
    """The asker's window, with the drawer open."""
    house.lines[QUESTION] = ANSWER
    page = await page_as("asker", channel=CHANNEL, width=1600)
    button = page.get_by_role("button", name="What Bolt sees", exact=True)
    await button.click()
    await expect(button).to_have_attribute("aria-expanded", "true")
    return page, page.get_by_role("complementary", name="What Bolt sees")


async def answered_once(page: Page, house: House) -> None:
    """Ask; there is one answer, and nothing is left to do."""
    await write(page, f"@Mynah {QUESTION}")
    await open_thread(page, QUESTION)
    await expect(message(thread(page), ANSWER)).to_be_visible()
    await house.until("all is delivered", lambda: quiet(house))
    await expect(message(thread(page), ANSWER)).to_have_count(1)
    await expect(message(conversation(page), QUESTION)).to_have_count(1)


async def quiet(house: House) -> bool:
    """Whether Slack has delivered everything."""
    return not (await house.state("counts"))["waiting"]


def entries(drawer: Locator, kind: str, text: str) -> Locator:
    """Entries of the log."""
    return drawer.locator(f"li.{kind}").filter(has_text=text)


async def test_what_bolt_sees(house: House, page_as: PageAs) -> None:
    """A question is an event, its acknowledgement and calls; each opens to what was sent."""
    page, drawer = await opened_drawer(page_as, house)
    await answered_once(page, house)
    await expect(entries(drawer, "ack", "app_mention")).to_have_count(1)
    await expect(entries(drawer, "call", "chat.postMessage").first).to_be_visible()
    await entries(drawer, "event", "app_mention").get_by_role("button").first.click()
    await expect(drawer.locator("pre")).to_contain_text(f"<@U0MYNAH> {QUESTION}")


async def test_an_event_that_comes_twice(house: House, page_as: PageAs) -> None:
    """It is seen twice, and answered once."""
    page, drawer = await opened_drawer(page_as, house)
    await drawer.get_by_role("button", name="Send the next event twice").click()
    await expect(drawer.get_by_text("1 left")).to_be_visible()
    await answered_once(page, house)
    await expect(drawer.locator("li.event").filter(has_text="the same once more")).to_have_count(1)
    await expect(drawer.get_by_text("1 left")).to_be_hidden()


async def test_a_lost_acknowledgement(house: House, page_as: PageAs) -> None:
    """The event is sent again, and answered once."""
    page, drawer = await opened_drawer(page_as, house)
    await house.order("faults", retry_s=[0.0, 0.2, 0.4])
    await drawer.get_by_role("button", name="Lose the next acknowledgement").click()
    await answered_once(page, house)
    await expect(drawer.locator("li.retry").first).to_contain_text("attempt 2")


async def test_a_post_that_must_wait(house: House, page_as: PageAs) -> None:
    """The call is refused with how long to wait, and then the answer is posted."""
    page, drawer = await opened_drawer(page_as, house)
    await drawer.get_by_role("button", name="Answer the next post with 429").click()
    await answered_once(page, house)
    await expect(
        entries(drawer, "call", "chat.postMessage").filter(has_text="ratelimited")
    ).to_have_count(1)


async def test_a_socket_that_is_refreshed(house: House, page_as: PageAs) -> None:
    """The bot connects anew, and answers."""
    page, drawer = await opened_drawer(page_as, house)
    before = await drawer.locator("li.socket").count()
    await drawer.get_by_role("button", name="Refresh the socket").click()
    await expect(drawer.locator("li.socket").nth(before + 1)).to_be_visible()
    await expect(page.get_by_text("Mynah connected").first).to_be_visible()
    await answered_once(page, house)


async def test_a_stream_that_expires(house: House, page_as: PageAs) -> None:
    """An answer whose stream is gone in the middle of it is whole in the end."""
    page, drawer = await opened_drawer(page_as, house)
    await drawer.get_by_role("button", name="Expire the next stream").click()
    held = house.write_slowly(until="photo")
    await write(page, f"@Mynah {QUESTION}")
    await open_thread(page, QUESTION)
    await expect(entries(drawer, "call", "chat.startStream")).to_have_count(1)
    held.set()
    await expect(message(thread(page), ANSWER)).to_have_count(1)
    await expect(
        drawer.locator("li.call").filter(has_text="Stream").filter(has_text="not_in_streaming")
    ).not_to_have_count(0)
