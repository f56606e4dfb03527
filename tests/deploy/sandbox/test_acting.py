"""What people do with the page's elements, in a real browser: by mouse, by keyboard, meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.sandbox.widgets import acted_on, choose, fill_in
from tests.deploy.sandbox.acts import actions, button, feedback, modal, option, plain, question
from tests.deploy.sandbox.canvas import Canvas, canvas
from tests.sandbox_server import Sandbox

Json = dict[str, Any]
CONFIRM = {
    "title": plain("Discard v2?"),
    "text": plain("What is live stays."),
    "confirm": plain("Discard v2"),
    "deny": plain("Not now"),
    "style": "danger",
}


def message(*elements: Json) -> Json:
    """A message with a row of elements."""
    return {"ts": "1.0", "blocks": [actions(*elements)]}


def view(*blocks: Json, view_id: str = "V1", **more: Any) -> Json:
    """A modal as the page gets it."""
    return {"id": view_id, **modal(*blocks, **more)}


def menu(**more: Any) -> Json:
    """A static menu."""
    return {"type": "static_select", "action_id": "m", **more}


def labelled(block_id: str, element: Json, **more: Any) -> Json:
    """An input block around an element."""
    named = {"type": "input", "block_id": block_id, "label": plain(block_id)}
    return {**named, "element": {"action_id": f"{block_id}_in", **element}, **more}


async def acts(drawing: Canvas, count: int) -> list[Json]:
    """What was sent, once it is so many acts."""
    await drawing.page.wait_for_function(f"window.sent.length >= {count}")
    return await drawing.sent()


async def test_a_press_says_which_button_and_is_busy_until_the_app_has_heard(
    sandbox: Sandbox,
) -> None:
    """The message, block, action and value are named; a second press meanwhile sends nothing."""
    async with canvas(sandbox) as drawing:
        await drawing.show(messages=[message(button("go", "7"))])
        await drawing.hesitates()
        press = drawing.page.get_by_role("button", name="Press")
        await press.click()
        await press.click()
        assert await press.get_attribute("aria-busy") == "true"
        await drawing.goes_on({})
        await drawing.page.locator("button:not([aria-busy])").wait_for()
        about = {"action_id": "go", "block_id": "row", "value": "7"}
        assert await drawing.sent() == [
            {"what": "action", "channel": "C0HELP", "ts": "1.0", **about}
        ]


async def test_an_act_that_was_not_heard_is_told(sandbox: Sandbox) -> None:
    """No acknowledgement: a line that a screen reader reads; the button may be pressed again."""
    async with canvas(sandbox) as drawing:
        await drawing.show(messages=[message(button("go"))])
        await drawing.answers({"error": "operation_timeout"})
        await drawing.page.get_by_role("button", name="Press").click()
        told = drawing.page.get_by_role("status").get_by_text("did not answer in time")
        await told.wait_for()
        assert await drawing.page.locator("[aria-busy]").count() == 0
        await drawing.page.get_by_role("button", name="Dismiss").click()
        await told.wait_for(state="detached")


async def test_a_question_comes_first(sandbox: Sandbox) -> None:
    """With a confirmation nothing is sent before somebody agrees; Escape says no."""
    async with canvas(sandbox) as drawing:
        await drawing.show(messages=[message({**button("go"), "confirm": CONFIRM})])
        press = drawing.page.get_by_role("button", name="Press")
        asked = drawing.page.get_by_role("alertdialog", name="Discard v2?")
        await press.click()
        assert "What is live stays." in await asked.inner_text()
        await drawing.page.keyboard.press("Escape")
        await asked.wait_for(state="detached")
        await drawing.focus_is_on("Press")
        await press.click()
        await asked.get_by_role("button", name="Not now").click()
        await asked.wait_for(state="detached")
        assert await drawing.sent() == []
        await press.click()
        await drawing.page.keyboard.press("Enter")  # the focus is on what agrees
        assert [one["action_id"] for one in await acts(drawing, 1)] == ["go"]


async def test_a_choice_that_is_taken_back_is_not_shown(sandbox: Sandbox) -> None:
    """A menu whose question is answered with no shows what it held."""
    chosen = menu(options=[option("one"), option("two")], initial_option=option("one"))
    async with canvas(sandbox) as drawing:
        await drawing.show(messages=[message({**chosen, "confirm": CONFIRM})])
        field = drawing.page.locator("select")
        await field.select_option("two")
        await drawing.page.get_by_role("button", name="Not now").click()
        await drawing.page.get_by_role("alertdialog").wait_for(state="detached")
        assert await field.input_value() == "one"
        assert await drawing.sent() == []


@pytest.mark.parametrize(
    ("element", "act", "value"),
    [
        (menu(options=[option("one"), option("two")]), "select", "two"),
        (
            menu(option_groups=[{"label": plain("All"), "options": [option("two")]}]),
            "select",
            "two",
        ),
        ({**menu(), "type": "users_select"}, "select", "U0STAFF"),
        ({**menu(), "type": "conversations_select"}, "select", "C0OPS"),
        ({**menu(), "type": "channels_select"}, "select", "C0OPS"),
        (
            {**menu(options=[option("one"), option("two")]), "type": "multi_static_select"},
            "select",
            ["one", "two"],
        ),
        ({**menu(), "type": "multi_users_select"}, "select", ["U0STAFF"]),
        ({**menu(options=[option("one"), option("two")]), "type": "radio_buttons"}, "tick", "two"),
        ({**menu(options=[option("one"), option("two")]), "type": "checkboxes"}, "tick", ["two"]),
        ({**menu(), "type": "datepicker"}, "fill", "2026-11-23"),
        ({**menu(), "type": "timepicker"}, "fill", "07:11"),
    ],
    ids=lambda one: one["type"] if isinstance(one, dict) else "",
)
async def test_a_choice_is_sent_as_the_sandbox_takes_it(
    sandbox: Sandbox, element: Json, act: str, value: Any
) -> None:
    """Each menu, box and picker tells its value when it changes, and keeps it over a redraw."""
    async with canvas(sandbox) as drawing:
        await drawing.show(messages=[message(element)])
        if act == "select":
            await drawing.page.locator("select").select_option(value)
        elif act == "tick":
            await drawing.page.get_by_label("Two").check()
        else:
            await drawing.page.locator(".field").fill(value)
        (sent,) = await acts(drawing, 1)
        assert sent["value"] == value
        widget = acted_on([actions(element)], sent["action_id"], sent["block_id"], sent["value"])
        choose({}, widget, sent["value"])  # raises where the element does not offer it
        again = {**message(element), "blocks": [actions(element, button("more"))]}
        await drawing.show(messages=[again])
        shown = drawing.page.locator(":checked" if act != "fill" else ".field")
        held = await shown.evaluate_all("all => all.map((one) => one.value)")
        assert [one for one in held if one] == ([value] if isinstance(value, str) else value)


async def test_a_thumb_says_which_and_stays_pressed(sandbox: Sandbox) -> None:
    """👍 and 👎 share an action; the one that was pressed is told, and shown."""
    async with canvas(sandbox) as drawing:
        await drawing.show(messages=[{"ts": "1.0", "blocks": [feedback()]}])
        await drawing.page.get_by_role("button", name="👎").click()
        (sent,) = await acts(drawing, 1)
        assert (sent["action_id"], sent["value"]) == ("rate", "👎")
        await drawing.page.get_by_role("button", name="👎", pressed=True).wait_for()


async def test_a_menu_behind_dots_by_keyboard(sandbox: Sandbox) -> None:
    """It opens, arrows go around, Escape closes it and gives the focus back, Enter chooses."""
    dots = {"type": "overflow", "action_id": "o", "options": [option("one"), option("two")]}
    async with canvas(sandbox) as drawing:
        await drawing.show(messages=[message(dots)])
        keys, opened = drawing.page.keyboard, drawing.page.get_by_role("menu")
        await drawing.page.get_by_role("button", name="More actions").focus()
        await keys.press("Enter")
        await opened.wait_for()
        await drawing.focus_is_on("One")
        await keys.press("ArrowUp")
        await drawing.focus_is_on("Two")
        await keys.press("Escape")
        await opened.wait_for(state="hidden")
        await drawing.focus_is_on("More actions")
        await keys.press("Enter")
        await drawing.focus_is_on("One")
        await keys.press("ArrowDown")
        await drawing.focus_is_on("Two")
        await keys.press("Enter")
        (sent,) = await acts(drawing, 1)
        assert (sent["action_id"], sent["value"]) == ("o", "two")
        await opened.wait_for(state="hidden")


async def test_a_button_with_an_address_opens_it_and_tells(sandbox: Sandbox) -> None:
    """It is a link to elsewhere; that it was used is sent, too."""
    async with canvas(sandbox) as drawing:
        linked = {**button("see"), "url": f"{sandbox.url}/page/mynah.svg"}
        await drawing.show(messages=[message(linked, {**button("bad"), "url": "javascript:x()"})])
        async with drawing.page.expect_popup() as opened:
            await drawing.page.get_by_role("link", name="Press").click()
        assert (await opened.value).url.endswith("/page/mynah.svg")
        assert [one["action_id"] for one in await acts(drawing, 1)] == ["see"]
        assert await drawing.page.locator("a").count() == 1


async def test_typing_outlives_what_else_happens(sandbox: Sandbox) -> None:
    """A redraw, and the app's new view with more in it, leave what is typed, chosen, focused."""
    options = [option("one"), option("two")]
    why, which = question("why", initial_value="because"), labelled("which", menu(options=options))
    async with canvas(sandbox) as drawing:
        await drawing.show(modals=[view(why, which)])
        field = drawing.page.get_by_label("why")
        await drawing.focus_is_on("why")
        await field.fill("a long sentence")
        await drawing.page.get_by_label("which").select_option("two")
        await field.focus()
        await drawing.show(modals=[view(why, which)])
        note = {"type": "section", "text": plain("New words"), "block_id": "note"}
        other = question("other", initial_value="fresh")
        initially = question("why", initial_value="changed by the app")
        await drawing.show(modals=[view(note, initially, which, other)])
        assert await field.input_value() == "a long sentence"
        assert await drawing.page.get_by_label("which").input_value() == "two"
        assert await drawing.page.get_by_label("other").input_value() == "fresh"
        await drawing.focus_is_on("why")
        assert await drawing.sent() == []  # an input tells nothing before it is submitted
        renamed = {**initially, "block_id": "anew"}
        await drawing.show(modals=[view(renamed)])
        assert await drawing.page.get_by_label("why").input_value() == "changed by the app"


