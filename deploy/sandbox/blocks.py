"""Block Kit as Slack checks it: which blocks may stand where, and the limits of each."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any

from deploy.sandbox.elements import (
    Fault,
    Json,
    check_element,
    check_length,
    check_shapes,
    check_text_object,
    kind_of,
    missing,
    text_of,
)
from deploy.sandbox.errors import SlackError

MESSAGE, MODAL, HOME = "message", "modal", "home"
MARKDOWN_CHARS = 12_000
_MOST = {MESSAGE: 50, MODAL: 100, HOME: 100}

# Each type of block with the fields that must be there.
_REQUIRED: dict[str, tuple[str, ...]] = {
    "actions": ("elements",),
    "context": ("elements",),
    "context_actions": ("elements",),
    "divider": (),
    "file": ("external_id",),
    "header": ("text",),
    "image": ("alt_text",),
    "input": ("label", "element"),
    "markdown": ("text",),
    "plan": ("title",),
    "rich_text": ("elements",),
    "section": (),
    "table": ("rows",),
    "task_card": ("task_id", "title", "status"),
    "video": ("video_url", "title", "thumbnail_url", "alt_text"),
}
ALONE = {"section": "accessory", "input": "element"}  # blocks with one element, and where
_MESSAGES_ONLY = {"context_actions", "file", "markdown", "plan", "table", "task_card"}
_ELEMENTS = {"actions": 25, "context": 10, "context_actions": 5}
_ROWS, _CELLS, _COLUMNS = 100, {"raw_text", "raw_number", "rich_text"}, 20
_STATUSES = {"pending", "in_progress", "complete", "error"}


def check_blocks(blocks: Any) -> list[Json]:
    """Return `blocks` when a message may hold them; else `invalid_blocks` and where it is wrong."""
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise SlackError("invalid_blocks_format")
    if faults := faults_of(blocks, MESSAGE, "/blocks"):
        raise SlackError(
            "invalid_blocks",
            errors=faults,
            response_metadata={"messages": [f"[ERROR] {fault}" for fault in faults]},
        )
    if sum(len(text_of(b["text"])) for b in blocks if b["type"] == "markdown") > MARKDOWN_CHARS:
        raise SlackError("msg_blocks_too_long")
    return blocks


def faults_of(blocks: list[Json], surface: str, where: str) -> list[str]:
    """What is wrong with blocks on a surface, each with its place as a JSON pointer."""
    if shapes := check_shapes(where, blocks):
        return [f"{what} [json-pointer:{place}]" for place, what in shapes]
    found = [(where, what) for what in (*_too_many(blocks, surface), *_same_ids(blocks))]
    for at, block in enumerate(blocks):
        found += [(f"{where}/{at}{inner}", what) for inner, what in _block(block, surface)]
    return [f"{what} [json-pointer:{place}]" for place, what in found]


def with_ids(blocks: list[Json]) -> list[Json]:
    """The blocks with the ids that Slack makes up where the app gave none."""
    return [_with_ids(block) for block in blocks]


def _with_ids(block: Json) -> Json:
    named = {**block, "block_id": block.get("block_id") or _made_up()}
    if (name := ALONE.get(named["type"])) and named.get(name):
        named[name] = _with_action_id(named[name])
    if named["type"] in ("actions", "context_actions"):
        named["elements"] = [_with_action_id(element) for element in named["elements"]]
    return named


def _with_action_id(element: Json) -> Json:
    if element["type"] == "image":
        return dict(element)
    return {**element, "action_id": element.get("action_id") or _made_up()}


def _made_up() -> str:
    return secrets.token_urlsafe(4)[:5]


def _too_many(blocks: list[Json], surface: str) -> Iterable[str]:
    if len(blocks) > _MOST[surface]:
        yield f"no more than {_MOST[surface]} items allowed"
    if sum(1 for block in blocks if block.get("type") == "table") > 1:
        yield "only_one_table_allowed"


def _same_ids(blocks: list[Json]) -> Iterable[str]:
    ids = [block["block_id"] for block in blocks if block.get("block_id")]
    if len(ids) != len(set(ids)):
        yield "block_id must be unique"


def _block(block: Json, surface: str) -> list[Fault]:
    kind = kind_of(block)
    if kind not in _REQUIRED or (surface != MESSAGE and kind in _MESSAGES_ONLY):
        return [("/type", f"unsupported type: {kind or None}")]
    found = missing(block, _REQUIRED[kind])
    found += check_length("/block_id", str(block.get("block_id", "")), 255)
    if kind in _ELEMENTS:
        found += _holder(block, kind)
    checks = {"section": _section, "input": _input, "header": _header, "table": _table}
    checks |= {"task_card": _task_card, "plan": _plan, "image": _image}
    return found + checks[kind](block) if kind in checks and not found else found


def _holder(block: Json, kind: str) -> list[Fault]:
    elements = block.get("elements") or []
    found: list[Fault] = []
    if len(elements) > _ELEMENTS[kind]:
        found.append(("/elements", f"no more than {_ELEMENTS[kind]} items allowed"))
    for at, element in enumerate(elements):
        found += check_element(f"/elements/{at}", element, kind)
    ids = [e["action_id"] for e in elements if isinstance(e, dict) and e.get("action_id")]
    found += [
        ("/elements", f"`action_id` must be unique in a block: {one}")
        for one in sorted({one for one in ids if ids.count(one) > 1})
    ]
    return found


def _section(block: Json) -> list[Fault]:
    fields = block.get("fields") or ()
    if not block.get("text") and not fields:
        return [("", "missing required field: text")]
    found = check_text_object("/text", block["text"], 3000) if "text" in block else []
    for at, item in enumerate(fields):
        found += check_text_object(f"/fields/{at}", item, 2000)
    if len(fields) > 10:
        found.append(("/fields", "no more than 10 items allowed"))
    if block.get("accessory"):
        found += check_element("/accessory", block["accessory"], "section")
    return found


def _input(block: Json) -> list[Fault]:
    found = check_text_object("/label", block["label"], 2000, plain=True)
    if "hint" in block:
        found += check_text_object("/hint", block["hint"], 2000, plain=True)
    return found + check_element("/element", block["element"], "input")


def _header(block: Json) -> list[Fault]:
    return check_text_object("/text", block["text"], 150, plain=True)


def _image(block: Json) -> list[Fault]:
    if not block.get("image_url") and not block.get("slack_file"):
        return [("", "missing required field: image_url")]
    found = check_length("/image_url", str(block.get("image_url", "")), 3000)
    return found + check_length("/alt_text", str(block["alt_text"]), 2000)


def _table(block: Json) -> list[Fault]:
    rows = block["rows"]
    if not all(isinstance(row, list) for row in rows):
        return [("/rows", "must be an array of arrays")]
    found: list[Fault] = []
    if len(rows) > _ROWS:
        found.append(("/rows", f"no more than {_ROWS} items allowed"))
    for at, row in enumerate(rows):
        if len(row) > _COLUMNS:
            found.append((f"/rows/{at}", f"no more than {_COLUMNS} items allowed"))
        for column, cell in enumerate(row):
            if kind_of(cell) not in _CELLS:
                found.append((f"/rows/{at}/{column}", "must be raw_text, raw_number or rich_text"))
    return found


def _task_card(block: Json) -> list[Fault]:
    found: list[Fault] = []
    if block["status"] not in _STATUSES:
        found.append(("/status", f"must be one of {', '.join(sorted(_STATUSES))}"))
    for name in ("details", "output"):
        inner = block.get(name)
        if inner is not None and kind_of(inner) != "rich_text":
            found.append((f"/{name}", "must be a rich_text block"))
    return found


def _plan(block: Json) -> list[Fault]:
    found: list[Fault] = []
    for at, task in enumerate(block.get("tasks") or ()):
        if kind_of(task) != "task_card":
            found.append((f"/tasks/{at}", "must be a task_card block"))
        else:
            found += [(f"/tasks/{at}{where}", what) for where, what in _block(task, MESSAGE)]
    return found
