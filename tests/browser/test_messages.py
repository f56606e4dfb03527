"""What one can do with a message: react, reply, edit, delete, and the app's shortcuts."""

from __future__ import annotations

from typing import Any

from tests.browser.conftest import PageAs
from tests.deploy.sandbox.acts import HELP
from tests.deploy.sandbox.bolt import Listener
from tests.sandbox_server import Sandbox, connected, until

SHORTCUTS = ["Why this answer?", "Correct this answer"]


async def say(sandbox: Sandbox, who: str, text: str, **more: Any) -> str:
    """Say something in #help; its ts."""
    said = await sandbox.client(f"xoxp-{who}").chat_postMessage(channel=HELP, text=text, **more)
    return str(said["ts"])


async def stored(sandbox: Sandbox, ts: str) -> dict[str, Any]:
    """The message as the sandbox has it."""
    return next(one for one in await sandbox.messages() if one["ts"] == ts)


def row(page: Any, ts: str, within: str = "main") -> Any:
    """A message in the conversation, or in the thread's pane (`aside`)."""
    return page.locator(f'{within} li.message[data-ts="{ts}"]')


async def focused(page: Any) -> str:
    """The ts of the message that has the focus."""
    return str(await page.evaluate("document.activeElement.dataset.ts ?? ''"))


async def choose(page: Any, ts: str, name: str) -> None:
    """Choose an entry of a message's menu."""
    await row(page, ts).hover()
    await row(page, ts).get_by_role("button", name="More actions").click()
    await page.get_by_role("menuitem", name=name).click()


async def test_a_quick_reaction_is_the_persons_and_can_be_taken_back(
    sandbox: Sandbox, page_as: PageAs
) -> None:
    """One click reacts, the pill says by whom, and a click on the pill takes it back."""
    ts = await say(sandbox, "staff", "It is 7411.")
    await sandbox.client("xoxp-staff").reactions_add(channel=HELP, timestamp=ts, name="memo")
    page = await page_as("asker", channel=HELP)
    await row(page, ts).hover()
    toolbar = row(page, ts).get_by_role("toolbar", name="Message actions")
    await toolbar.get_by_role("button", name="React with ✅ (right)").click()
    mine = page.get_by_role("button", name="✅ 1, you reacted", exact=True, pressed=True)
    await mine.wait_for()
    theirs = page.get_by_role("button", name="📝 1, staff reacted", pressed=False)
    await theirs.click()
    await page.get_by_role("button", name="📝 2, you reacted, and so did staff").wait_for()
    await mine.click()
    await mine.wait_for(state="detached")
    assert (await stored(sandbox, ts))["reactions"] == [
        {"name": "memo", "users": ["U0STAFF", "U0ASKER"], "count": 2}
    ]


async def test_any_emoji_can_be_found_by_its_name(sandbox: Sandbox, page_as: PageAs) -> None:
    """The picker begins with those that mean something, and its search reaches the others."""
    ts = await say(sandbox, "staff", "It is 7411.")
    page = await page_as("asker", channel=HELP)
    await row(page, ts).hover()
    await row(page, ts).get_by_role("button", name="Add a reaction").click()
    picker = page.get_by_role("dialog", name="Add a reaction")
    first = picker.get_by_role("group", name="Often used here").get_by_role("button")
    assert await first.all_inner_texts() == ["✅", "❌", "📝", "🆘", "👍", "👎", "👀"]
    await page.keyboard.type("penguin")  # the search has the focus
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="🐧 1, you reacted").wait_for()
    assert await picker.count() == 0


async def test_only_the_row_that_is_looked_at_has_a_toolbar(
    sandbox: Sandbox, page_as: PageAs
) -> None:
    """Rows stay cheap: the buttons are drawn for one message, and go with the pointer."""
    ts = [await say(sandbox, "staff", f"message {n}") for n in range(4)]
    page = await page_as("asker", channel=HELP)
    assert await page.get_by_role("toolbar").count() == 0
    for one in ts[1:3]:
        await row(page, one).hover()
        await row(page, one).get_by_role("toolbar").wait_for()
        assert await page.get_by_role("toolbar").count() == 1


