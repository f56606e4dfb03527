"""Buttons, menus, shortcuts, modals and the Home tab, through real Bolt."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError

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
from tests.sandbox_server import Sandbox, connected, until

Json = dict[str, Any]


class Recorder:
    """A Bolt app that acknowledges and writes down every interaction."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.app = AsyncApp(client=sandbox.client("xoxb-mynah"))
        self.heard: list[Json] = []
        anything: Any = {"type": "block_actions", "action_id": _ANY}
        self.app.action(anything)(self._hear)
        self.app.shortcut({"type": "message_action", "callback_id": "teach"})(self._hear)

    async def _hear(self, ack: Any, body: Json) -> None:
        self.heard.append(body)
        await ack()


_ANY = re.compile(".*")


async def said(sandbox: Sandbox, *blocks: Json, **more: Any) -> str:
    """The bot says something with blocks."""
    bot = sandbox.client("xoxb-mynah")
    answer = await bot.chat_postMessage(channel=HELP, text="answer", blocks=list(blocks), **more)
    return str(answer["ts"])


async def press(sandbox: Sandbox, ts: str, action_id: str, **more: Any) -> Json:
    """Somebody uses an element of a message."""
    body = {"token": "xoxp-staff", "channel": HELP, "ts": ts, "action_id": action_id, **more}
    return await control(sandbox, "action", **body)


async def test_a_press_comes_whole(sandbox: Sandbox) -> None:
    """Who pressed what, on which message, with a trigger id and a response URL."""
    bot, root = Recorder(sandbox), await said(sandbox)
    ts = await said(sandbox, actions(button("approve", "42")), thread_ts=root)
    async with connected(sandbox, bot.app):
        pressed = await press(sandbox, ts, "approve")
    [body] = bot.heard
    assert pressed.items() >= {"status": 200, "ok": True, "view": None}.items(), pressed
    assert body["trigger_id"] == pressed["trigger_id"]
    assert body["user"] == {
        "id": "U0STAFF",
        "username": "staff",
        "name": "staff",
        "team_id": "T0MYNAH",
    }
    assert body["team"] == {"id": "T0MYNAH", "domain": "mynah-sandbox"}
    assert (body["api_app_id"], body["channel"]) == ("A0MYNAH", {"id": HELP, "name": "help"})
    assert body["container"] == {
        "type": "message",
        "message_ts": ts,
        "channel_id": HELP,
        "is_ephemeral": False,
        "thread_ts": root,
    }
    assert (body["message"]["ts"], body["message"]["bot_id"]) == (ts, "B0MYNAH")
    assert body["response_url"].startswith(sandbox.url)
    [action] = body["actions"]
    assert action.pop("action_ts")
    assert action == {
        "type": "button",
        "action_id": "approve",
        "block_id": "row",
        "text": {**plain("Press"), "emoji": True},
        "value": "42",
    }


@pytest.mark.parametrize(
    ("block", "action_id", "value", "says"),
    [
        (feedback(), "rate", "👎", {"type": "feedback_buttons", "value": "👎"}),
        (
            actions({"type": "overflow", "action_id": "more", "options": [option("edit")]}),
            "more",
            "edit",
            {"type": "overflow", "selected_option": option("edit")},
        ),
        (
            actions({"type": "static_select", "action_id": "why", "options": [option("old")]}),
            "why",
            "old",
            {"type": "static_select", "selected_option": option("old")},
        ),
    ],
)
async def test_each_element_says_it_in_its_own_shape(
    sandbox: Sandbox, block: Json, action_id: str, value: str, says: Json
) -> None:
    """Feedback buttons say a value, menus the option; Bolt matches them by action id."""
    bot, ts = Recorder(sandbox), await said(sandbox, block)
    async with connected(sandbox, bot.app):
        await press(sandbox, ts, action_id, value=value)
    [action] = bot.heard[0]["actions"]
    assert action.items() >= says.items()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"action_id": "none"}, "'none'"),
        ({"value": "other"}, "'1'"),
        ({"ts": "1.2"}, "1.2"),
        ({"token": "xoxp-guest", "channel": "C0OPS"}, "not_in_channel"),
        ({"channel": ""}, "view_id"),
        ({"block_id": "other"}, "action_id"),
    ],
)
async def test_what_nobody_could_press_is_refused(sandbox: Sandbox, change: Json, why: str) -> None:
    """A message without the element, or that the person cannot see, is a clear 400."""
    ts = await said(sandbox, actions(button("approve")))
    refused = await press(sandbox, **{"ts": ts, "action_id": "approve", **change})
    assert (refused["status"], refused["error"]) == (400, "bad_request")
    assert why in refused["detail"]


