"""What each window is held to: no complaint, and nothing asked of anybody else."""

from __future__ import annotations

import pytest

from tests.browser.conftest import PageAs
from tests.browser.driver import Windows
from tests.sandbox_server import Sandbox

HELP = "C0HELP"


async def test_each_window_is_its_persons(page_as: PageAs, sandbox: Sandbox) -> None:
    """Two people look at one channel, each as who they are."""
    await sandbox.client("xoxp-asker").chat_postMessage(channel=HELP, text="Which port?")
    asker, guest = await page_as("asker", channel=HELP), await page_as("guest", channel=HELP)
    for page in (asker, guest):
        await page.get_by_text("Which port?").wait_for()
    assert await asker.locator("[data-channel-link=C0PRIV]").count() == 1
    assert await guest.locator("[data-channel-link=C0PRIV]").count() == 0


@pytest.mark.parametrize(
    ("act", "complaint"),
    [
        ("console.error('so')", "console: so"),
        ("setTimeout(() => { throw new Error('oh') })", "uncaught: oh"),
        ("fetch('http://elsewhere.test/').catch(() => {})", "Security Policy"),
    ],
)
async def test_complaints_are_heard(
    page_as: PageAs, windows: Windows, act: str, complaint: str
) -> None:
    """What would fail a test is noticed."""
    page = await page_as("asker", channel=HELP)
    await page.evaluate(act)
    await page.evaluate("new Promise((done) => setTimeout(done))")
    assert any(complaint in one for one in windows.complaints)
    windows.complaints.clear()
