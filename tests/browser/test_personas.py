"""Who one is in the page: to be seen, changed in two clicks or by keyboard, kept apart."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.browser.conftest import PageAs
from tests.sandbox_server import Sandbox

HELP, OPS, ADMIN = "C0HELP", "C0OPS", "C0ADMIN"


def place(page: Any) -> dict[str, str]:
    """What the window's address says."""
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


async def become(page: Any, name: str) -> None:
    """Two clicks."""
    await page.get_by_role("button", name="You are").click()
    await page.get_by_role("menuitemradio", name=name).click()
    await page.wait_for_selector("body[data-ready]")


async def is_shown(page: Any, who: str) -> None:
    """The window says whom it plays."""
    await page.get_by_role("button", name=f"You are {who}").wait_for()


async def test_becoming_somebody_keeps_what_is_looked_at(page_as: PageAs, sandbox: Sandbox) -> None:
    """The channel and the thread stay, and what one does then is theirs."""
    asked = await sandbox.client("xoxp-asker").chat_postMessage(channel=OPS, text="Why?")
    page = await page_as("asker", channel=OPS, thread=asked["ts"])
    await is_shown(page, "asker (asker)")
    await become(page, "staff (staff)")
    await is_shown(page, "staff (staff)")
    assert place(page) == {"as": "staff", "channel": OPS, "thread": asked["ts"]}
    await page.get_by_role("complementary", name="Thread").get_by_text("Why?").wait_for()


async def test_a_place_that_they_do_not_see_is_left(page_as: PageAs) -> None:
    """An admin's private channel becomes the help channel of whoever is not in it."""
    page = await page_as("admin", channel=ADMIN)
    await become(page, "asker2 (asker)")
    await page.get_by_role("heading", name="help", exact=True).wait_for()
    assert place(page) == {"as": "asker2", "channel": HELP}


async def test_everybody_says_what_they_may_do(page_as: PageAs) -> None:
    """Roles are told in the menu, beside faces of different colours."""
    page = await page_as("asker", channel=HELP)
    await page.get_by_role("button", name="You are").click()
    said = await page.get_by_role("menu").locator("small").all_inner_texts()
    assert said == [
        "asks",
        "asks",
        "teaches: ✅ ❌ 📝",
        "teaches: ✅ ❌ 📝",
        "trains and rolls back",
        "guest: may ask, never teaches",
    ]
    faces = "faces => faces.map(face => getComputedStyle(face).backgroundColor)"
    colours = await page.locator("[role=menu] .avatar").evaluate_all(faces)
    assert len(set(colours)) == len(colours)


async def test_the_menu_by_keyboard(page_as: PageAs) -> None:
    """Arrows, Home and End go through it, Escape leaves it where one was, Enter chooses."""
    page = await page_as("asker", channel=HELP)
    press, focused = page.keyboard.press, page.locator(":focus")
    await page.get_by_role("button", name="You are").focus()
    await press("ArrowDown")
    for key, name in (
        ("", "asker (asker)"),
        ("ArrowDown", "asker2 (asker)"),
        ("End", "guest (guest)"),
        ("ArrowDown", "asker (asker)"),
        ("ArrowUp", "guest (guest)"),
        ("ArrowRight", "Open in a new window as guest"),
        ("ArrowLeft", "guest (guest)"),
        ("Home", "asker (asker)"),
    ):
        if key:
            await press(key)
        await page.locator(f':focus[aria-label="{name}"]').wait_for()
    await press("Escape")
    assert await focused.get_attribute("aria-label") == "You are asker (asker)"
    assert await page.get_by_role("menu").count() == 0
    await press("Enter")
    await press("ArrowDown")
    await press("Enter")
    await is_shown(page, "asker2 (asker)")
    await page.locator(':focus[aria-label="You are asker2 (asker)"]').wait_for()


async def test_two_people_in_two_windows(page_as: PageAs) -> None:
    """The link opens a second window as somebody else; the first stays who it is."""
    page = await page_as("asker", channel=HELP)
    await page.get_by_role("button", name="You are").click()
    async with page.context.expect_page() as opening:
        await page.get_by_role("menuitem", name="Open in a new window as staff", exact=True).click()
    other = await opening.value
    await is_shown(other, "staff (staff)")
    await is_shown(page, "asker (asker)")
    assert place(other) == {"as": "staff", "channel": HELP}
