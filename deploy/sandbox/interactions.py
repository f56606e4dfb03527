"""Presses, choices, shortcuts and submitted views: what the app hears of them, what people see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deploy.sandbox import events
from deploy.sandbox.blocks import MODAL
from deploy.sandbox.elements import Json
from deploy.sandbox.errors import Impossible, SlackError
from deploy.sandbox.messages import Message
from deploy.sandbox.people import Channel, User
from deploy.sandbox.request_url import TOKEN
from deploy.sandbox.views import View, check_view
from deploy.sandbox.widgets import Widget, acted_on, choose, fill_in, states, widgets
from deploy.sandbox.world import World


@dataclass(frozen=True)
class Act:
    """Somebody uses an element: which one, and what they choose."""

    action_id: str
    block_id: str | None = None
    value: Any = None


def message_seen(world: World, user: User, channel_id: str, ts: str) -> tuple[Channel, Message]:
    """A message that a person sees in a channel.

    Raises:
        Impossible: it is not there, or they cannot see it.
    """
    try:
        channel = world.workspace.joined_channel(channel_id, user.id)
    except SlackError as error:
        raise Impossible(f"{user.id} does not see {channel_id}: {error.code}") from error
    message = world.workspace.messages[channel.id].get(ts)
    if message is None or message.deleted or message.ephemeral_to not in (None, user.id):
        raise Impossible(f"{user.id} does not see a message {ts} in {channel_id}")
    return channel, message


async def act_on_message(
    world: World, user: User, channel: Channel, message: Message, act: Act, base_url: str
) -> Json:
    """Use an element of a message: the app gets `block_actions`."""
    if message.app_id != world.workspace.app.id:
        raise Impossible("the message is not the app's")
    widget = acted_on(message.blocks, act.action_id, act.block_id, act.value)
    values = states(message.blocks)
    said = _action(world, widget, choose(values, widget, act.value))
    alone = message.ephemeral_to is not None
    where: Json = {"type": "message", "message_ts": message.ts, "channel_id": channel.id}
    where["is_ephemeral"] = alone
    if message.is_reply:
        where["thread_ts"] = message.thread_ts
    payload = {
        **_envelope(world, "block_actions", user),
        "container": where,
        "channel": _channel(channel),
        **({} if alone else {"message": message.as_json()}),
        "state": {"values": values},
        "response_url": base_url + world.responses.give(channel.id, user.id, message.ts),
        "actions": [said],
    }
    return await _ask(world, user, payload)


async def act_on_view(world: World, user: User, view: View, act: Act) -> Json:
    """Use an element of a modal or a Home tab: the app gets `block_actions`."""
    widget = acted_on(view.blocks, act.action_id, act.block_id, act.value)
    if widget.is_input and not widget.block.get("dispatch_action"):
        raise Impossible("this input tells nothing before the view is submitted")
    said = _action(world, widget, choose(view.values, widget, act.value))
    shown = _view(world, view)
    payload = {
        **_envelope(world, "block_actions", user, view.id),
        "container": {"type": "view", "view_id": view.id},
        "view": shown,
        "state": shown["state"],
        "actions": [said],
    }
    return await _ask(world, user, payload)


async def shortcut(
    world: World, user: User, channel: Channel, message: Message, callback_id: str, base_url: str
) -> Json:
    """Use a message shortcut: the app gets `message_action`."""
    if message.ephemeral_to:
        raise Impossible("an ephemeral message has no shortcuts")
    payload = {
        **_envelope(world, "message_action", user),
        "callback_id": callback_id,
        "action_ts": world.workspace.clock.ts(),
        "channel": _channel(channel),
        "message_ts": message.ts,
        "message": message.as_json(),
        "response_url": base_url + world.responses.give(channel.id, user.id, message.ts),
    }
    return await _ask(world, user, payload)


async def submit(world: World, user: User, view: View, given: dict[str, Any]) -> Json:
    """Fill in and submit the modal in front; the acknowledgement decides what is shown then.

    Raises:
        Impossible: Slack's client would not let it through.
        SlackError: `bad_response_action` for an acknowledgement that Slack does not understand.
    """
    if view.is_home or not (view.body.get("submit") or _has_inputs(view)):
        raise Impossible("this view has nothing to submit")
    view.values = fill_in(view.blocks, view.values, given)
    payload = {
        **_envelope(world, "view_submission", user, view.id),
        "view": _view(world, view),
        "response_urls": [],
    }
    answer = await world.ask("interactive", payload["trigger_id"], payload)
    try:
        errors = _apply(world, user, view, answer)
    except SlackError as error:
        raise SlackError("bad_response_action", detail=error.as_json()) from error
    return {"response": answer, "errors": errors, "view": _front(world, user)}


def close(world: World, user: User, view: View) -> Json:
    """Close the modal in front, by ✕ or Cancel: the app gets `view_closed` if it asked for it.

    Raises:
        Impossible: it is a Home tab.
    """
    if view.is_home:
        raise Impossible("a Home tab cannot be closed")
    cleared, payload = bool(view.body.get("clear_on_close")), _view(world, view)
    world.views.close(user.id, whole=cleared)
    if view.body.get("notify_on_close"):
        said = {**_envelope(world, "view_closed", user), "view": payload, "is_cleared": cleared}
        del said["trigger_id"]  # nothing can be opened in answer
        world.inform("interactive", f"{view.id}.closed", said)
    return {"view": _front(world, user)}


async def open_home(world: World, user: User, tab: str) -> Json:
    """Open the app's home; what it publishes thereupon is waited for as long as for an ack."""
    space = world.workspace
    channel, _ = world.direct(user.id, space.app.user_id)
    before = world.views.home(user.id)
    shown = _view(world, before) if before and tab == "home" else None
    world.announce(events.home_opened(space, channel, user.id, tab, shown))
    if tab != "home":
        return {"channel": channel.id, "view": None}
    within_s = world.courier.timing.ack_s
    view = await world.views.until_published(user.id, within_s)
    return {"channel": channel.id, "view": _view(world, view) if view else None}


