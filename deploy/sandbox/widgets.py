"""What people do with the elements in blocks: press, choose, type; and what Slack makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from deploy.sandbox.blocks import ALONE
from deploy.sandbox.elements import Json, options_of
from deploy.sandbox.errors import Impossible

Values = dict[str, dict[str, Json]]  # block id → action id → what the element holds

# Each element that keeps what was chosen, with the field that holds it.
_HOLDS = {
    "channels_select": "selected_channel",
    "checkboxes": "selected_options",
    "conversations_select": "selected_conversation",
    "datepicker": "selected_date",
    "datetimepicker": "selected_date_time",
    "email_text_input": "value",
    "multi_channels_select": "selected_channels",
    "multi_conversations_select": "selected_conversations",
    "multi_static_select": "selected_options",
    "multi_users_select": "selected_users",
    "number_input": "value",
    "plain_text_input": "value",
    "radio_buttons": "selected_option",
    "rich_text_input": "rich_text_value",
    "static_select": "selected_option",
    "timepicker": "selected_time",
    "url_text_input": "value",
    "users_select": "selected_user",
}


@dataclass(frozen=True)
class Widget:
    """An interactive element and the block around it; both have ids."""

    block: Json
    element: Json

    @property
    def block_id(self) -> str:
        """The id of its block."""
        return str(self.block["block_id"])

    @property
    def action_id(self) -> str:
        """Its own id."""
        return str(self.element.get("action_id", ""))

    @property
    def kind(self) -> str:
        """The type of the element."""
        return str(self.element["type"])

    @property
    def is_input(self) -> bool:
        """Whether it is asked for when a view is submitted."""
        return bool(self.block["type"] == "input")


def widgets(blocks: list[Json]) -> Iterator[Widget]:
    """Every element with which a person can do something."""
    for block in blocks:
        held = block["elements"] if block["type"] in ("actions", "context_actions") else []
        for element in (*held, block.get(ALONE.get(block["type"], ""))):
            if element and element["type"] != "image":
                yield Widget(block, element)


def acted_on(blocks: list[Json], action_id: str, block_id: str | None, value: Any) -> Widget:
    """The one element that a person means.

    Raises:
        Impossible: no element has these ids and takes this value, or more than one.
    """
    named = [w for w in widgets(blocks) if w.action_id == action_id]
    named = [w for w in named if block_id in (None, w.block_id)]
    if not named:
        there = ", ".join(sorted({w.action_id for w in widgets(blocks)})) or "nothing to press"
        raise Impossible(f"no element has the action_id {action_id!r}; there is {there}")
    fitting = [w for w in named if _takes(w.element, value)]
    if not fitting:
        chosen(named[0].element, value)  # raises, and says why
    if len(fitting) > 1:
        ids = ", ".join(w.block_id for w in fitting)
        raise Impossible(f"several elements have this action_id; name a block_id: {ids}")
    return fitting[0]


def chosen(element: Json, value: Any) -> Json:
    """What an element says once a person chose `value`, as actions and states show it.

    A button needs no value; menus take the value of an option, multiple ones a list of them.

    Raises:
        Impossible: the element does not offer this value.
    """
    kind = str(element["type"])
    if kind in ("button", "icon_button", "workflow_button"):
        return _pressed(element, value, [element])
    if kind == "feedback_buttons":
        return _pressed(element, value, [element["positive_button"], element["negative_button"]])
    if kind == "overflow":
        return {"selected_option": _option(element, value)}
    if kind not in _HOLDS:
        raise Impossible(f"the sandbox cannot fill in a {kind}")
    return {_HOLDS[kind]: _held(element, _HOLDS[kind], value)}


def states(blocks: list[Json], before: Values | None = None) -> Values:
    """What the elements hold: what people chose `before`, else what the app put there."""
    found: Values = {}
    for widget in widgets(blocks):
        if name := _HOLDS.get(widget.kind):
            empty: list[str] | None = [] if name.endswith("s") else None
            initial = widget.element.get(name.replace("selected_", "initial_"), empty)
            if name in ("value", "rich_text_value"):
                initial = widget.element.get("initial_value")
            kept = (before or {}).get(widget.block_id, {}).get(widget.action_id)
            holds = kept or {"type": widget.kind, name: initial}
            found.setdefault(widget.block_id, {})[widget.action_id] = holds
    return found


def choose(values: Values, widget: Widget, value: Any) -> Json:
    """Note what a person chose, where the element keeps it; returns what it says."""
    says = chosen(widget.element, value)
    if widget.kind in _HOLDS:
        values.setdefault(widget.block_id, {})[widget.action_id] = {"type": widget.kind, **says}
    return says


def fill_in(blocks: list[Json], before: Values, given: dict[str, Any]) -> Values:
    """The values of a view that a person submits; `given` names inputs by block or action id.

    Raises:
        Impossible: what Slack's client would not let through: an unknown name, an empty
            input that must be filled in, a text that is too short or too long.
    """
    values, left = states(blocks, before), dict(given)
    for widget in widgets(blocks):
        for name in (widget.block_id, widget.action_id):
            if name in left:
                choose(values, widget, left.pop(name))
        if widget.is_input:
            _check_filled(widget, values)
    if left:
        raise Impossible(f"the view has no input {', '.join(sorted(left))}")
    return values


def _check_filled(widget: Widget, values: Values) -> None:
    held = values.get(widget.block_id, {}).get(widget.action_id, {})
    value = held.get(_HOLDS.get(widget.kind, ""))
    if not value and not widget.block.get("optional"):
        raise Impossible(f"{widget.block_id} must be filled in")
    if isinstance(value, str) and value:
        least, most = widget.element.get("min_length", 0), widget.element.get("max_length", 3000)
        if not least <= len(value) <= most:
            raise Impossible(f"{widget.block_id} takes {least} to {most} characters")


def _takes(element: Json, value: Any) -> bool:
    try:
        chosen(element, value)
    except Impossible:
        return False
    return True


def _pressed(element: Json, value: Any, buttons: list[Json]) -> Json:
    offered = [b for b in buttons if value == b.get("value") or (value is None and b is element)]
    if not offered:
        raise Impossible(f"it offers {', '.join(repr(b.get('value')) for b in buttons)}")
    says: Json = {"text": {"emoji": True, **offered[0]["text"]}}
    return says | ({"value": offered[0]["value"]} if "value" in offered[0] else {})


def _option(element: Json, value: Any) -> Json:
    found = next((o for o in options_of(element) if o["value"] == value), None)
    if found is None:
        offered = ", ".join(repr(option["value"]) for option in options_of(element))
        raise Impossible(f"it offers {offered}")
    return found


def _held(element: Json, name: str, value: Any) -> Any:
    if name == "selected_option":
        return None if value is None else _option(element, value)
    if name == "selected_options":
        return [_option(element, one) for one in _list(value)]
    if name.endswith("s"):
        return [str(one) for one in _list(value)]
    if name == "selected_date_time":
        return None if value is None else int(value)
    if name == "rich_text_value":
        return value
    return None if value in (None, "") else str(value)


def _list(value: Any) -> list[Any]:
    if value is not None and not isinstance(value, list):
        raise Impossible("it takes a list")
    return value or []
