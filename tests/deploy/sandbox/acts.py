"""What people do in Slack's client, and the blocks that they do it with."""

from __future__ import annotations

from typing import Any

import httpx

from tests.sandbox_server import Sandbox

HELP = "C0HELP"


async def control(sandbox: Sandbox, what: str, **body: Any) -> dict[str, Any]:
    """One call of the control API; its HTTP status is put into the answer as `status`."""
    async with httpx.AsyncClient(timeout=30) as http:
        answer = await http.post(f"{sandbox.url}/_control/{what}", json=body)
    return {**answer.json(), "status": answer.status_code}


def plain(text: str) -> dict[str, Any]:
    """A plain text object."""
    return {"type": "plain_text", "text": text}


def option(value: str) -> dict[str, Any]:
    """An option of a menu."""
    return {"text": plain(value.title()), "value": value}


def button(action_id: str, value: str = "1") -> dict[str, Any]:
    """A button."""
    return {"type": "button", "action_id": action_id, "text": plain("Press"), "value": value}


def actions(*elements: dict[str, Any], block_id: str = "row") -> dict[str, Any]:
    """A row of elements."""
    return {"type": "actions", "block_id": block_id, "elements": list(elements)}


def feedback() -> dict[str, Any]:
    """👍 and 👎 under an answer."""
    up, down = ({"text": plain(face), "value": face} for face in ("👍", "👎"))
    element = {"type": "feedback_buttons", "action_id": "rate"}
    element |= {"positive_button": up, "negative_button": down}  # type: ignore[dict-item]
    return {"type": "context_actions", "block_id": "rating", "elements": [element]}


def question(block_id: str, *, optional: bool = False, **element: Any) -> dict[str, Any]:
    """An input of a modal."""
    kind = {"type": "plain_text_input", "action_id": f"{block_id}_typed"}
    label = plain(block_id)
    shown = {"type": "input", "block_id": block_id, "label": label, "element": kind | element}
    return shown | {"optional": optional}


def modal(*blocks: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A modal that can be submitted."""
    body = {"type": "modal", "callback_id": "form", "title": plain("Correct"), "blocks": [*blocks]}
    return {**body, "submit": plain("Save"), **more}


def home(*blocks: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A Home tab."""
    return {"type": "home", "blocks": list(blocks), **more}
