"""A channel in which a great deal was said."""

from __future__ import annotations

import asyncio

from tests.browser.conftest import PageAs
from tests.browser.hands import conversation, expect, message
from tests.sandbox_server import Sandbox

COUNT = 5000
HELP = "C0HELP"
TO_TOP = "(box) => box.scrollTo({ top: 0 })"
DRAWN_AT_ONCE = 500


async def fill(sandbox: Sandbox, count: int) -> None:
    """Say "word 1" to "word COUNT"."""
    asker = sandbox.client("xoxp-asker")
    for first in range(1, count + 1, 50):
        await asyncio.gather(
            *(
                asker.chat_postMessage(channel=HELP, text=f"word {number}.")
                for number in range(first, min(first + 50, count + 1))
            )
        )


async def test_five_thousand_messages(sandbox: Sandbox, page_as: PageAs) -> None:
    """A page of them is drawn at first; older ones come by scrolling up, and what is read stays."""
    await fill(sandbox, COUNT)
    page = await page_as("staff", channel=HELP)
    rows = conversation(page).locator("li.message")
    there = await rows.count()
    assert 20 < there < DRAWN_AT_ONCE
    box = conversation(page).locator(".scroller")
    newest = conversation(page).locator("li.message").last
    await expect(newest).to_be_in_viewport()
    oldest = rows.first
    before = await oldest.get_attribute("data-ts")
    await box.evaluate(TO_TOP)
    await expect(oldest).not_to_have_attribute("data-ts", str(before))
    await expect(page.locator(f'li.message[data-ts="{before}"]')).to_be_in_viewport()
    await sandbox.client("xoxp-asker").chat_postMessage(channel=HELP, text="something new")
    await expect(message(conversation(page), "something new")).not_to_be_in_viewport()
