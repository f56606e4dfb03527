"""The page in a real browser, against a real local Slack."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from deploy.pictures.camera import NoBrowser, browser_path
from tests.sandbox_server import Sandbox

PageAs = Callable[..., Awaitable[Any]]


@pytest.fixture
async def browser() -> AsyncIterator[Any]:
    """A browser without a window; the test is skipped where none is installed."""
    try:
        path = browser_path()
    except NoBrowser as missing:
        pytest.skip(str(missing) or str(NoBrowser.__doc__))
    playwright = importlib.import_module("playwright.async_api")
    async with playwright.async_playwright() as driver:
        running = await driver.chromium.launch(executable_path=path)
        yield running
        await running.close()


@pytest.fixture
async def page_as(browser: Any, sandbox: Sandbox) -> AsyncIterator[PageAs]:
    """Opens windows of one browser: `await page_as("staff", channel="C0HELP", width=390)`."""
    context = await browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    errors: list[str] = []

    async def opened(name: str, *, width: int = 1280, **place: str) -> Any:
        page = await context.new_page()
        page.set_default_timeout(10_000)
        await page.set_viewport_size({"width": width, "height": 800})
        page.on("pageerror", lambda error: errors.append(str(error)))
        query = "&".join(f"{key}={value}" for key, value in {"as": name, **place}.items())
        await page.goto(f"{sandbox.url}/?{query}")
        await page.wait_for_selector("body[data-ready]")
        return page

    yield opened
    await context.close()
    assert errors == []
