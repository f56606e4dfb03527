"""A real browser that draws the page's parts by themselves, without the page around them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.browser.driver import launched
from tests.sandbox_server import Sandbox

Json = dict[str, Any]
HERE = Path(__file__).parent
HTML = """<!doctype html>
<html lang="en">
  <title>Parts</title>
  <link rel="stylesheet" href="/page/theme.css">
  <link rel="stylesheet" href="/page/page.css">
  <link rel="stylesheet" href="/page/blocks.css">
  <script type="module" src="/canvas.js"></script>
  <main id="root"></main>
</html>"""


class Canvas:
    """One page with what a test wants to see; `asked` has the addresses and errors so far."""

    def __init__(self, page: Any, asked: list[str]) -> None:
        self.page = page
        self.asked = asked

    async def show(self, **state: Any) -> None:
        """Draw `messages`, `modals` and `home`; again: over what was drawn before."""
        await self.page.evaluate("state => window.show(state)", state)

    async def sent(self) -> list[Json]:
        """What the page has sent so far."""
        return list(await self.page.evaluate("window.sent"))

    async def answers(self, answer: Json) -> None:
        """Answer like this from now on."""
        await self.page.evaluate("answer => { window.answer = answer; }", answer)

    async def hesitates(self) -> None:
        """Answer nothing until `goes_on`."""
        await self.page.evaluate(
            "() => { window.answer = new Promise((go) => { window.go = go; }); }"
        )

    async def goes_on(self, answer: Json) -> None:
        """Answer what waits."""
        await self.page.evaluate("answer => window.go(answer)", answer)

    async def focus_is_on(self, name: str) -> None:
        """Wait until what has the focus is called so: by its label, else its words."""
        await self.page.wait_for_function(
            "name => { const here = document.activeElement; return name =="
            " (here.ariaLabel ?? here.labels?.[0]?.innerText ?? here.innerText); }",
            arg=name,
        )


@asynccontextmanager
async def canvas(sandbox: Sandbox) -> AsyncIterator[Canvas]:
    """A canvas with the files that the sandbox serves."""
    asked: list[str] = []
    async with launched() as browser:
        page = await browser.new_page(locale="en-GB", timezone_id="UTC")
        page.set_default_timeout(10_000)
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: asked.append(f"error: {error}"))
        page.on("console", lambda said: asked.append(said.text) if said.type == "error" else None)
        await _serve(page, f"{sandbox.url}/parts", "text/html", HTML)
        for path, name in (("canvas.js", "canvas.js"), ("page/api.js", "canvas_api.js")):
            script = (HERE / name).read_text()
            await _serve(page, f"{sandbox.url}/{path}", "text/javascript", script)
        await page.goto(f"{sandbox.url}/parts")
        await page.wait_for_function("() => Boolean(window.show)")
        yield Canvas(page, asked)


async def _serve(page: Any, url: str, kind: str, body: str) -> None:
    async def answer(route: Any) -> None:
        await route.fulfill(content_type=kind, body=body)

    await page.route(url, answer)