async def test_a_view_shows_what_its_state_holds(sandbox: Sandbox) -> None:
    """What was submitted or chosen before counts, also where it is nothing, and not the default."""
    two = [option("one"), option("two")]
    shown = view(
        question("a", initial_value="old"),
        question("b", initial_value="old"),
        labelled("c", {"type": "checkboxes", "options": two, "initial_options": two[:1]}),
        labelled("d", {"type": "multi_static_select", "options": two, "initial_options": two}),
    )
    values = {
        "a": {"a_typed": {"value": "new"}},
        "b": {"b_typed": {"value": None}},
        "c": {"c_in": {"selected_options": [two[1]]}},
    }
    async with canvas(sandbox) as drawing:
        await drawing.show(modals=[{**shown, "state": {"values": values}}])
        await drawing.page.get_by_role("button", name="Save").click()
        assert (await drawing.sent()) == []  # b is empty
        await drawing.page.get_by_label("b", exact=True).fill("x")
        await drawing.page.get_by_role("button", name="Save").click()
        (sent,) = await acts(drawing, 1)
        held = {"a": "new", "b": "x", "c": ["two"], "d": ["one", "two"]}
        assert sent == {"what": "submit", "view_id": "V1", "values": held}
        fill_in(shown["blocks"], {}, sent["values"])  # raises where the sandbox would not take it