async def test_an_ephemeral_message_is_for_one_person(sandbox: Sandbox) -> None:
    """Only who sees it can press; the payload has no message, and the response URL replaces it."""
    bot = sandbox.client("xoxb-mynah")
    sent = await bot.chat_postEphemeral(
        channel=HELP, user="U0STAFF", text="?", blocks=[actions(button("ok"))]
    )
    recorder = Recorder(sandbox)
    async with connected(sandbox, recorder.app):
        stranger = await press(sandbox, sent["message_ts"], "ok", token="xoxp-asker")
        await press(sandbox, sent["message_ts"], "ok")
        [body] = recorder.heard
        async with httpx.AsyncClient() as http:
            changed = {"replace_original": True, "text": "Done"}
            assert (await http.post(body["response_url"], json=changed)).status_code == 200
    assert stranger["status"] == 400
    assert "message" not in body
    assert body["container"]["is_ephemeral"] is True
    [message] = await sandbox.messages()
    assert (message["text"], "blocks" in message) == ("Done", False)


async def test_a_shortcut_carries_the_message(sandbox: Sandbox) -> None:
    """`message_action` names the callback and brings a person's message along."""
    asked = await sandbox.client("xoxp-asker").chat_postMessage(channel=HELP, text="41?")
    bot = Recorder(sandbox)
    here = {"token": "xoxp-staff", "channel": HELP, "ts": asked["ts"]}
    async with connected(sandbox, bot.app):
        await control(sandbox, "shortcut", **here, callback_id="teach")
    [body] = bot.heard
    assert (body["type"], body["callback_id"]) == ("message_action", "teach")
    assert (body["message"]["text"], body["message_ts"]) == ("41?", asked["ts"])
    assert (await control(sandbox, "shortcut", **here, callback_id=""))["status"] == 400


async def test_a_press_that_nobody_hears_fails_as_in_slack(sandbox: Sandbox) -> None:
    """Without a socket `dispatch_failed`, without an ack `operation_timeout`."""
    ts = await said(sandbox, actions(button("approve")))
    assert (await press(sandbox, ts, "approve"))["error"] == "dispatch_failed"
    await sandbox.faults(drop_ack=9, ack_s=0.2)
    async with connected(sandbox, Recorder(sandbox).app):
        lost = await press(sandbox, ts, "approve")
    assert lost.get("error") == "operation_timeout", lost


class Form:
    """A Bolt app that opens a modal on a press and answers its submission with `answer`."""

    def __init__(self, sandbox: Sandbox, view: Json, answer: Json | None = None) -> None:
        self.app = AsyncApp(client=sandbox.client("xoxb-mynah"))
        self.submitted: list[Json] = []
        self.errors: list[str] = []
        self._view, self._answer = view, answer or {}
        self.app.action("edit")(self._open)
        self.app.view("form")(self._submit)

    async def _open(self, ack: Any, body: Json, client: Any) -> None:
        try:
            await client.views_open(trigger_id=body["trigger_id"], view=self._view)
        except SlackApiError as error:
            self.errors.append(error.response["error"])
        await ack()

    async def _submit(self, ack: Any, body: Json) -> None:
        self.submitted.append(body)
        await ack(**self._answer)


async def opened(sandbox: Sandbox) -> Json:
    """Somebody presses Edit; the modal that they see then."""
    ts = await said(sandbox, actions(button("edit")))
    view = (await press(sandbox, ts, "edit"))["view"]
    assert isinstance(view, dict)
    return view


async def submit(sandbox: Sandbox, view: Json, **values: Any) -> Json:
    body = {"token": "xoxp-staff", "view_id": view["id"], "values": values}
    return await control(sandbox, "submit", **body)


