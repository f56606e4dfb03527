"""Modals and Home tabs."""

from __future__ import annotations

from typing import Any

from deploy.sandbox.blocks import HOME, MODAL
from deploy.sandbox.errors import SlackError
from deploy.sandbox.methods.method import Call, Method
from deploy.sandbox.people import TokenKind
from deploy.sandbox.triggers import Trigger
from deploy.sandbox.views import View, check_view


def open_(call: Call) -> dict[str, Any]:
    """Show a modal to the person behind a trigger id."""
    view = _given(call, MODAL)
    return _shown(call, call.world.views.open(_trigger(call).user, view))


def push(call: Call) -> dict[str, Any]:
    """Show a modal over the one in which the trigger id came about."""
    view = _given(call, MODAL)
    trigger = _trigger(call)
    if not trigger.view:
        raise SlackError("not_found")
    return _shown(call, call.world.views.push(trigger.user, view))


def update(call: Call) -> dict[str, Any]:
    """Replace what a view says."""
    args, views = call.args, call.world.views
    if not args.text("view_id") and not args.text("external_id"):
        args.required("view_id")
    view = views.find(view_id=args.text("view_id"), external_id=args.text("external_id"))
    body = _given(call, HOME if view.is_home else MODAL)
    return _shown(call, views.update(view, body, args.text("hash")))


def publish(call: Call) -> dict[str, Any]:
    """Put somebody's Home tab in place."""
    user = call.workspace.user(call.args.required("user_id"))
    view = _given(call, HOME)
    return _shown(call, call.world.views.publish(user.id, view, call.args.text("hash")))


def _given(call: Call, kind: str) -> dict[str, Any]:
    if not call.args.get("view"):
        call.args.required("view")
    return check_view(call.args.nested("view", "invalid_arguments"), kind)


def _trigger(call: Call) -> Trigger:
    return call.world.triggers.exchange(call.args.required("trigger_id"))


def _shown(call: Call, view: View) -> dict[str, Any]:
    return {"view": view.as_json(call.workspace.team, call.workspace.app)}


_BOT = frozenset({TokenKind.BOT})
METHODS = (
    Method("views.open", open_, kinds=_BOT),
    Method("views.push", push, kinds=_BOT),
    Method("views.update", update, kinds=_BOT),
    Method("views.publish", publish, kinds=_BOT),
)