async def test_what_is_wrong_stands_at_its_field(sandbox: Sandbox) -> None:
    """Slack's own checks first, then the app's: each names its field, and mending takes it away."""
    async with canvas(sandbox) as drawing:
        shown = view(question("a", max_length=3), question("b", optional=True), question("c"))
        await drawing.show(modals=[shown])
        save = drawing.page.get_by_role("button", name="Save")
        a, c = (drawing.page.get_by_label(one, exact=True) for one in "ac")
        await a.fill("four")
        await save.click()
        wrong = drawing.page.locator(".wrong")
        assert await wrong.all_inner_texts() == [
            "Please enter no more than 3 characters. This has 4.",
            "Please complete this required field.",
        ]
        await drawing.focus_is_on("a")
        assert await a.get_attribute("aria-invalid") == "true"
        described = await a.get_attribute("aria-describedby")
        assert await drawing.page.locator(f"[id='{described}']").inner_text() in (
            await wrong.all_inner_texts()
        )
        await a.fill("six")
        assert await wrong.count() == 1
        await drawing.focus_is_on("a")
        await c.fill("x")
        await drawing.answers({"errors": {"c": "That port is taken"}})
        await save.click()
        await drawing.page.get_by_text("That port is taken").wait_for()
        assert await c.input_value() == "x"
        await drawing.focus_is_on("c")
        assert len(await drawing.sent()) == 1


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("bad_response_action", "We had some trouble connecting. Try again?"),
        ("operation_timeout", "We had some trouble connecting. Try again?"),
    ],
)
async def test_a_submission_that_fails_keeps_what_is_typed(
    sandbox: Sandbox, code: str, words: str
) -> None:
    """It is busy meanwhile and sent once; then it says so, and may be sent again."""
    async with canvas(sandbox) as drawing:
        await drawing.show(modals=[view(question("a"))])
        await drawing.hesitates()
        await drawing.page.get_by_label("a", exact=True).fill("typed")
        await drawing.page.keyboard.press("Enter")
        await drawing.page.get_by_role("button", name="Save").click()
        await drawing.page.locator("form[aria-busy]").wait_for()
        assert len(await drawing.sent()) == 1
        await drawing.goes_on({"error": code})
        assert await drawing.page.get_by_role("alert").inner_text() == words
        assert await drawing.page.get_by_label("a", exact=True).input_value() == "typed"


