"""Where one writes: what is typed, what is offered, and what is sent."""

from __future__ import annotations

from typing import Any

from tests.browser.conftest import PageAs
from tests.deploy.sandbox.acts import HELP
from tests.deploy.sandbox.bolt import Listener
from tests.sandbox_server import Sandbox, connected

NAMES = """{
    user: (id) => ({ U1: "Jo Lindgren", U2: "Jo", U3: "Mynah" })[id] ?? id,
    channel: (id) => ({ C1: "help", C2: "help-it" })[id] ?? id,
    group: (id) => ({ S1: "staff" })[id] ?? id,
    everybody: () => [
        { id: "U2", name: "Jo" },
        { id: "U1", name: "Jo Lindgren" },
        { id: "U3", name: "Mynah" },
    ],
    places: () => [{ id: "C1", name: "help" }, { id: "C2", name: "help-it" }],
    groups: () => [{ id: "S1", name: "staff" }],
}"""
TYPED = {
    "names": ("@Mynah and @Jo Lindgren's @Jo.", "<@U3> and <@U1>'s <@U2>."),
    "longer words": ("@Mynahs @Jonas a@Jo", "@Mynahs @Jonas a@Jo"),
    "everybody": ("@here (@channel) @staff", "<!here> (<!channel>) <!subteam^S1>"),
    "channels": ("#help, #help-it #helped", "<#C1>, <#C2> #helped"),
    "signs": ("1 < 2 & <@U3>", "1 &lt; 2 &amp; &lt;@U3&gt;"),
    "code": ("`@Mynah <b>` ```@Jo\n#help``` @Jo", "`@Mynah &lt;b&gt;` ```@Jo\n#help``` <@U2>"),
    "lines": ("*bold*\n> @Jo :wave:", "*bold*\n&gt; <@U2> :wave:"),
}


def box(page: Any, name: str = "Message #help") -> Any:
    """Where one writes."""
    return page.get_by_role("textbox", name=name, exact=True)


async def newest(sandbox: Sandbox, channel: str = HELP) -> dict[str, Any]:
    """The last message of a channel."""
    return (await sandbox.messages(channel))[-1]


async def test_typed_text_becomes_slacks_and_back(page_as: PageAs) -> None:
    """Names are ids on the wire and names again to be edited; code and words stay as they are."""
    page = await page_as("asker", channel=HELP)
    run = f"""async ([what, text]) => (await import("/page/encode.js"))[what](text, {NAMES})"""
    for typed, wire in TYPED.values():
        assert await page.evaluate(run, ["encode", typed]) == wire
        assert await page.evaluate(run, ["decode", wire]) == typed
    links = "<https://x.test/?a=1&amp;b=2> <mailto:a@x.test|a@x.test>"
    assert await page.evaluate(run, ["decode", links]) == "https://x.test/?a=1&b=2 a@x.test"


async def test_enter_sends_and_shift_enter_breaks_the_line(
    sandbox: Sandbox, page_as: PageAs
) -> None:
    """What was typed is posted as the person's, and the box is empty and grew meanwhile."""
    page = await page_as("asker", channel=HELP)
    send = page.get_by_role("button", name="Send", exact=True)
    assert await send.is_disabled()
    low = await box(page).bounding_box()
    await box(page).focus()
    await page.keyboard.type("one & two")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("three")
    high = await box(page).bounding_box()
    assert high["height"] > low["height"]
    assert await send.is_enabled()
    await page.keyboard.press("Enter")
    await page.locator("main li.message", has_text="three").wait_for()
    said = await newest(sandbox)
    assert (said["user"], said["text"]) == ("U0ASKER", "one &amp; two\nthree")
    assert await box(page).input_value() == ""


async def test_enter_of_an_input_method_sends_nothing(sandbox: Sandbox, page_as: PageAs) -> None:
    """While a word is composed, Enter is the input method's own."""
    page = await page_as("asker", channel=HELP)
    await box(page).fill("にほん")
    await box(page).dispatch_event("keydown", {"key": "Enter", "isComposing": True})
    await box(page).press("End")
    assert await box(page).input_value() == "にほん"
    await box(page).press("Enter")
    await page.locator("main li.message", has_text="にほん").wait_for()
    assert len(await sandbox.messages()) == 1


