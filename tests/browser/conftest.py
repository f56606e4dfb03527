"""A real browser, and what it looks at: a `sandbox` by itself, or a `house` with the real bot."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page

from tests.browser.driver import Windows, launched
from tests.browser.house import House, opened
from tests.browser.shots import Shot, take

HERE = Path(__file__).parent
PageAs = Callable[..., Awaitable[Page]]


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--screenshots DIR`: write the README's pictures there; see `make screenshots`."""
    parser.addoption("--screenshots", type=Path, help="where to write pictures, and make no others")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of this folder share one event loop, because they share one browser."""
    for item in items:
        if HERE in item.path.parents and "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One browser for all tests of a process."""
    async with launched() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def house(browser: Browser, tmp_path: Path) -> AsyncIterator[House]:
    """A whole house; not built where there is no browser to look at it."""
    async with opened(tmp_path) as built:
        yield built


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    """Where the page is: the house's, where a test asks for a house."""
    name = "house" if "house" in request.fixturenames else "sandbox"
    return str(request.getfixturevalue(name).url)


@pytest_asyncio.fixture(loop_scope="session")
async def windows(browser: Browser, url: str) -> AsyncIterator[Windows]:
    """Windows of this test; it fails when a page complained, or asked another host."""
    opened = Windows(browser, url)
    yield opened
    await opened.close()
    assert opened.complaints == []


@pytest.fixture
def page_as(windows: Windows) -> PageAs:
    """`await page_as("staff", width=390, theme="dark", channel="C0HELP")`: a window of theirs."""
    return windows.page_as


@pytest.fixture
def shot(request: pytest.FixtureRequest) -> Shot:
    """`await shot(page, "answer")`: a picture of a page or a part of it, where they are wanted."""
    directory: Path | None = request.config.getoption("--screenshots")

    async def maybe(what: Page | Locator, name: str) -> None:
        if directory is not None:
            await take(what, name, directory)

    return maybe
