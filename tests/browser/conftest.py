"""A real browser that looks at a real sandbox."""

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
    """Chromium, or a skip that says why there is none."""
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
async def page_as(browser: Any, sandbox: Sandbox) -> PageAs:
    """Opens the page as somebody: `page_as("asker", channel="C0HELP")`, in a window of its own."""

    async def opened(name: str, **place: str) -> Any:
        context = await browser.new_context()
        page = await context.new_page()
        page.set_default_timeout(10_000)
        query = "&".join(f"{key}={value}" for key, value in {"as": name, **place}.items())
        await page.goto(f"{sandbox.url}/?{query}")
        await page.wait_for_selector("body[data-ready]")
        return page

    return opened
