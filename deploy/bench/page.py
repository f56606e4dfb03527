"""`make bench-page`: how the page bears a channel of 5,000 messages; writes `reports/page.json`."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from deploy.bench.figures import milliseconds
from deploy.errors import in_one_line
from deploy.local import LocalSet, Ports, SetFailed
from deploy.personas import CHANNEL

MESSAGES = 5_000
POSTS = 50
REPORT = Path("reports/page.json")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WORDS = (
    "The *web page* of `fernloft` says _no_ at <https://example.com|this place>, number {}. :wave:"
)

# Scrolls a screen a frame until the oldest is there; gives the time of each frame in ms.
_TO_THE_OLDEST = """async (oldest) => {
  const box = document.querySelector("main .scroller"), frames = [];
  let last = performance.now();
  while (!document.querySelector(`[data-ts="${oldest}"]`)) {
    box.scrollBy(0, -box.clientHeight);
    await new Promise(requestAnimationFrame);
    frames.push(performance.now() - last);
    last = performance.now();
  }
  return frames;
}"""
# Posts as the person who looks, and waits until the message is drawn; in ms.
_POST = """async ([channel, text]) => {
  const began = performance.now(), list = document.querySelector("main .messages");
  const drawn = new Promise((done) => {
    const seen = new MutationObserver(() => list.lastElementChild.textContent.includes(text) && done(seen));
    seen.observe(list, { childList: true, subtree: true });
  });
  const headers = { Authorization: "Bearer xoxp-staff", "Content-Type": "application/json" };
  await fetch("/api/chat.postMessage", { method: "POST", headers, body: JSON.stringify({ channel, text }) });
  (await drawn).disconnect();
  await new Promise(requestAnimationFrame);
  return performance.now() - began;
}"""  # noqa: E501 - a program of another language


async def measure(home: Path) -> dict[str, Any]:
    """Fill a channel, look at it in a browser, and read back to its beginning."""
    with LocalSet(home, home, Ports.free()) as local:
        await local.start_sandbox()
        oldest = await _fill(local.sandbox_url)
        return await _look(local.sandbox_url, oldest)


async def _fill(url: str) -> str:
    asker = AsyncWebClient(token="xoxp-asker", base_url=f"{url}/api/")  # noqa: S106
    said = [
        await asker.chat_postMessage(channel=CHANNEL, text=WORDS.format(number))
        for number in range(MESSAGES)
    ]
    return str(said[0]["ts"])


async def _look(url: str, oldest: str) -> dict[str, Any]:
    from playwright.async_api import async_playwright

    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=_browser_path())
        page = await browser.new_page(viewport={"width": 1280, "height": 900})
        await page.goto(f"{url}/?as=staff&channel={CHANNEL}")
        await page.wait_for_selector("body[data-ready]")
        opened_ms = await page.evaluate("performance.now()")
        frames = await page.evaluate(_TO_THE_OLDEST, oldest)
        posts = [await page.evaluate(_POST, [CHANNEL, f"post {n}."]) for n in range(POSTS)]
        nodes = await page.evaluate("document.querySelectorAll('*').length")
        await browser.close()
    return {
        "messages": MESSAGES,
        "opened_ms": round(opened_ms),
        "frame_ms": milliseconds([frame / 1000 for frame in frames]) | {"max": round(max(frames))},
        "frames": len(frames),
        "over_50_ms": round(sum(frame > 50 for frame in frames) / len(frames), 3),
        "post_to_drawn_ms": milliseconds([post / 1000 for post in posts]),
        "elements": nodes,
    }


def _browser_path() -> str:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        raise SetFailed("this needs a browser: apt-get install chromium")
    return found


def main() -> None:
    """Measure and tell."""
    print(f"▶ A channel of {MESSAGES} messages in a browser", flush=True)
    home = Path(tempfile.mkdtemp(prefix="mynah-bench-page-"))
    figures = asyncio.run(measure(home))
    shutil.rmtree(home)
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(figures, indent=2) + "\n")
    frame, post = figures["frame_ms"], figures["post_to_drawn_ms"]
    print(f"  opened in                  {figures['opened_ms']:>6} ms")
    print(f"  a frame, scrolling to the oldest  p50 {frame['p50']} ms, p99 {frame['p99']} ms")
    print(f"  posted until drawn, all there     p50 {post['p50']} ms, p99 {post['p99']} ms")
    print(f"Figures: {REPORT}")


if __name__ == "__main__":
    with in_one_line("bench-page"):
        main()