async def test_reply_in_thread_is_ready_to_be_written(sandbox: Sandbox, page_as: PageAs) -> None:
    """The button opens the thread and one writes at once."""
    ts = await say(sandbox, "asker", "Which port?")
    page = await page_as("staff", channel=HELP)
    await row(page, ts).hover()
    await row(page, ts).get_by_role("button", name="Reply in thread").click()
    await page.locator("#reply:focus").wait_for()
    await page.keyboard.type("7411")
    await page.keyboard.press("Enter")
    await page.locator("aside li.message", has_text="7411").wait_for()
    assert (await sandbox.messages())[-1]["thread_ts"] == ts


async def test_one_edits_what_one_typed(sandbox: Sandbox, page_as: PageAs) -> None:
    """The editor shows names for ids; what is saved has ids and a mark; Escape saves nothing."""
    ts = await say(sandbox, "asker", "<@U0MYNAH> which port &amp; host?")
    page = await page_as("asker", channel=HELP)
    await choose(page, ts, "Edit message")
    editor = page.get_by_role("textbox", name="Edit message")
    assert await editor.input_value() == "@Mynah which port & host?"
    await editor.fill("@Mynah which host <now>?")
    await page.keyboard.press("Enter")
    await row(page, ts).get_by_text("(edited)").wait_for()
    assert (await stored(sandbox, ts))["text"] == "<@U0MYNAH> which host &lt;now&gt;?"
    assert await focused(page) == ts
    await page.keyboard.press("e")
    await editor.fill("nonsense")
    await page.keyboard.press("Escape")
    await editor.wait_for(state="detached")
    assert "nonsense" not in (await stored(sandbox, ts))["text"]


async def test_a_deletion_is_asked_for_first(sandbox: Sandbox, page_as: PageAs) -> None:
    """Cancel keeps the message; Delete takes it away, and a thread's root leaves a mark."""
    ts = await say(sandbox, "asker", "Which port?")
    await say(sandbox, "staff", "7411", thread_ts=ts)
    page = await page_as("asker", channel=HELP)
    await choose(page, ts, "Delete message")
    asking = page.get_by_role("alertdialog", name="Delete message")
    await asking.get_by_role("button", name="Cancel").click()
    assert (await stored(sandbox, ts))["text"] == "Which port?"
    await choose(page, ts, "Delete message")
    await asking.get_by_role("button", name="Delete", exact=True).click()
    await row(page, ts).get_by_text("This message was deleted.").wait_for()
    assert (await stored(sandbox, ts))["subtype"] == "tombstone"
    await row(page, ts).hover()
    assert await page.get_by_role("toolbar").count() == 0


async def test_others_messages_are_theirs(sandbox: Sandbox, page_as: PageAs) -> None:
    """The menu of somebody else's message neither edits nor deletes, and `E` does nothing."""
    ts = await say(sandbox, "staff", "7411")
    page = await page_as("asker", channel=HELP)
    await row(page, ts).focus()
    await page.keyboard.press("e")
    await page.keyboard.press("Enter")
    entries = page.get_by_role("menu", name="More actions").get_by_role("menuitem")
    assert await entries.all_inner_texts() == [*SHORTCUTS, "Copy link"]


async def test_the_apps_shortcuts_reach_it(sandbox: Sandbox, page_as: PageAs) -> None:
    """An entry of the menu tells the app which message; while nobody is there one is told so."""
    ts = await say(sandbox, "staff", "7411")
    page = await page_as("asker", channel=HELP)
    await choose(page, ts, "Why this answer?")
    await page.get_by_role("status").get_by_text("dispatch_failed").wait_for()
    heard: list[dict[str, Any]] = []

    async def asked(ack: Any, body: dict[str, Any]) -> None:
        await ack()
        heard.append(body)

    listener = Listener(sandbox)
    listener.app.shortcut("why_answer")(asked)
    async with connected(sandbox, listener.app):
        await choose(page, ts, "Why this answer?")
        await until(lambda: len(heard) == 1)
    assert (heard[0]["message"]["ts"], heard[0]["user"]["id"]) == (ts, "U0ASKER")


async def test_the_link_leads_to_the_message(sandbox: Sandbox, page_as: PageAs) -> None:
    """Copy link gives the page's own address of the place."""
    ts = await say(sandbox, "staff", "7411")
    page = await page_as("asker", channel=HELP)
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await choose(page, ts, "Copy link")
    await page.wait_for_function("navigator.clipboard.readText().then((text) => text)")
    link = await page.evaluate("navigator.clipboard.readText()")
    assert link == f"{sandbox.url}/?as=asker&channel={HELP}"


