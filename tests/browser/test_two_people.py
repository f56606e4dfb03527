"""Two windows with two people at once: each sees what is theirs, as it happens."""

from __future__ import annotations

from deploy.personas import CHANNEL
from tests.browser.conftest import PageAs
from tests.browser.hands import act, choose, conversation, expect, message, write
from tests.browser.house import House
from tests.sandbox_server import Sandbox

BOX = "Message #help"


async def test_one_sees_the_other_live(page_as: PageAs, sandbox: Sandbox) -> None:
    """Typing, a message, a reaction, an edit and a deletion show in the other window at once."""
    one, other = await page_as("asker", channel=CHANNEL), await page_as("staff", channel=CHANNEL)
    await one.get_by_role("textbox", name=BOX).press_sequentially("Is the ")
    await expect(other.get_by_text("asker is typing …")).to_be_visible()
    await write(one, "Is the VPN down?")
    mine, theirs = (message(conversation(page), "VPN") for page in (one, other))
    await act(theirs, "React with ✅")
    await expect(mine.get_by_role("button", name="✅ 1")).to_be_visible()

    await choose(mine, "Edit message")
    editor = one.get_by_role("textbox", name="Edit message")
    await editor.fill("Is the VPN slow?")
    await editor.press("Enter")
    await expect(theirs).to_contain_text("Is the VPN slow?")
    await expect(theirs).to_contain_text("(edited)")

    await choose(mine, "Delete message")
    await one.get_by_role("button", name="Delete", exact=True).click()
    await expect(theirs).to_be_hidden()
    assert [said["text"] for said in await sandbox.messages()] == [""]


async def test_unread_marks(page_as: PageAs, sandbox: Sandbox) -> None:
    """What comes where one does not look is marked, and read by looking there."""
    page = await page_as("asker", channel="C0OPS")
    await sandbox.client("xoxp-staff").chat_postMessage(channel=CHANNEL, text="<@U0ASKER> look")
    entry = page.get_by_role("navigation", name="Conversations").get_by_role("link", name="help")
    await expect(entry).to_contain_text("1")
    await entry.click()
    await expect(message(conversation(page), "look")).to_be_visible()
    await page.get_by_role("link", name="ops").click()
    await expect(entry.get_by_text("unread")).to_have_count(0)


async def test_whats_for_one_stays_with_one(house: House, page_as: PageAs) -> None:
    """What a command says is seen by who typed it, in their window alone."""
    admin, staff = await page_as("admin", channel=CHANNEL), await page_as("staff", channel=CHANNEL)
    await write(admin, "/mynah status")
    told = message(conversation(admin), "Only visible to you")
    await expect(told).to_contain_text("v1")
    await house.say("asker", "And now something for everybody.")
    await expect(message(conversation(staff), "something for everybody")).to_be_visible()
    await expect(staff.locator("li.message")).to_have_count(1)


async def test_becoming_somebody_else_takes_two_clicks(page_as: PageAs) -> None:
    """The switcher names who one is, and who else one can be; a private channel goes with them."""
    page = await page_as("asker", channel="C0PRIV")
    await page.get_by_role("button", name="You are").click()
    await page.get_by_role("menuitemradio", name="guest").click()
    await expect(page.get_by_role("button", name="You are guest (guest)")).to_be_visible()
    await expect(page.locator("[data-channel-link=C0PRIV]")).to_have_count(0)
    await expect(page.get_by_role("heading", name="help")).to_be_visible()
