"""What the page makes of Block Kit, in a real browser: every kind of block, as it stands."""

from __future__ import annotations

from typing import Any

from deploy.sandbox.markdown import to_blocks
from tests.deploy.sandbox.acts import actions, button, feedback, home, option, plain, question
from tests.deploy.sandbox.canvas import Canvas, canvas
from tests.sandbox_server import Sandbox

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


def messages(text: str) -> tuple[list[Json], dict[str, str]]:
    """A message for each kind of block, and what is to be seen of each, by ts."""
    said, seen = [], {}
    for name, (block, shown) in kinds(text).items():
        made = to_blocks(block["text"]) if block["type"] == "markdown" else [block]
        said.append({"ts": name, "blocks": made})
        seen[name] = shown
    return said, seen


async def drawn(drawing: Canvas, ts: str) -> str:
    """The words of a message, as one line."""
    text = await drawing.page.locator(f'[data-ts="{ts}"] .body').inner_text()
    return " ".join(text.split())


async def test_each_kind_of_block_shows_its_words(sandbox: Sandbox) -> None:
    """All that a message may hold is drawn, and nothing of it as unsupported."""
    said, seen = messages("Port 7411 is right")
    async with canvas(sandbox) as drawing:
        await drawing.show(messages=said)
        for ts, shown in seen.items():
            assert shown in await drawn(drawing, ts), ts
        assert await drawing.page.locator(".block > .unknown").count() == 0
        assert await drawing.page.locator("select option, .choice, .overflow .option").count() == 5
        assert [one for one in drawing.asked if one.startswith("error")] == []


async def test_what_nobody_knows_is_named(sandbox: Sandbox) -> None:
    """A block, an element and a piece of rich text of an unknown type keep a visible place."""
    odd = [
        {"type": "carousel"},
        actions({"type": "dial", "action_id": "d"}),
        rich({"type": "rich_text_poem"}, part("section", {"type": "sound"})),
    ]
    async with canvas(sandbox) as drawing:
        await drawing.show(messages=[{"ts": "1", "blocks": odd}])
        assert await drawn(drawing, "1") == "(carousel) (dial) (rich_text_poem) (sound)"


async def test_what_cannot_be_drawn_spoils_nothing_else(sandbox: Sandbox) -> None:
    """A malformed block is named in its place, and drawn once it is mended."""
    torn = rich(part("section", None))  # type: ignore[arg-type]
    broken = actions({"type": "multi_users_select", "action_id": "m", "initial_users": 1})
    good = {"type": "header", "text": plain("Still here")}
    async with canvas(sandbox) as drawing:
        await drawing.show(messages=[{"ts": "1", "blocks": [torn, broken, good]}])
        assert await drawn(drawing, "1") == "(rich_text) (actions) Still here"
        mended = rich(part("section", words("mended")))
        await drawing.show(messages=[{"ts": "1", "blocks": [mended, broken, good]}])
        assert await drawn(drawing, "1") == "mended (actions) Still here"


async def test_hostile_words_stay_words(sandbox: Sandbox) -> None:
    """Wherever a text may stand, markup in it is shown as it is; nothing is loaded or run."""
    said, seen = messages(HOSTILE)
    said.append({"ts": "plain", "text": f"{HOSTILE} <@U0EVIL>"})
    fields = (kinds(HOSTILE)[k][0] for k in ("section", "context", "actions", "header", "input"))
    async with canvas(sandbox) as drawing:
        await drawing.page.evaluate("name => { window.people = { U0EVIL: name }; }", HOSTILE)
        await drawing.show(messages=said, home={**home(*fields), "id": "V1"})
        assert await drawing.page.locator('img[src="x"], [onerror], body script').count() == 0
        for ts, shown in seen.items():
            assert "".join(shown.split()) in "".join((await drawn(drawing, ts)).split()), ts
        assert HOSTILE in await drawing.page.locator(".home").inner_text()
        asked = [one for one in drawing.asked if not one.startswith(sandbox.url)]
        assert asked == []


async def test_mrkdwn_as_slack_reads_it(sandbox: Sandbox) -> None:
    """Mentions by name, emoji, styles, quotes and links; what is no address is no link."""
    text = (
        "*bold* _it_ ~no~ `*c*` a_b_c 2*3*4 <@U0STAFF> <#C0OPS> <!subteam^S0STAFF> <!here> :tada:\n"
        "> quoted\n```\ncode *x*\n```<https://x.test|label> <javascript:alert(1)|bad>"
    )
    block = {"type": "section", "text": mrkdwn(text)}
    async with canvas(sandbox) as drawing:
        await drawing.show(messages=[{"ts": "1", "blocks": [block]}])
        assert await drawn(drawing, "1") == (
            "bold it no *c* a_b_c 2*3*4 @staff #ops @staff @here 🎉 quoted code *x* label "
            "<javascript:alert(1)|bad>"
        )
        for tag, words_in in (("strong", "bold"), ("em", "it"), ("s", "no"), ("code", "*c*")):
            assert await drawing.page.locator(f".body {tag}").all_inner_texts() == [words_in]
        assert await drawing.page.locator(".body a").all_inner_texts() == ["label"]


async def test_a_step_names_where_it_read(sandbox: Sandbox) -> None:
    """A task card shows its details and links its sources; an address of no web is no link."""
    sources = [
        {"type": "url", "url": "https://x.test/a", "text": "Ports"},
        {"type": "url", "url": "javascript:alert(1)", "text": "Bad"},
    ]
    step = task("Read", "in_progress", details=rich(part("section", words("page 2"))))
    async with canvas(sandbox) as drawing:
        shown = [{"ts": "1", "blocks": [{**step, "sources": sources}]}]
        await drawing.show(messages=shown)
        assert await drawn(drawing, "1") == "Read page 2 Ports Bad"
        assert await drawing.page.locator(".source a").all_inner_texts() == ["Ports"]
        await drawing.page.get_by_role("img", name="in progress").wait_for()
