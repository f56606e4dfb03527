"""The browser of this machine, and one page of it as one person sees it."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlencode

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
MISSING = "apt-get install chromium fonts-inter fonts-noto-color-emoji"
SCALE = 2
WITHIN_MS = 20_000  # only a test that fails, or a machine that is very busy, waits this long
ARGUMENTS = (
    "--disable-dev-shm-usage",
    # Nobody else's name has an address here: what asks for another host gets nothing.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)

Theme = Literal["light", "dark"]


def browser_path() -> str:
    """Where Chromium is. A machine without it skips, unless MYNAH_BROWSER=required."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is not None:
        return found
    why = f"this needs a browser: {MISSING}"
    if os.environ.get("MYNAH_BROWSER") == "required":
        pytest.fail(why, pytrace=False)
    pytest.skip(why)


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    """A browser without a window."""
    path = browser_path()
    expect.set_options(timeout=WITHIN_MS)
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield browser
        await browser.close()


@dataclass
class Windows:
    """Windows of people who look at one sandbox, each of them a stranger to the others.

    `complaints` holds what a page had to complain of, and what it asked of other hosts. A test that
    brings trouble about on purpose clears it.
    """

    browser: Browser
    url: str
    complaints: list[str] = field(default_factory=list)
    _open: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def page_as(
        self,
        name: str,
        *,
        width: int = 1280,
        height: int = 900,
        theme: Theme = "light",
        **place: str,
    ) -> Page:
        """A window in which `name` looks at a place ("channel", "thread", "tab")."""
        page = await self.blank(width=width, height=height, theme=theme)
        await self.visit(page, **{"as": name}, **place)
        return page

    async def blank(self, *, width: int = 1280, height: int = 900, theme: Theme = "light") -> Page:
        """A window in which nobody looks at anything yet."""
        context = await self.browser.new_context(
            color_scheme=theme, viewport={"width": width, "height": height},
            reduced_motion="reduce", device_scale_factor=SCALE, locale="en-GB", timezone_id="UTC",
            permissions=["clipboard-read", "clipboard-write"],
        )  # fmt: skip
        self._open.push_async_callback(context.close)
        context.set_default_timeout(WITHIN_MS)
        context.on("page", self._watch)
        return await context.new_page()

    async def visit(self, page: Page, **place: str) -> None:
        """Go to a place, and wait until it is drawn."""
        await page.goto(f"{self.url}/?{urlencode(place)}")
        await page.wait_for_selector("body[data-ready]")

    async def close(self) -> None:
        """Close them all."""
        await self._open.aclose()

    def _watch(self, page: Page) -> None:
        own = (f"{self.url}/", f"{self.url.replace('http', 'ws', 1)}/")

        def complain(text: str) -> None:
            self.complaints.append(text)

        def asked(url: str) -> None:
            if not url.startswith((*own, "about:", "blob:")):
                complain(f"asked for {url}")

        page.on("request", lambda request: asked(request.url))
        page.on("websocket", lambda socket: asked(socket.url))
        page.on("pageerror", lambda error: complain(f"uncaught: {error}"))
        page.on(
            "console",
            lambda said: complain(f"console: {said.text}") if said.type == "error" else None,
        )