async def test_names_are_offered_and_taken_by_keys(sandbox: Sandbox, page_as: PageAs) -> None:
    """The list says to a screen reader what Enter takes; Escape puts it away."""
    page = await page_as("asker", channel=HELP)
    await box(page).press_sequentially("Hello @sta")
    offered = page.get_by_role("listbox", name="Suggestions")
    options = offered.get_by_role("option")
    assert await options.locator("strong").all_inner_texts() == ["staff", "staff2", "@staff"]
    await page.keyboard.press("ArrowDown")
    chosen = await box(page).get_attribute("aria-activedescendant")
    assert await page.locator(f'[id="{chosen}"]').get_attribute("aria-selected") == "true"
    await page.keyboard.press("Enter")
    assert await box(page).input_value() == "Hello @staff2 "
    await page.keyboard.type(":tad")
    await offered.get_by_role("option", name=":tada:").click()
    await page.keyboard.type("#op")
    await page.keyboard.press("Tab")
    await page.keyboard.type("@my")
    await page.keyboard.press("Escape")
    assert await offered.count() == 0
    await page.keyboard.press("Enter")
    await page.locator("main li.message").wait_for()
    assert (await newest(sandbox))["text"] == "Hello <@U0STAFF2> :tada: <#C0OPS> @my"


async def test_a_name_typed_to_its_end_is_sent_by_enter(sandbox: Sandbox, page_as: PageAs) -> None:
    """Who types all of it need not choose it first."""
    page = await page_as("asker", channel=HELP)
    await box(page).press_sequentially("@Mynah")
    await page.get_by_role("listbox").wait_for()
    await page.keyboard.press("Enter")
    await page.locator("main li.message").wait_for()
    assert (await newest(sandbox))["text"] == "<@U0MYNAH>"


async def test_an_unknown_command_stays_and_says_why(sandbox: Sandbox, page_as: PageAs) -> None:
    """As Slack's client: nothing is sent, the text is kept; with a space before it, it is words."""
    page = await page_as("asker", channel=HELP)
    await box(page).fill("/nope at all")
    await box(page).press("Enter")
    await page.get_by_role("alert").get_by_text("/nope is not a valid command").wait_for()
    assert await box(page).input_value() == "/nope at all"
    assert await sandbox.messages() == []
    await box(page).fill(" /nope at all")
    await box(page).press("Enter")
    await page.locator("main li.message").wait_for()
    assert (await newest(sandbox))["text"] == "/nope at all"


async def test_a_command_is_offered_and_reaches_the_app(sandbox: Sandbox, page_as: PageAs) -> None:
    """The slash opens the app's commands; what the app answers is seen, what fails is said."""
    listener = Listener(sandbox)
    page = await page_as("admin", channel=HELP)
    await box(page).fill("/mynah status")
    await box(page).press("Enter")
    await page.get_by_role("alert").get_by_text("dispatch_failed").wait_for()
    assert await box(page).input_value() == "/mynah status"

    async def told(ack: Any, command: dict[str, Any]) -> None:
        await ack(f"you typed {command['text']}")

    listener.app.command("/mynah")(told)
    await box(page).fill("")
    async with connected(sandbox, listener.app):
        await box(page).press_sequentially("/my")
        await page.get_by_role("option", name="/mynah").wait_for()
        await page.keyboard.press("Enter")
        await page.keyboard.type("train & wait")
        await page.keyboard.press("Enter")
        await page.locator("main li.ephemeral", has_text="you typed train & wait").wait_for()
    assert await box(page).input_value() == ""


async def test_what_could_not_be_sent_is_not_lost(sandbox: Sandbox, page_as: PageAs) -> None:
    """A refusal keeps the text and says why; the next try goes through."""
    page = await page_as("asker", channel=HELP)
    limit = {"method": "chat.postMessage", "error": "restricted_action", "token": "xoxp-asker"}
    await sandbox.faults(fail=limit)
    await box(page).fill("Which port?")
    await box(page).press("Enter")
    await page.get_by_role("alert").get_by_text("restricted_action").wait_for()
    assert await box(page).input_value() == "Which port?"
    await page.get_by_role("button", name="Send", exact=True).click()
    await page.locator("main li.message", has_text="Which port?").wait_for()
    assert await page.get_by_role("alert").count() == 0


