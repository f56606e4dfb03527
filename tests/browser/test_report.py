"""The report of a run in a browser: readable, with nothing in the way, and no words that act."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, ViewportSize

from tests.browser.accessible import violations
from tests.browser.driver import Theme
from tests.training.a_run import asked, measured, questions, run
from training.report import page

OVERFLOW = "document.documentElement.scrollWidth - innerWidth"
HOSTILE = (
    "<script>document.title = 'mine'</script>" + "<img src=x onerror=\"document.title='mine'\">"
)
LONG = "a-word-without-an-end-" * 20


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
async def test_it_can_be_read(browser: Browser, tmp_path: Path, theme: Theme, width: int) -> None:
    """Nothing is wider than the window or serious to axe-core, and what was said stays words."""
    said = dict.fromkeys(("base", "live", "candidate"), HOSTILE + LONG)
    hostile = asked("wording", 99, (False, True, False), HOSTILE + LONG, **said)
    hostile = hostile.model_copy(update={"slices": {"topic": LONG}})
    both = [*questions(), hostile]
    report = run(asked=both, figures=measured(both), why=[HOSTILE + LONG], recipe={"name": LONG})
    shown = await _open(browser, tmp_path, page(report), theme, width)
    assert await shown.evaluate(OVERFLOW) <= 0
    assert await violations(shown) == []
    assert await shown.title() == "Run 3: released · Mynah"
    await shown.context.close()


async def _open(browser: Browser, there: Path, html: str, theme: Theme, width: int) -> Page:
    path = there / "report.html"
    path.write_text(html, "utf-8")
    size: ViewportSize = {"width": width, "height": 900}
    context = await browser.new_context(color_scheme=theme, viewport=size, bypass_csp=True)
    shown = await context.new_page()
    await shown.goto(path.as_uri())
    return shown