def _apply(world: World, user: User, view: View, answer: Any) -> dict[str, str]:
    """Do what the acknowledgement of a submission says; returns the errors to show."""
    views, said = world.views, answer or {}
    if not isinstance(said, dict):
        raise SlackError("unknown_response_action")
    kind = said.get("response_action")
    if kind is None:
        views.close(user.id)
    elif kind == "clear":
        views.close(user.id, whole=True)
    elif kind == "errors":
        return _errors(view, said.get("errors"))
    elif kind in ("update", "push"):
        body = check_view(said.get("view"), MODAL)
        if kind == "update":
            views.update(view, body)
        else:
            views.push(user.id, body)
    else:
        raise SlackError("unknown_response_action")
    return {}


def _errors(view: View, errors: Any) -> dict[str, str]:
    inputs = {widget.block_id for widget in widgets(view.blocks) if widget.is_input}
    if not errors or not isinstance(errors, dict) or not inputs.issuperset(errors):
        raise SlackError("errors_without_input_block")
    return {block: str(text) for block, text in errors.items()}


async def _ask(world: World, user: User, payload: Json) -> Json:
    """Deliver a payload and wait for its ack: who acts sees a warning sign when there is none."""
    answer = await world.ask("interactive", payload["trigger_id"], payload)
    return {
        "trigger_id": payload["trigger_id"],
        "response": answer,
        "view": _front(world, user),
    }


def _envelope(world: World, kind: str, user: User, view: str = "") -> Json:
    """What every interaction's payload says: of which app, where, by whom, with a new trigger."""
    space = world.workspace
    return {
        "type": kind,
        "token": TOKEN,
        "team": {"id": space.team, "domain": space.domain},
        "user": {"id": user.id, "username": user.name, "name": user.name, "team_id": user.team},
        "api_app_id": space.app.id,
        "enterprise": None,
        "is_enterprise_install": False,
        "trigger_id": world.triggers.give(user.id, view),
    }


def _action(world: World, widget: Widget, says: Json) -> Json:
    kept: Json = {
        name: widget.element[name] for name in ("style", "placeholder") if name in widget.element
    }
    ids = {"type": widget.kind, "action_id": widget.action_id, "block_id": widget.block_id}
    return {**ids, **kept, **says, "action_ts": world.workspace.clock.ts()}


def _channel(channel: Channel) -> Json:
    name = {"im": "directmessage", "group": "privategroup"}.get(channel.type, channel.name)
    return {"id": channel.id, "name": name}


def _view(world: World, view: View) -> Json:
    return view.as_json(world.workspace.team, world.workspace.app)


def _front(world: World, user: User) -> Json | None:
    view = world.views.front(user.id)
    return _view(world, view) if view else None


def _has_inputs(view: View) -> bool:
    return any(widget.is_input for widget in widgets(view.blocks))