async def test_a_modal_opens_on_a_press_and_is_submitted(sandbox: Sandbox) -> None:
    """What the person typed comes with the callback id and private metadata, and it closes."""
    menu = question("why", type="static_select", options=[option("old"), option("wrong")])
    form = Form(sandbox, modal(question("text"), menu, private_metadata="42"))
    async with connected(sandbox, form.app):
        view = await opened(sandbox)
        done = await submit(sandbox, view, text="It is 41", why="old")
    assert (done["ok"], done["view"], done["errors"]) == (True, None, {})
    [body] = form.submitted
    assert (body["type"], body["user"]["id"]) == ("view_submission", "U0STAFF")
    shown = body["view"]
    assert (shown["id"], shown["callback_id"]) == (view["id"], "form")
    assert (shown["private_metadata"], shown["hash"]) == ("42", view["hash"])
    assert shown["state"]["values"] == {
        "text": {"text_typed": {"type": "plain_text_input", "value": "It is 41"}},
        "why": {"why_typed": {"type": "static_select", "selected_option": option("old")}},
    }
    assert (await submit(sandbox, view, text="again"))["status"] == 400


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({}, "text must be filled in"),
        ({"text": "x"}, "text takes 2"),
        ({"text": "41", "no": "x"}, "input no"),
    ],
)
async def test_the_client_holds_back_what_is_not_filled_in(
    sandbox: Sandbox, values: Json, why: str
) -> None:
    """Nothing is sent of a form that Slack's client would not let through."""
    form = Form(sandbox, modal(question("text", min_length=2), question("more", optional=True)))
    async with connected(sandbox, form.app):
        refused = await submit(sandbox, await opened(sandbox), **values)
    assert refused["status"] == 400
    assert why in refused["detail"]
    assert form.submitted == []


@pytest.mark.parametrize(
    ("answer", "errors", "title"),
    [
        ({"response_action": "errors", "errors": {"text": "No"}}, {"text": "No"}, "Correct"),
        ({"response_action": "update", "view": modal(title=plain("Thanks"))}, {}, "Thanks"),
        ({"response_action": "push", "view": modal(title=plain("Sure?"))}, {}, "Sure?"),
        ({"response_action": "clear"}, {}, None),
    ],
)
async def test_the_acknowledgement_decides_what_is_shown(
    sandbox: Sandbox, answer: Json, errors: Json, title: str | None
) -> None:
    """Errors keep the modal, an update changes it, a push covers it, clear closes all."""
    form = Form(sandbox, modal(question("text")), answer)
    async with connected(sandbox, form.app):
        done = await submit(sandbox, await opened(sandbox), text="It is 41")
    assert done["errors"] == errors
    assert (done["view"]["title"]["text"] if done["view"] else None) == title


@pytest.mark.parametrize(
    "answer",
    [
        {"response_action": "errors", "errors": {"other": "No"}},  # under none of the inputs
        {"response_action": "update", "view": modal(title=plain("x" * 25))},
        {"response_action": "shrug"},
    ],
)
async def test_what_slack_does_not_understand_is_trouble(sandbox: Sandbox, answer: Json) -> None:
    """Slack shows trouble for an acknowledgement that makes no sense."""
    form = Form(sandbox, modal(question("text")), answer)
    async with connected(sandbox, form.app):
        done = await submit(sandbox, await opened(sandbox), text="It is 41")
    assert (done["ok"], done["error"]) == (False, "bad_response_action")


async def test_a_trigger_lives_shortly_and_once(sandbox: Sandbox) -> None:
    """Late, a second time and made up: each has Slack's own error."""
    ts, bot = await said(sandbox, actions(button("edit"))), sandbox.client("xoxb-mynah")
    form = Form(sandbox, modal())
    async with connected(sandbox, form.app):
        trigger = (await press(sandbox, ts, "edit"))["trigger_id"]
        assert form.errors == []
        await sandbox.faults(trigger_s=0)
        assert (await press(sandbox, ts, "edit"))["ok"]
    assert form.errors == ["expired_trigger_id"]
    for wrong, code in ((trigger, "exchanged_trigger_id"), ("1.2.x", "invalid_trigger_id")):
        with pytest.raises(SlackApiError, match=code):
            await bot.views_open(trigger_id=wrong, view=modal())