async def test_messages_are_walked_and_used_by_keys(sandbox: Sandbox, page_as: PageAs) -> None:
    """The list is one stop; arrows walk it, R reacts, T replies, Escape comes back."""
    ts = [await say(sandbox, "staff", f"message {n}") for n in range(3)]
    page = await page_as("asker", channel=HELP)
    assert await page.locator('main li.message[tabindex="0"]').count() == 1
    await page.get_by_role("textbox", name="Message #help").focus()
    await page.keyboard.press("Shift+Tab")
    assert await focused(page) == ts[2]
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("ArrowUp")
    assert await focused(page) == ts[0]
    await page.keyboard.press("ArrowUp")
    assert await focused(page) == ts[0]
    await page.keyboard.press("ArrowDown")
    assert await page.locator('main li.message[tabindex="0"]').get_attribute("data-ts") == ts[1]
    await page.keyboard.press("r")
    await page.get_by_role("searchbox", name="Search emoji").wait_for()
    await page.keyboard.press("Escape")
    assert await focused(page) == ts[1]
    await page.keyboard.press("Tab")
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="❌ 1, you reacted").wait_for()
    await row(page, ts[1]).focus()
    await page.keyboard.press("t")
    await page.locator("#reply:focus").wait_for()


async def test_what_only_one_sees_can_be_put_away(sandbox: Sandbox, page_as: PageAs) -> None:
    """An ephemeral message has no actions but to dismiss it, for oneself."""
    bot = sandbox.client("xoxb-mynah")
    said = await bot.chat_postEphemeral(channel=HELP, user="U0ASKER", text="Just for you")
    page = await page_as("asker", channel=HELP)
    shown = row(page, said["message_ts"])
    await shown.hover()
    assert await page.get_by_role("toolbar").count() == 0
    await shown.get_by_role("button", name="Dismiss message").click()
    await shown.wait_for(state="detached")


async def test_new_messages_begin_at_a_line(sandbox: Sandbox, page_as: PageAs) -> None:
    """The line stands over what came since one last looked; what comes meanwhile draws none."""
    await say(sandbox, "staff", "read before")
    page = await page_as("asker", channel=HELP)
    await page.locator('[data-channel-link="C0OPS"]').click()
    await page.get_by_role("textbox", name="Message #ops").wait_for()
    ts = await say(sandbox, "staff", "came meanwhile")
    await say(sandbox, "staff", "and more")
    await page.locator(f'[data-channel-link="{HELP}"]', has_text="unread").click()
    line = page.locator("li.new")
    await line.wait_for()
    assert await page.locator("li.new + li").get_attribute("data-ts") == ts
    await say(sandbox, "staff", "while one looks")
    await page.get_by_text("while one looks").wait_for()
    assert await line.count() == 1
    await page.reload()
    await page.get_by_text("while one looks").wait_for()
    assert await line.count() == 0


async def test_a_tap_shows_what_one_can_do(sandbox: Sandbox, browser: Any, page_as: PageAs) -> None:
    """On a telephone the buttons come with a tap, stay on the screen and are large enough."""
    ts = await say(sandbox, "staff", "7411")
    size = {"width": 390, "height": 780}
    context = await browser.new_context(viewport=size, has_touch=True, is_mobile=True)
    page = await context.new_page()
    await page.goto(f"{sandbox.url}/?as=asker&channel={HELP}")
    await row(page, ts).tap()
    buttons = row(page, ts).get_by_role("toolbar").get_by_role("button")
    await buttons.first.wait_for()
    await row(page, ts).get_by_role("button", name="More actions").tap()
    menu = page.get_by_role("menu", name="More actions")
    for one in [*(await buttons.all()), menu]:
        box = await one.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 24
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= size["width"]
    await context.close()


async def test_a_row_is_drawn_again_only_when_it_changed(sandbox: Sandbox, page_as: PageAs) -> None:
    """Another's new message draws its own row, and none of those that are there."""
    await say(sandbox, "staff", "first")
    page = await page_as("asker", channel=HELP)
    await page.evaluate(
        """async () => {
            const { Message } = await import("/page/message.js");
            const render = Message.prototype.render;
            window.drawn = [];
            Message.prototype.render = function (props, state) {
                window.drawn.push(props.said.text);
                return render.call(this, props, state);
            };
        }"""
    )
    await say(sandbox, "asker2", "second")
    await page.get_by_text("second").wait_for()
    assert await page.evaluate("[...new Set(window.drawn)]") == ["second"]
