"""What the page draws, in a real browser: every kind of block, and nothing that a text says."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from deploy.pictures.camera import NoBrowser, browser_path
from tests.deploy.sandbox.acts import (
    HELP,
    actions,
    button,
    control,
    feedback,
    home,
    modal,
    option,
    plain,
    question,
)
from tests.sandbox_server import Sandbox

try:
    BROWSER = browser_path()
except NoBrowser as missing:
    pytest.skip(str(missing) or str(NoBrowser.__doc__), allow_module_level=True)
playwright = importlib.import_module("playwright.async_api")

HOSTILE = "</div><img src=x onerror=alert(1)><script>alert(2)</script>"
Json = dict[str, Any]


def mrkdwn(text: str) -> Json:
    """A mrkdwn text object."""
    return {"type": "mrkdwn", "text": text}


def rich(*parts: Json) -> Json:
    """A rich text block."""
    return {"type": "rich_text", "elements": list(parts)}


def part(kind: str, *elements: Json, **more: Any) -> Json:
    """A part of a rich text."""
    return {"type": f"rich_text_{kind}", "elements": list(elements), **more}


def words(text: str, **style: bool) -> Json:
    """Words in a rich text."""
    return {"type": "text", "text": text} | ({"style": style} if style else {})


def task(title: str, status: str, **more: Any) -> Json:
    """One step of a plan."""
    return {"type": "task_card", "task_id": title, "title": title, "status": status, **more}


def kinds(text: str) -> dict[str, tuple[Json, str]]:
    """A block of each kind that says `text`, and what is seen of it."""
    confirm = {"title": plain("Sure?"), "text": plain(text), "confirm": plain("Yes")}
    menu = {"type": "static_select", "action_id": "m", "options": [option("one")]}
    boxes = {"type": "checkboxes", "action_id": "c", "options": [option("two")]}
    radios = {"type": "radio_buttons", "action_id": "r", "options": [option("three")]}
    more = {"type": "overflow", "action_id": "o", "options": [option("four")]}
    named = {**button("b"), "text": plain(text[:75]), "style": "danger", "confirm": confirm}
    cells = [{"type": "raw_text", "text": text}, rich(part("section", words(text)))]
    listed = part("list", part("section", words(text)), style="bullet")
    return {
        "section": ({"type": "section", "text": mrkdwn(text), "accessory": more}, text),
        "fields": ({"type": "section", "fields": [plain(text), mrkdwn(text)]}, f"{text} {text}"),
        "context": ({"type": "context", "elements": [mrkdwn(text), plain("& so")]}, f"{text} & so"),
        "markdown": ({"type": "markdown", "text": f"{text} `x`"}, f"{text} x"),
        "actions": (actions(named, menu, boxes, radios), text[:75]),
        "context_actions": (feedback(), "👍 👎"),
        "header": ({"type": "header", "text": plain(text)}, text),
        "divider": ({"type": "divider"}, ""),
        "image": ({"type": "image", "image_url": "https://x.test/y.png", "alt_text": text}, text),
        "input": (question("Why?", initial_value=text), "Why?"),
        "rich_text": (
            rich(
                part("section", words(text, bold=True), {"type": "user", "user_id": "U0STAFF"}),
                listed, part("quote", words(text, strike=True)), part("preformatted", words(text)),
            ),
            f"{text}@staff {text} {text} {text}",
        ),
        "plan": (
            {"type": "plan", "title": text, "tasks": [task(text, "complete")]},
            f"{text} 1 of 1 ✓ {text}",
        ),
        "task_card": (
            task(text, "error", output=rich(part("section", words(text)))),
            f"! {text} {text}",
        ),
        "table": ({"type": "table", "rows": [cells, cells]}, " ".join([text] * 4)),
    }  # fmt: skip


@asynccontextmanager
async def looking(sandbox: Sandbox, query: str) -> AsyncIterator[tuple[Any, list[str]]]:
    """The page in a browser, and what it has asked for."""
    asked: list[str] = []
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=BROWSER)
        page = await browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: asked.append(f"error: {error}"))
        await page.goto(f"{sandbox.url}/?{query}")
        await page.wait_for_selector("body[data-ready]")
        yield page, asked
        await browser.close()


async def post(sandbox: Sandbox, text: str) -> dict[str, str]:
    """Post each kind of block as the bot; returns what is to be seen, by ts."""
    bot, seen = sandbox.client("xoxb-mynah"), {}
    for block, shown in kinds(text).values():
        said = await bot.chat_postMessage(channel=HELP, text="so", blocks=[block])
        seen[str(said["ts"])] = shown
    return seen


async def drawn(page: Any, ts: str) -> str:
    """The words of a message, as one line."""
    text = await page.locator(f'[data-ts="{ts}"] .body').inner_text()
    return " ".join(text.split())


async def test_each_kind_of_block_shows_its_words(sandbox: Sandbox) -> None:
    """All that a message may hold is drawn, and nothing of it as unsupported."""
    seen = await post(sandbox, "Port 7411 is right")
    async with looking(sandbox, f"channel={HELP}") as (page, _asked):
        for ts, shown in seen.items():
            assert shown in await drawn(page, ts)
        assert await page.locator(".block > .unknown").count() == 0
        assert await page.locator("select option, .choice, .overflow button").count() == 5


async def test_hostile_words_stay_words(sandbox: Sandbox) -> None:
    """Wherever a text may stand, markup in it is shown as it is; nothing is loaded or run."""
    seen = await post(sandbox, HOSTILE)
    await sandbox.client("xoxp-asker").chat_postMessage(channel=HELP, text=HOSTILE)
    await sandbox.seed(users=[{"id": "U0EVIL", "name": HOSTILE, "real_name": HOSTILE}])
    async with looking(sandbox, f"channel={HELP}") as (page, asked):
        assert await page.locator('img[src="x"], [onerror], body script').count() == 0
        for ts, shown in seen.items():
            assert "".join(shown.split()) in "".join((await drawn(page, ts)).split())
        assert [url for url in asked if not url.startswith(sandbox.url)] == []


async def test_mrkdwn_as_slack_reads_it(sandbox: Sandbox) -> None:
    """Mentions by name, emoji, styles, quotes and links; what is no address is no link."""
    text = (
        "*bold* _it_ ~no~ `*c*` a_b_c 2*3*4 <@U0STAFF> <#C0OPS> <!subteam^S0STAFF> <!here> :tada:\n"
        "> quoted\n```\ncode *x*\n```<https://x.test|label> <javascript:alert(1)|bad>"
    )
    bot = sandbox.client("xoxb-mynah")
    block = {"type": "section", "text": mrkdwn(text)}
    said = await bot.chat_postMessage(channel=HELP, text="so", blocks=[block])
    async with looking(sandbox, f"channel={HELP}") as (page, _asked):
        shown = await drawn(page, said["ts"])
        assert shown == (
            "bold it no *c* a_b_c 2*3*4 @staff #ops @staff @here 🎉 quoted code *x* label "
            "<javascript:alert(1)|bad>"
        )
        for tag, words_in in (("strong", "bold"), ("em", "it"), ("s", "no"), ("code", "*c*")):
            assert await page.locator(f".body {tag}").all_inner_texts() == [words_in]
        assert await page.locator(".body a").all_inner_texts() == ["label"]


async def test_a_thread_with_its_marks(sandbox: Sandbox) -> None:
    """Replies stand under their question; the badge, reactions, and that it was edited show."""
    asker, bot = sandbox.client("xoxp-asker"), sandbox.client("xoxb-mynah")
    asked = await asker.chat_postMessage(channel=HELP, text="Which port?")
    await asker.chat_postMessage(channel=HELP, text="something else")
    said = await bot.chat_postMessage(channel=HELP, text="7411", thread_ts=asked["ts"])
    await bot.chat_update(channel=HELP, ts=said["ts"], text="7412")
    await asker.reactions_add(channel=HELP, timestamp=said["ts"], name="white_check_mark")
    async with looking(sandbox, f"channel={HELP}&thread={asked['ts']}&alone") as (page, _asked):
        shown = " ".join((await page.locator(".messages").inner_text()).split())
        assert "something else" not in shown
        assert shown.startswith("A asker")
        assert "1 reply Mynah APP" in shown
        assert shown.endswith("✅ 1")
        assert "7412" in shown
        await bot.chat_update(channel=HELP, ts=said["ts"], text="7413")
        await page.get_by_text("7413").wait_for()  # without anybody's help


async def test_modals_and_home_tabs(sandbox: Sandbox) -> None:
    """Each is drawn with what it holds, and its parts carry the ids to act by."""
    bot = sandbox.client("xoxb-mynah")
    await bot.views_publish(user_id="U0ADMIN", view=home(*(kinds(HOSTILE)[k][0] for k in (
        "section", "context", "actions", "header", "rich_text", "input"))))  # fmt: skip
    posted = await bot.chat_postMessage(channel=HELP, text="so", blocks=[actions(button("go"))])
    pressed = await _trigger(sandbox, str(posted["ts"]))
    view = modal(question("why", initial_value="because", multiline=True))
    await bot.views_open(trigger_id=pressed, view=view)
    async with looking(sandbox, "modal=U0STAFF&alone") as (page, _asked):
        assert await page.locator("form[data-view-id] h2").inner_text() == "Correct"
        field = page.locator('[data-block-id="why"] [data-action-id="why_typed"]')
        assert await field.input_value() == "because"
        assert await page.locator("button[type=submit]").inner_text() == "Save"
    async with looking(sandbox, "home=U0ADMIN") as (page, asked):
        assert HOSTILE in await page.locator(".home").inner_text()
        assert await page.locator('img[src="x"], body script').count() == 0
        assert [url for url in asked if not url.startswith(sandbox.url)] == []


async def _trigger(sandbox: Sandbox, ts: str) -> str:
    await control(sandbox, "faults", ack_s=0.1, trigger_s=60)
    answer = await control(
        sandbox, "action", token="xoxp-staff", channel=HELP, ts=ts, action_id="go"
    )
    return str(answer["trigger_id"])
