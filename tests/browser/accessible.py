"""What axe-core finds on a page: https://github.com/dequelabs/axe-core"""

from __future__ import annotations

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

SERIOUS = ("serious", "critical")


async def violations(page: Page) -> list[str]:
    """What is serious or worse, a line for each element."""
    found = await Axe().run(page)
    return [
        f"{one['id']}: {one['help']}: {node['html'][:200]} ({node['failureSummary']})"
        for one in found.response["violations"]
        if one["impact"] in SERIOUS
        for node in one["nodes"]
    ]
