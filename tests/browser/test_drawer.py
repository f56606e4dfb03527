"""What Bolt sees, in the page: each event, call and acknowledgement, and bad luck on demand."""

from __future__ import annotations

import json
from typing import Any

import pytest
from slack_sdk.errors import SlackApiError

from tests.browser.conftest import PageAs
from tests.deploy.sandbox.bolt import Listener
from tests.sandbox_server import Sandbox, connected

HELP = "C0HELP"


async def opened(page_as: PageAs, *, width: int = 1280) -> tuple[Any, Any]:
    """A window with the drawer open, and the drawer."""
    page = await page_as("asker", channel=HELP, width=width)
    await page.get_by_role("button", name="What Bolt sees", exact=True).click()
    drawer = page.get_by_role("complementary", name="What Bolt sees")
    await drawer.wait_for()
    return page, drawer


def entries(drawer: Any, text: str = "") -> Any:
    """The entries of the log with these words."""
    return drawer.get_by_role("log").get_by_role("listitem").filter(has_text=text)


async def test_an_event_is_seen_with_its_acknowledgement(page_as: PageAs, sandbox: Sandbox) -> None:
    """As it happens; opened, the payload stands there word for word and can be copied."""
    async with connected(sandbox, Listener(sandbox).app):
        page, drawer = await opened(page_as)
        asked = await sandbox.client("xoxp-asker").chat_postMessage(channel=HELP, text="Why?")
        await entries(drawer, "acknowledged message").wait_for()
        event = entries(drawer, "event message")
        await event.get_by_role("button").click()
        payload = json.loads(await event.locator("pre").inner_text())["payload"]
        assert payload["event"]["ts"] == asked["ts"]
        await event.get_by_role("button", name="Copy").click()
        await event.get_by_role("button", name="Copied").wait_for()
        copied = json.loads(await page.evaluate("navigator.clipboard.readText()"))
        assert copied["payload"] == payload


async def test_a_duplicate_is_ordered_and_seen(page_as: PageAs, sandbox: Sandbox) -> None:
    """The button counts up, the event runs it down, and both copies are of one event."""
    async with connected(sandbox, Listener(sandbox).app):
        _page, drawer = await opened(page_as)
        twice = drawer.get_by_role("button", name="Send the next event twice")
        await twice.click()
        await twice.get_by_text("1 left").wait_for()
        await twice.click()
        await twice.get_by_text("2 left").wait_for()
        await sandbox.client("xoxp-asker").chat_postMessage(channel=HELP, text="Why?")
        await twice.get_by_text("1 left").wait_for()
        copy = entries(drawer, "the same once more")
        await copy.wait_for()
        first = entries(drawer, "event message").first
        assert await copy.get_attribute("data-id") == await first.get_attribute("data-id")
        await drawer.get_by_role("button", name="Clear").click()
        await twice.get_by_text("left").wait_for(state="hidden")


async def test_a_lost_acknowledgement_is_seen_to_be_sent_again(
    page_as: PageAs, sandbox: Sandbox
) -> None:
    """The loss in red, the second attempt with its reason, and the event by itself."""
    await sandbox.faults(ack_s=0.2)
    async with connected(sandbox, Listener(sandbox).app):
        _page, drawer = await opened(page_as)
        await drawer.get_by_role("button", name="Lose the next acknowledgement").click()
        await drawer.get_by_text("1 left").wait_for()
        await sandbox.client("xoxp-asker").chat_postMessage(channel=HELP, text="Why?")
        await entries(drawer, "attempt 2: timeout").wait_for()
        lost = entries(drawer, "ack lost")
        await lost.locator(".entry-error").wait_for()
        assert await lost.evaluate("li => getComputedStyle(li).margin") == "0px"  # in line
        await entries(drawer).first.wait_for()
        event = entries(drawer, "event message")
        await event.get_by_role("button").click()
        await event.get_by_role("button", name="Only this event").click()
        ids = "rows => new Set(rows.map(row => row.dataset.id)).size"
        await entries(drawer, "socket").first.wait_for(state="hidden")
        assert await entries(drawer).evaluate_all(ids) == 1


async def test_the_other_faults_are_ordered(page_as: PageAs, sandbox: Sandbox) -> None:
    """A 429 for the bot's next post, a socket that is refreshed, a stream that expires."""
    async with connected(sandbox, Listener(sandbox).app):
        _page, drawer = await opened(page_as)
        for name in ("Answer the next post with 429", "Expire the next stream"):
            fault = drawer.get_by_role("button", name=name)
            await fault.click()
            await fault.get_by_text("1 left").wait_for()
        before = await entries(drawer).count()
        await drawer.get_by_role("button", name="Refresh the socket").click()
        await entries(drawer).nth(before).wait_for()
        bot = sandbox.client("xoxb-mynah")
        bot.retry_handlers.clear()
        with pytest.raises(SlackApiError, match="ratelimited"):
            await bot.chat_postMessage(channel=HELP, text="so")
        await entries(drawer, "chat.postMessage").locator(".entry-error").wait_for()


