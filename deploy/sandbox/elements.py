"""What stands inside blocks: texts, buttons, menus and inputs, and the limits of each."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
Fault = tuple[str, str]  # where, as a JSON pointer below the block, and what is wrong

_PICKERS = {"datepicker", "timepicker", "datetimepicker", "radio_buttons", "checkboxes"}
_KINDS_OF_SELECT = ("static", "external", "users", "conversations", "channels")
_SELECTS = {f"{kind}_select" for kind in _KINDS_OF_SELECT}
_SELECTS |= {f"multi_{kind}_select" for kind in _KINDS_OF_SELECT}
_TYPED = {"plain_text_input", "email_text_input", "url_text_input", "number_input"}

# Each block that holds elements, with the elements that it may hold.
_MAY_HOLD = {
    "actions": {"button", "overflow", "workflow_button", *_PICKERS, *_SELECTS},
    "context": {"image", "mrkdwn", "plain_text"},
    "context_actions": {"feedback_buttons", "icon_button"},
    "section": {"button", "image", "overflow", "workflow_button", *_PICKERS, *_SELECTS},
    "input": {"rich_text_input", "file_input", *_TYPED, *_PICKERS, *_SELECTS},
}
_REQUIRED = {
    "button": ("text",),
    "feedback_buttons": ("positive_button", "negative_button"),
    "icon_button": ("icon", "text"),
    "image": ("alt_text",),
    "number_input": ("is_decimal_allowed",),
}
_OPTIONS = {  # how many options, from the fewest to the most
    "overflow": (1, 5),
    "radio_buttons": (1, 10),
    "checkboxes": (1, 10),
    "static_select": (1, 100),
    "multi_static_select": (1, 100),
}


# The fields whose kind of value the other checks rely on, wherever they stand.
_SHAPES: dict[str, tuple[type, str]] = {
    **dict.fromkeys(("type", "block_id", "action_id", "task_id", "status"), (str, "a string")),
    **dict.fromkeys(("elements", "fields", "options", "option_groups"), (list, "an array")),
    **dict.fromkeys(("rows", "tasks", "initial_options"), (list, "an array")),
    **dict.fromkeys(("accessory", "element", "initial_option"), (dict, "an object")),
}


def check_shapes(where: str, item: Any) -> list[Fault]:
    """Where a block, or anything in it, holds a string, array or object in another's place."""
    found: list[Fault] = []
    if isinstance(item, list):
        for at, inner in enumerate(item):
            found += check_shapes(f"{where}/{at}", inner)
    elif isinstance(item, dict):
        for name, inner in item.items():
            shape, called = _SHAPES.get(name, (object, ""))
            if inner is not None and not isinstance(inner, shape):
                found.append((f"{where}/{name}", f"must be {called}"))
            found += check_shapes(f"{where}/{name}", inner)
    return found


def check_element(where: str, element: Any, holder: str) -> list[Fault]:
    """What is wrong with an element of a `holder` block."""
    kind = kind_of(element)
    if kind not in _MAY_HOLD[holder]:
        return [(f"{where}/type", f"unsupported type: {kind or None}")]
    if kind in ("mrkdwn", "plain_text"):
        return check_text_object(where, element, 3000)
    found = [(f"{where}{place}", what) for place, what in missing(element, _REQUIRED.get(kind, ()))]
    found += check_length(f"{where}/action_id", str(element.get("action_id", "")), 255)
    if found:
        return found
    if kind in ("button", "icon_button"):
        return _button(where, element)
    if kind == "feedback_buttons":
        return [
            fault
            for name in ("positive_button", "negative_button")
            for fault in _button(f"{where}/{name}", element[name], valued=True)
        ]
    if "placeholder" in element:
        found += check_text_object(f"{where}/placeholder", element["placeholder"], 150, plain=True)
    return found + (_options(where, element, *_OPTIONS[kind]) if kind in _OPTIONS else [])


def options_of(element: Json) -> list[Json]:
    """The options of a menu, those in groups too."""
    grouped = [
        option for group in element.get("option_groups") or () for option in group["options"]
    ]
    return [*(element.get("options") or ()), *grouped]


def kind_of(item: Any) -> str:
    """The type of a block or an element; "" for what has none."""
    return str(item.get("type") or "") if isinstance(item, dict) else ""


def missing(item: Json, names: tuple[str, ...]) -> list[Fault]:
    """The fields that should be there and are not; False counts as there."""
    gone = [name for name in names if item.get(name) in (None, "", [], {})]
    return [("", f"missing required field: {name}") for name in gone]


def check_text_object(where: str, item: Any, limit: int, *, plain: bool = False) -> list[Fault]:
    """What is wrong with a text object; `plain` allows no mrkdwn."""
    kinds = ("plain_text",) if plain else ("mrkdwn", "plain_text")
    if not isinstance(item, dict) or item.get("type") not in kinds:
        return [(where, f"must be a text object of type {' or '.join(kinds)}")]
    if not isinstance(item.get("text", ""), str):
        return [(f"{where}/text", "must be a string")]
    if not text_of(item):
        return [(f"{where}/text", "must be more than 0 characters")]
    return check_length(f"{where}/text", text_of(item), limit)


def check_length(where: str, text: str, limit: int) -> list[Fault]:
    """A fault where a text is longer than `limit`."""
    return [(where, f"must be less than {limit + 1} characters")] if len(text) > limit else []


def text_of(item: Any) -> str:
    """The text of a text object or a plain string."""
    return str(item.get("text") or "") if isinstance(item, dict) else str(item or "")


def _button(where: str, button: Any, *, valued: bool = False) -> list[Fault]:
    if not isinstance(button, dict):
        return [(where, "must be an object")]
    found = check_text_object(f"{where}/text", button.get("text"), 75, plain=True)
    found += check_length(f"{where}/value", str(button.get("value", "")), 2000)
    found += check_length(f"{where}/url", str(button.get("url", "")), 3000)
    if valued and not button.get("value"):
        found.append((where, "missing required field: value"))
    return found


def _options(where: str, element: Json, fewest: int, most: int) -> list[Fault]:
    if element.get("options") and element.get("option_groups"):
        return [(where, "must provide only one of options and option_groups")]
    groups = element.get("option_groups") or ()
    if not all(isinstance(g, dict) and isinstance(g.get("options"), list) for g in groups):
        return [(f"{where}/option_groups", "must be option groups")]
    options = options_of(element)
    if len(options) < fewest:
        return [(f"{where}/options", f"no fewer than {fewest} items allowed")]
    if not groups and len(options) > most:
        return [(f"{where}/options", f"no more than {most} items allowed")]
    return [f for at, o in enumerate(options) for f in _option(f"{where}/options/{at}", o)]


def _option(where: str, option: Any) -> list[Fault]:
    if not isinstance(option, dict) or not option.get("value"):
        return [(where, "missing required field: value")]
    found = check_text_object(f"{where}/text", option.get("text"), 75)
    return found + check_length(f"{where}/value", str(option["value"]), 150)
