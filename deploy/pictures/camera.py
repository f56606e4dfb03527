"""A browser without a window that takes pictures of the sandbox's page."""

from __future__ import annotations

import io
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from deploy.local import SetFailed

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
THEMES = ("light", "dark")
SCALE = 2
CLEAR = 255  # the last of the 256 colours: what is outside of the round corners
MOST_BYTES = 150_000


class NoBrowser(SetFailed):
    """Pictures need a browser: apt-get install chromium fonts-inter fonts-noto-color-emoji"""


@dataclass
class Camera:
    """One browser page for each theme."""

    url: str
    directory: Path
    pages: Mapping[str, Any]  # theme → Playwright's page
    taken: list[Path] = field(default_factory=list)

    async def take(
        self,
        name: str,
        look: Mapping[str, str],
        *,
        width: int = 640,
        typed: Mapping[str, str] | None = None,
    ) -> None:
        """Take `NAME-light.png` and `NAME-dark.png` of what the page shows.

        Args:
            look: what to look at, as the page's address names it.
            typed: what somebody has typed or chosen meanwhile, by block id.
        """
        for theme, page in self.pages.items():
            await page.set_viewport_size({"width": width, "height": 900})
            query = "&".join(["alone", *(f"{key}={value}" for key, value in look.items())])
            await page.goto(f"{self.url}/?{query}")
            await page.wait_for_selector("body[data-ready] .panel > *")
            await page.wait_for_load_state("networkidle")
            for block, value in (typed or {}).items():
                await _type(page.locator(f'[data-block-id="{block}"] .field'), value)
            shot = await page.locator(".panel").screenshot(omit_background=True)
            self._keep(self.directory / f"{name}-{theme}.png", shot)

    def _keep(self, path: Path, shot: bytes) -> None:
        few_colours(shot).save(path, optimize=True, transparency=CLEAR)
        if (size := path.stat().st_size) > MOST_BYTES:
            raise SetFailed(f"{path.name} is too large for a README: {size} bytes")
        self.taken.append(path)


def few_colours(shot: bytes) -> Image.Image:
    """The picture in the colours that it has most of: those of a page's areas stay exact."""
    whole = np.asarray(Image.open(io.BytesIO(shot)).convert("RGBA"))
    colours, at, counts = np.unique(
        whole[..., :3].reshape(-1, 3), axis=0, return_inverse=True, return_counts=True
    )
    palette = colours[np.argsort(-counts)[:CLEAR]].astype(int)
    nearest = [int(((palette - colour) ** 2).sum(axis=1).argmin()) for colour in colours]
    drawn = np.array(nearest, np.uint8)[at].reshape(whole.shape[:2])
    drawn[whole[..., 3] < 128] = CLEAR
    few = Image.fromarray(drawn, "P")
    few.putpalette(palette.astype(np.uint8).tobytes().ljust(256 * 3, b"\0"))
    return few


async def _type(field: Any, value: str) -> None:
    if await field.evaluate("field => field.tagName") == "SELECT":
        await field.select_option(value)
    else:
        await field.fill(value)


def browser_path() -> str:
    """Where Chromium is.

    Raises:
        NoBrowser: this machine has no Chromium, or no Playwright to drive it.
    """
    if find_spec("playwright") is None:
        raise NoBrowser("Pictures need Playwright: pip install playwright")
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        raise NoBrowser
    return found


@asynccontextmanager
async def camera(url: str, directory: Path) -> AsyncIterator[Camera]:
    """A camera that looks at the sandbox at `url`.

    Raises:
        NoBrowser: this machine has no Chromium, or no Playwright to drive it.
    """
    path = browser_path()
    from playwright.async_api import async_playwright

    async with AsyncExitStack() as stack:
        driver = await stack.enter_async_context(async_playwright())
        browser = await driver.chromium.launch(executable_path=path)
        stack.push_async_callback(browser.close)
        pages = {
            theme: await browser.new_page(
                color_scheme=theme, device_scale_factor=SCALE, locale="en-GB", timezone_id="UTC"
            )
            for theme in THEMES
        }
        yield Camera(url, directory, pages)