async def test_the_log_is_filtered(page_as: PageAs, sandbox: Sandbox) -> None:
    """By kind, and by words."""
    async with connected(sandbox, Listener(sandbox).app):
        _page, drawer = await opened(page_as)
        await sandbox.client("xoxp-asker").chat_postMessage(channel=HELP, text="Why?")
        await sandbox.client("xoxb-mynah").chat_postMessage(channel=HELP, text="So.")
        await entries(drawer, "chat.postMessage").wait_for()
        await entries(drawer, "event message").first.wait_for()
        await drawer.get_by_role("button", name="Calls").click()
        await entries(drawer, "event message").first.wait_for(state="hidden")
        await entries(drawer, "chat.postMessage").wait_for()
        await drawer.get_by_role("button", name="Events").click()
        await entries(drawer, "chat.postMessage").wait_for(state="hidden")
        await drawer.get_by_role("button", name="All", exact=True).click()
        await drawer.get_by_role("searchbox").fill("postmessage")
        await entries(drawer, "event message").first.wait_for(state="hidden")
        await entries(drawer, "chat.postMessage").wait_for()


async def test_a_narrow_window_shows_the_drawer_alone(page_as: PageAs) -> None:
    """It covers the rest, takes the keyboard, and Escape gives both back; a reload keeps it."""
    page, drawer = await opened(page_as, width=390)
    box = await drawer.bounding_box()
    assert (box["x"], box["y"], box["width"], box["height"]) == (0, 0, 390, 900)
    await page.locator("#drawer-title:focus").wait_for()
    await page.reload()
    await drawer.wait_for()
    await page.keyboard.press("Escape")
    await drawer.wait_for(state="hidden")
    await page.locator("#drawer-button:focus").wait_for()


async def test_light_and_dark(page_as: PageAs) -> None:
    """The choice is seen at once, also in a window that is opened later."""
    page = await page_as("asker", channel=HELP)
    paper = "getComputedStyle(document.body).backgroundColor"
    light = await page.evaluate(paper)
    await page.get_by_role("button", name="Switch to dark").click()
    await page.get_by_role("button", name="Switch to light").wait_for()
    dark = await page.evaluate(paper)
    assert dark != light
    other = await page.context.new_page()
    await other.goto(page.url)
    await other.wait_for_selector("body[data-ready]")
    assert await other.evaluate(paper) == dark


async def test_the_strip_tells_who_is_connected(page_as: PageAs, sandbox: Sandbox) -> None:
    """As soon as it changes."""
    page = await page_as("asker", channel=HELP)
    strip = page.get_by_role("region", name="Behind the scenes")
    await strip.get_by_role("listitem").filter(has_text="No bot connected").wait_for()
    async with connected(sandbox, Listener(sandbox).app):
        await strip.get_by_role("listitem").filter(has_text="Mynah connected").wait_for()
    await strip.get_by_role("listitem").filter(has_text="No bot connected").wait_for()


async def test_the_strip_tells_what_happens_behind_the_scenes(browser: Any) -> None:
    """Who answers, how much is learned, the run's progress and the last verdict, as they change."""
    gate = {"run": 2, "passed": True, "score": "10/20"}
    facts = {"live": "v1 · base", "memory": 188, "run": None, "gate": None, "paused": False}
    with Sandbox(behind=lambda: dict(facts)) as sandbox:
        page = await browser.new_page(viewport={"width": 390, "height": 800})
        await page.goto(f"{sandbox.url}/?as=admin&channel={HELP}")
        strip = page.get_by_role("region", name="Behind the scenes")
        items, told = strip.get_by_role("listitem"), strip.get_by_role("status")
        await items.filter(has_text="v1 · base answers").wait_for()
        await items.filter(has_text="188 learned").wait_for()
        facts |= {"run": {"id": 3, "phase": "training", "progress": 0.4}, "gate": gate}
        await items.filter(has_text="run 3 training").filter(has_text="40 %").wait_for()
        await items.filter(has_text="last gate: passed 10/20").wait_for()
        bar = strip.get_by_role("progressbar", name="Run 3")
        assert await bar.get_attribute("value") == "0.4"
        assert "40" not in await told.inner_text()  # nobody wants to hear each step
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390
        facts |= {"run": None, "gate": {**gate, "run": 3, "passed": False}, "paused": True}
        failed = items.filter(has_text="last gate: not passed 10/20").locator("b")
        assert await failed.evaluate("b => getComputedStyle(b).display") == "inline"
        await items.filter(has_text="paused").wait_for()
        await bar.wait_for(state="hidden")
        await page.close()
