"""What comes while something else is on its way: nothing is lost, nothing old wins."""

from __future__ import annotations

import asyncio
from urllib.parse import urlencode

from playwright.async_api import Route, expect

from tests.browser.driver import Windows
from tests.sandbox_server import Sandbox

HELP = "C0HELP"


async def test_what_is_said_while_history_is_fetched_is_seen(
    windows: Windows, sandbox: Sandbox
) -> None:
    """The history that comes late knows nothing of it, and takes nothing of it back."""
    bot = sandbox.client("xoxb-mynah")
    first = await bot.chat_postMessage(channel=HELP, text="before")
    page = await windows.blank()
    fetched, go_on = asyncio.Event(), asyncio.Event()

    async def late(route: Route) -> None:
        answer = await route.fetch()
        fetched.set()
        await go_on.wait()
        await route.fulfill(response=answer)

    await page.route("**/page/history*", late)
    heard = asyncio.Event()

    def hear(said: str | bytes) -> None:
        if "said meanwhile" in str(said):
            heard.set()

    page.on("websocket", lambda socket: socket.on("framereceived", hear))
    await page.goto(f"{windows.url}/?as=asker&channel={HELP}")
    await fetched.wait()
    await bot.chat_update(channel=HELP, ts=first["ts"], text="after")
    await bot.chat_postMessage(channel=HELP, text="said meanwhile")
    await heard.wait()
    go_on.set()
    await expect(page.get_by_text("said meanwhile")).to_be_visible()
    await expect(page.get_by_text("after")).to_be_visible()
    await expect(page.get_by_text("before")).to_have_count(0)


async def test_no_address_breaks_the_page(windows: Windows, sandbox: Sandbox) -> None:
    """Who asks for what is not there is shown what is; who is nobody is told so at once."""
    page = await windows.blank()
    for channel in ("C0NONE", "constructor", "__proto__", "../x"):
        await windows.visit(page, **{"as": "asker", "channel": channel, "thread": "1", "tab": "x"})
        await expect(page.get_by_role("heading", name="help")).to_be_visible()
    for place in ({"as": "é" * 200}, {"as": "asker", "team": "T" * 200}):
        await page.goto(f"{windows.url}/?{urlencode(place)}")
        await expect(page.get_by_role("link", name="Begin as the asker")).to_be_visible()


async def test_somebody_without_a_channel(windows: Windows, sandbox: Sandbox) -> None:
    """A guest who has left all channels, one of them while they look at it, still has a page."""
    page = await windows.page_as("guest", channel=HELP)
    await sandbox.client("xoxp-guest").conversations_leave(channel=HELP)
    await expect(page.get_by_role("link", name="help")).to_have_count(0)
    await page.reload()
    await expect(page.get_by_role("button", name="You are guest")).to_be_visible()
    await page.get_by_role("navigation").get_by_role("button", name="Mynah", exact=True).click()
    await expect(page.get_by_role("textbox", name="Message Mynah")).to_be_visible()


async def test_what_one_typed_is_never_said_by_another(windows: Windows, sandbox: Sandbox) -> None:
    """A second text that waits for the first stays a draft where its writer has become another."""
    page = await windows.page_as("asker", channel=HELP)
    box = page.get_by_role("textbox", name="Message #help")
    held, go_on = asyncio.Event(), asyncio.Event()

    async def slow(route: Route) -> None:
        held.set()
        await go_on.wait()
        await route.continue_()

    await page.route("**/api/chat.postMessage", slow)
    await box.fill("one ")
    await box.press("Enter")
    await held.wait()
    await box.press_sequentially("two")
    await box.press("Enter")
    await page.evaluate("import('/page/route.js').then(({ go }) => go({ as: 'staff' }))")
    await expect(page.get_by_role("button", name="You are staff")).to_be_visible()
    async with page.expect_response("**/api/chat.postMessage"):
        go_on.set()
    await expect(page.get_by_text("one", exact=True)).to_be_visible()
    await page.go_back()
    await expect(box).to_have_value("two")
    said = [(one["user"], one["text"]) for one in await sandbox.messages()]
    assert said == [("U0ASKER", "one")]


async def test_pressing_twice_is_no_mistake(windows: Windows, sandbox: Sandbox) -> None:
    """A reaction that is there already when the second press comes is not complained of."""
    said = await sandbox.client("xoxb-mynah").chat_postMessage(channel=HELP, text="so")
    page = await windows.page_as("asker", channel=HELP)
    act = f"""import('/page/reactions.js').then(({{ toggle }}) => {{
        const said = {{ channel: "{HELP}", ts: "{said["ts"]}" }};
        return Promise.all([toggle(said, "x", "U0ASKER"), toggle(said, "x", "U0ASKER")]);
    }})"""
    await page.evaluate(act)
    await expect(page.get_by_role("button", name="❌ 1, you reacted")).to_be_visible()
    assert await page.locator(".toast").count() == 0  # at once: it would go by itself


async def test_nobody_answers_what_another_was_asked(windows: Windows, sandbox: Sandbox) -> None:
    """A question that is open when Back leads to another person goes away unanswered."""
    await sandbox.client("xoxp-admin").chat_postMessage(channel=HELP, text="mine")
    page = await windows.page_as("asker", channel=HELP)
    await page.evaluate("import('/page/route.js').then(({ go }) => go({ as: 'admin' }))")
    await expect(page.get_by_role("button", name="You are admin")).to_be_visible()
    said = page.locator("li.message").filter(has_text="mine")
    await said.hover()
    await said.get_by_role("button", name="More actions").click()
    await page.get_by_role("menuitem", name="Delete message").click()
    await expect(page.get_by_role("alertdialog")).to_be_visible()
    await page.go_back()
    await expect(page.get_by_role("button", name="You are asker")).to_be_visible()
    assert await page.get_by_role("alertdialog").count() == 0
