"""The README's pictures, taken by the tests that show what they show."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.async_api import Locator, Page

THEMES = ("light", "dark")
CLEAR = 255  # the last of the 256 colours: what is outside of round corners
MOST_BYTES = 150_000
Shot = Callable[[Page | Locator, str], Awaitable[None]]


async def take(what: Page | Locator, name: str, directory: Path) -> None:
    """Write `NAME-light.png` and `NAME-dark.png`."""
    page = what if isinstance(what, Page) else what.page
    for theme in THEMES:
        await page.emulate_media(color_scheme=theme)
        path = directory / f"{name}-{theme}.png"
        shot = await what.screenshot(animations="disabled", caret="hide")
        few_colours(shot).save(path, optimize=True, transparency=CLEAR)
        assert path.stat().st_size <= MOST_BYTES, f"{path.name} is too large for a README"
    await page.emulate_media(color_scheme=None)


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
