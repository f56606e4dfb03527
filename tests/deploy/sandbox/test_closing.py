"""Closing a modal unsubmitted, through real Bolt."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from slack_bolt.async_app import AsyncApp

from tests.deploy.sandbox.acts import HELP, actions, button, control, modal, plain, question
from tests.sandbox_server import Sandbox, connected, until

Json = dict[str, Any]


class Forms:
    """A Bolt app: one button opens a modal, a button in it pushes a second; hears what closes."""

    def __init__(self, sandbox: Sandbox, **more: Any) -> None:
        client = sandbox.client("xoxb-mynah")
        self.app = AsyncApp(client=client)
        self.closed: list[Json] = []
        self.may_ack = asyncio.Event()
        form = modal(question("why"), actions(button("deeper")), callback_id="form", **more)

        @self.app.action("open")
        async def on_open(ack: Any, body: Json) -> None:
            await client.views_open(trigger_id=body["trigger_id"], view=form)
            await ack()

        @self.app.action("deeper")
        async def on_deeper(ack: Any, body: Json) -> None:
            await client.views_push(trigger_id=body["trigger_id"], view=form)
            await ack()

        @self.app.view_closed("form")
        async def on_closed(ack: Any, body: Json) -> None:
            self.closed.append(body)
            await self.may_ack.wait()
            await ack()


async def opened(sandbox: Sandbox) -> Json:
    """Somebody opens the modal."""
    bot = sandbox.client("xoxb-mynah")
    row = actions(button("open"))
    ts = (await bot.chat_postMessage(channel=HELP, text="so", blocks=[row]))["ts"]
    press = {"token": "xoxp-staff", "channel": HELP, "ts": ts, "action_id": "open"}
    return dict((await control(sandbox, "action", **press))["view"])


async def close(sandbox: Sandbox, view: Json, token: str = "xoxp-staff") -> Json:
    """Somebody closes a modal."""
    return await control(sandbox, "close", token=token, view_id=view["id"])


async def deeper(sandbox: Sandbox, view: Json) -> Json:
    """Somebody has a second modal over the first."""
    press = {"token": "xoxp-staff", "view_id": view["id"], "action_id": "deeper"}
    return dict((await control(sandbox, "action", **press))["view"])


async def test_the_app_hears_of_it_and_nobody_waits(sandbox: Sandbox) -> None:
    """Closed at once, while the app has not acknowledged; once, even when it never does."""
    forms = Forms(sandbox, notify_on_close=True)
    async with connected(sandbox, forms.app):
        first = await opened(sandbox)
        second = await deeper(sandbox, first)
        assert second["id"] != first["id"]
        await sandbox.faults(ack_s=0.2, retry_s=[0])
        closed = await close(sandbox, second)
        assert (closed["ok"], closed["view"]["id"]) == (True, first["id"])
        assert (await close(sandbox, first))["view"] is None
        await until(lambda: len(forms.closed) == 2)

        async def given_up() -> bool:
            return bool((await sandbox.state())["counts"]["gave_up"] == 2)

        await until(given_up)
        forms.may_ack.set()
    body = forms.closed[0]
    assert (body["type"], body["is_cleared"]) == ("view_closed", False)
    assert (body["view"]["id"], body["view"]["callback_id"]) == (second["id"], "form")
    assert (body["user"]["id"], body["view"]["title"]["text"]) == (
        "U0STAFF",
        plain("Correct")["text"],
    )
    assert "trigger_id" not in body
    assert len(forms.closed) == 2


async def test_who_did_not_ask_hears_nothing(sandbox: Sandbox) -> None:
    """Without `notify_on_close` nothing is sent; `clear_on_close` closes all that is open."""
    forms = Forms(sandbox, clear_on_close=True)
    async with connected(sandbox, forms.app):
        view = await deeper(sandbox, await opened(sandbox))
        before = (await sandbox.state())["counts"]["events"]
        assert (await close(sandbox, view))["view"] is None
        state = await sandbox.state()
    assert state["views"]["modals"] == {}
    assert state["counts"]["events"] == before
    assert forms.closed == []


async def test_all_cleared_is_said(sandbox: Sandbox) -> None:
    """`is_cleared` where closing one closed all."""
    forms = Forms(sandbox, clear_on_close=True, notify_on_close=True)
    forms.may_ack.set()
    async with connected(sandbox, forms.app):
        view = await deeper(sandbox, await opened(sandbox))
        await close(sandbox, view)
        await until(lambda: bool(forms.closed))
    assert [(one["view"]["id"], one["is_cleared"]) for one in forms.closed] == [(view["id"], True)]


@pytest.mark.parametrize("whose", ["somebody else's", "covered", "none", "home"])
async def test_only_what_one_sees_can_be_closed(sandbox: Sandbox, whose: str) -> None:
    """Another one's modal, a covered one and the Home tab stay."""
    forms = Forms(sandbox)
    async with connected(sandbox, forms.app):
        view = await opened(sandbox)
        bot = sandbox.client("xoxb-mynah")
        tab = {"type": "home", "blocks": []}
        home = (await bot.views_publish(user_id="U0STAFF", view=tab))["view"]
        if whose == "covered":
            await deeper(sandbox, view)
        shown = {"none": {"id": "V0NONE"}, "home": home}.get(whose, view)
        token = "xoxp-asker" if whose == "somebody else's" else "xoxp-staff"
        answer = await close(sandbox, shown, token)
        assert (answer["status"], answer["error"]) == (400, "bad_request")
        assert len((await sandbox.state())["views"]["modals"]) == 1