async def test_a_draft_waits_where_it_was_begun(sandbox: Sandbox, page_as: PageAs) -> None:
    """Each place keeps its own words while one is elsewhere."""
    page = await page_as("asker", channel=HELP)
    await box(page).fill("half a thou")
    await page.locator('[data-channel-link="C0OPS"]').click()
    assert await box(page, "Message #ops").input_value() == ""
    await page.locator(f'[data-channel-link="{HELP}"]').click()
    assert await box(page).input_value() == "half a thou"


async def test_the_arrow_up_edits_ones_last_message(sandbox: Sandbox, page_as: PageAs) -> None:
    """In an empty box only; afterwards one is in the box again."""
    asker = sandbox.client("xoxp-asker")
    await asker.chat_postMessage(channel=HELP, text="Whcih port?")
    await sandbox.client("xoxp-staff").chat_postMessage(channel=HELP, text="Hm?")
    page = await page_as("asker", channel=HELP)
    await box(page).press("ArrowUp")
    editor = page.get_by_role("textbox", name="Edit message")
    assert await editor.input_value() == "Whcih port?"
    await editor.fill("Which port?")
    await editor.press("Enter")
    await page.locator("#composer:focus").wait_for()
    assert (await sandbox.messages())[0]["text"] == "Which port?"


async def test_a_reply_can_go_to_the_channel_too(sandbox: Sandbox, page_as: PageAs) -> None:
    """The box under a thread's writes the reply where everybody sees it."""
    asked = await sandbox.client("xoxp-asker").chat_postMessage(channel=HELP, text="Which port?")
    page = await page_as("staff", channel=HELP, thread=str(asked["ts"]))
    await page.get_by_role("checkbox", name="Also send to #help").check()
    await box(page, "Reply in thread").fill("7411")
    await box(page, "Reply in thread").press("Enter")
    await page.locator("main li.message", has_text="7411").wait_for()
    assert (await newest(sandbox))["subtype"] == "thread_broadcast"


async def test_others_see_that_somebody_types(sandbox: Sandbox, page_as: PageAs) -> None:
    """A line under the messages of whoever looks, and not under one's own."""
    asker = await page_as("asker", channel=HELP)
    staff = await page_as("staff", channel=HELP)
    await box(asker).press_sequentially("Which")
    await staff.get_by_text("asker is typing …").wait_for()
    assert await asker.get_by_text("is typing").count() == 0


async def test_the_apps_suggestions_speak_for_the_person(sandbox: Sandbox, page_as: PageAs) -> None:
    """A suggested prompt posts its message in the thread, as the person's."""
    opened = await sandbox.client("xoxp-asker").conversations_open(users="U0MYNAH")
    direct = opened["channel"]["id"]
    asked = await sandbox.client("xoxp-asker").chat_postMessage(channel=direct, text="Hello")
    prompts = [{"title": "The port", "message": "Which port does it use?"}]
    await sandbox.client("xoxb-mynah").assistant_threads_setSuggestedPrompts(
        channel_id=direct, thread_ts=asked["ts"], title="Ask me", prompts=prompts
    )
    page = await page_as("asker", channel=direct, thread=str(asked["ts"]))
    await page.get_by_role("group", name="Ask me").get_by_role("button", name="The port").click()
    await page.locator("aside li.message", has_text="Which port does it use?").wait_for()
    said = await newest(sandbox, direct)
    assert (said["user"], said["thread_ts"]) == ("U0ASKER", asked["ts"])


async def test_what_is_typed_while_it_is_sent_stays(sandbox: Sandbox, page_as: PageAs) -> None:
    """Two messages one right after the other are two, in order."""
    page = await page_as("asker", channel=HELP)
    for words in ("first", "second", "third"):
        await box(page).fill(words)
        await box(page).press("Enter")
    await page.locator("main li.message", has_text="third").wait_for()
    texts = [one["text"] for one in await sandbox.messages()]
    assert texts == ["first", "second", "third"]