async def test_escape_closes_one_view_after_the_other(sandbox: Sandbox) -> None:
    """The front one is told to be closed; what is typed below it stays, and so does the focus."""
    below, above = view(question("a")), view(question("b"), view_id="V2")
    async with canvas(sandbox) as drawing:
        opener = message(button("go"))
        await drawing.show(messages=[opener])
        await drawing.page.get_by_role("button", name="Press").focus()
        await drawing.show(messages=[opener], modals=[below])
        await drawing.page.keyboard.type("kept")
        await drawing.show(messages=[opener], modals=[below, above])
        await drawing.focus_is_on("b")
        assert not await drawing.page.get_by_label("a", exact=True).is_visible()
        await drawing.page.keyboard.press("Escape")
        await drawing.page.keyboard.press("Escape")
        closes = [{"what": "close", "view_id": "V2"}] * 2
        assert await acts(drawing, 2) == closes
        await drawing.show(messages=[opener], modals=[below])
        assert await drawing.page.get_by_label("a", exact=True).input_value() == "kept"
        await drawing.page.get_by_role("button", name="Close").click()
        assert (await acts(drawing, 3))[-1] == {"what": "close", "view_id": "V1"}
        await drawing.show(messages=[opener])
        await drawing.page.get_by_role("dialog").wait_for(state="detached")
        await drawing.focus_is_on("Press")


async def test_the_cross_closes_all_that_is_open(sandbox: Sandbox) -> None:
    """A pushed view has an arrow back; its cross closes what lies below it, too."""
    below, above = view(question("a")), view(question("b"), view_id="V2")
    async with canvas(sandbox) as drawing:
        await drawing.show(modals=[below, above])
        await drawing.page.get_by_role("button", name="Back").click()
        assert [one["view_id"] for one in await acts(drawing, 1)] == ["V2"]
        await drawing.page.evaluate(
            "view => { window.answer = { get view() { return window.sent.at(-1).view_id === 'V2' ?"
            " view : null; } }; }",
            below,
        )
        await drawing.page.get_by_role("button", name="Close").click()
        assert [one["view_id"] for one in await acts(drawing, 3)] == ["V2", "V2", "V1"]


async def test_escape_in_a_menu_of_a_view_closes_the_menu_alone(sandbox: Sandbox) -> None:
    """The view stays; the next Escape is the view's."""
    dots = {"type": "overflow", "action_id": "o", "options": [option("one")]}
    async with canvas(sandbox) as drawing:
        await drawing.show(modals=[view(actions(dots))])
        await drawing.page.get_by_role("button", name="More actions").click()
        await drawing.page.keyboard.press("Escape")
        await drawing.page.get_by_role("menu").wait_for(state="hidden")
        assert await drawing.sent() == []
        await drawing.page.keyboard.press("Escape")
        assert (await acts(drawing, 1))[0]["what"] == "close"


async def test_an_element_of_a_view_tells_by_the_view(sandbox: Sandbox) -> None:
    """Menus outside of inputs, and inputs that dispatch, tell at once; Enter submits nothing."""
    options = [option("one"), option("two")]
    asks = labelled("which", menu(options=options), dispatch_action=True)
    types = {**question("typed"), "dispatch_action": True}
    async with canvas(sandbox) as drawing:
        await drawing.show(modals=[view(actions(menu(options=options)), asks, types)])
        await drawing.page.locator('[data-block-id="row"] select').select_option("one")
        await drawing.page.get_by_label("which").select_option("two")
        await drawing.page.get_by_label("typed").fill("abc")
        await drawing.page.get_by_label("typed").press("Enter")
        sent = await acts(drawing, 3)
        assert [(one["what"], one["view_id"], one["value"]) for one in sent] == [
            ("action", "V1", "one"), ("action", "V1", "two"), ("action", "V1", "abc"),
        ]  # fmt: skip


async def test_radio_buttons_of_two_messages_are_two_choices(sandbox: Sandbox) -> None:
    """The same ids in another message are another choice."""
    radios = {"type": "radio_buttons", "action_id": "r", "options": [option("one")]}
    async with canvas(sandbox) as drawing:
        both = [{"ts": ts, "blocks": [actions(radios)]} for ts in ("1.0", "2.0")]
        await drawing.show(messages=both)
        for box in await drawing.page.get_by_role("radio").all():
            await box.check()
        assert await drawing.page.locator(":checked").count() == 2