@pytest.mark.parametrize(
    ("view", "where"),
    [
        (modal(title=plain("x" * 25)), "/view/title/text]"),
        (modal(*({"type": "divider"} for _ in range(101))), "/view/blocks]"),
        (modal(question("a"), question("a")), "/view/blocks]"),
        (modal(question("a"), submit=None), "submit"),
        (modal({"type": "markdown", "text": "x"}), "/view/blocks/0/type]"),
        (modal(private_metadata="x" * 3001), "/view/private_metadata]"),
        (home(), "/view/type]"),
    ],
)
async def test_a_view_over_a_limit_says_where(sandbox: Sandbox, view: Json, where: str) -> None:
    """`invalid_arguments` with the place, and the trigger is not used up by it."""
    with pytest.raises(SlackApiError) as refused:
        await sandbox.client("xoxb-mynah").views_open(trigger_id="1.2.x", view=view)
    assert refused.value.response["error"] == "invalid_arguments"
    assert where in str(refused.value.response["response_metadata"]["messages"])


async def test_an_update_wants_the_latest_hash(sandbox: Sandbox) -> None:
    """An old hash conflicts; what was chosen stays where the ids stay."""
    bot = sandbox.client("xoxb-mynah")
    menu = {"type": "static_select", "action_id": "why", "options": [option("old")]}
    form = Form(sandbox, modal(actions(menu), question("text")))
    form.app.action("why")(_acknowledge)
    async with connected(sandbox, form.app):
        view = await opened(sandbox)
        await control(
            sandbox,
            "action",
            token="xoxp-staff",
            view_id=view["id"],
            action_id="why",
            value="old",
        )
        changed = modal(actions(menu), title=plain("More"))
        first = await bot.views_update(view_id=view["id"], view=changed, hash=view["hash"])
    assert first["view"]["state"]["values"]["row"]["why"]["selected_option"] == option("old")
    with pytest.raises(SlackApiError, match="hash_conflict"):
        await bot.views_update(view_id=view["id"], view=changed, hash=view["hash"])
    with pytest.raises(SlackApiError, match="not_found"):
        await bot.views_update(view_id="V0", view=changed)


async def _acknowledge(ack: Any) -> None:
    await ack()


async def test_modals_stack_three_high(sandbox: Sandbox) -> None:
    """A press in a modal may push another, which names what it covers; a fourth is refused."""
    form, errors = Form(sandbox, modal(actions(button("on")))), list[str]()

    @form.app.action("on")
    async def push(ack: Any, body: Json, client: Any) -> None:
        try:
            view = modal(actions(button("on")))
            await client.views_push(trigger_id=body["trigger_id"], view=view)
        except SlackApiError as error:
            errors.append(error.response["error"])
        await ack()

    async with connected(sandbox, form.app):
        view = first = await opened(sandbox)
        for _ in range(3):
            here = {"token": "xoxp-staff", "view_id": view["id"], "action_id": "on"}
            below, view = view, (await control(sandbox, "action", **here))["view"]
    assert errors == ["push_limit_reached"]
    assert view == below
    assert view["root_view_id"] == first["id"] != view["previous_view_id"]


async def test_the_home_tab_is_published_and_pressed(sandbox: Sandbox) -> None:
    """Opening it tells the app, what it publishes is seen by that person alone and can be used."""
    bot = Recorder(sandbox)

    @bot.app.event("app_home_opened")
    async def publish(event: Json, client: Any) -> None:
        bot.heard.append(event)
        if event["tab"] == "home":
            await client.views_publish(user_id=event["user"], view=home(actions(button("queue"))))

    async with connected(sandbox, bot.app):
        seen = (await control(sandbox, "home", token="xoxp-staff"))["view"]
        press = {"view_id": seen["id"], "action_id": "queue"}
        stranger = await control(sandbox, "action", **press, token="xoxp-asker")
        pressed = await control(sandbox, "action", **press, token="xoxp-staff")
        again = (await control(sandbox, "home", token="xoxp-staff"))["view"]
        await control(sandbox, "home", token="xoxp-staff", tab="messages")
        await until(lambda: len(bot.heard) == 4)
    first, action, second, messages = bot.heard
    assert (stranger["status"], pressed["ok"]) == (400, True)
    assert (first["tab"], first["channel"][0], "view" in first) == ("home", "D", False)
    assert action["container"] == {"type": "view", "view_id": seen["id"]}
    assert (action["view"]["type"], "channel" in action) == ("home", False)
    assert (second["view"]["id"], again["id"]) == (seen["id"], seen["id"])
    assert messages["tab"] == "messages"
    assert set((await sandbox.state(parts="views"))["views"]["homes"]) == {"U0STAFF"}
