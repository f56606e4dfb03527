"""What people do in the page, by the names that a screen reader would say."""

from __future__ import annotations

from playwright.async_api import Locator, Page, expect

__all__ = [
    "act",
    "answers",
    "ask",
    "choose",
    "expect",
    "message",
    "open_thread",
    "reply",
    "thread",
    "write",
]


async def write(page: Page, text: str, box: str = "Message #help") -> None:
    """Write something and send it."""
    field = page.get_by_role("textbox", name=box, exact=True)
    await field.fill(text)
    await field.press("Enter")
    await expect(field).to_have_value("")


async def ask(page: Page, question: str) -> None:
    """Ask Mynah in #help; the mention is chosen from what `@` offers."""
    field = page.get_by_role("textbox", name="Message #help", exact=True)
    await field.press_sequentially("@Myn")
    await page.get_by_role("option", name="Mynah").click()
    await field.press_sequentially(question)
    await field.press("Enter")


def conversation(page: Page) -> Locator:
    """What is said in the channel itself."""
    return page.get_by_role("main")


def thread(page: Page) -> Locator:
    """The pane with the thread."""
    return page.get_by_role("complementary", name="Thread")


def message(place: Page | Locator, text: str) -> Locator:
    """The message that says so."""
    return place.locator("li.message").filter(has_text=text)


def answers(page: Page) -> Locator:
    """What Mynah says in the open thread."""
    return thread(page).locator("li.message[data-user=U0MYNAH]")


async def open_thread(page: Page, text: str) -> None:
    """Open the thread of a message in the channel, which has replies."""
    await message(conversation(page), text).get_by_role("link", name="repl").click()
    await expect(thread(page)).to_be_visible()


async def act(on: Locator, name: str) -> None:
    """Press one of the buttons that a message shows when the pointer is over it."""
    await on.hover()
    await on.get_by_role("toolbar").get_by_role("button", name=name).click()


async def choose(on: Locator, name: str) -> None:
    """Choose from a message's menu."""
    await act(on, "More actions")
    await on.page.get_by_role("menuitem", name=name).click()


async def reply(page: Page, text: str) -> None:
    """Write in the open thread."""
    await write(page, text, "Reply in thread")
