"""What staff do with buttons, modals and shortcuts in the house, and what they then see."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from tests.bot.slack.house import HELP, WITHIN_S, House, Message
from tests.deploy.sandbox.acts import control

Json = dict[str, Any]


async def press(
    house: House, who: str, ts: str, action_id: str, value: str | None = None, channel: str = HELP
) -> Json:
    """Press a button of a message."""
    body: Json = {"token": f"xoxp-{who}", "channel": channel, "ts": ts, "action_id": action_id}
    if value is not None:
        body["value"] = value
    return await control(house.sandbox, "action", **body)


async def shortcut(house: House, who: str, ts: str, channel: str = HELP) -> Json:
    """Use "Correct this answer" on a message."""
    return await control(
        house.sandbox, "shortcut", token=f"xoxp-{who}", channel=channel, ts=ts,
        callback_id="correct_answer",
    )  # fmt: skip


async def modals(house: House) -> dict[str, Json]:
    """The modals that are open, by the id of who sees them."""
    found: dict[str, Json] = (await house.sandbox.state(parts="views"))["views"]["modals"]
    return found


async def modal(house: House, who: str) -> Json:
    """Wait for a persona's modal."""
    until, user = time.monotonic() + WITHIN_S, f"U0{who.upper()}"
    while user not in (found := await modals(house)):
        assert time.monotonic() < until, f"no modal opened; {house.failed()}"
        await asyncio.sleep(0.03)
    return found[user]


async def submit(house: House, who: str, view: Json, **values: str) -> None:
    """Fill a modal in and send it; what is not named stays as it was."""
    done = await control(
        house.sandbox, "submit", token=f"xoxp-{who}", view_id=view["id"], values=values
    )
    assert done["ok"], done


async def correct(
    house: House, who: str, ts: str, right: str, channel: str = HELP, **values: str
) -> None:
    """Correct an answer with the shortcut, and wait until everything is done."""
    await shortcut(house, who, ts, channel)
    view = await modal(house, who)
    await submit(house, who, view, **{"answer": right, "reason": "wrong", **values})
    await house.quiet()


async def said(house: House, ts: str, channel: str = HELP) -> Message:
    """A message as it reads now."""
    return next(one for one in await house.sandbox.messages(channel) if one["ts"] == ts)


def filled(view: Json) -> Json:
    """What the inputs of a modal hold before anybody types."""
    inputs = {block["block_id"]: block["element"] for block in view["blocks"]}
    return {name: element.get("initial_value") for name, element in inputs.items()}


def texts(message: Message) -> list[str]:
    """Every text that a message's blocks show, top to bottom."""
    return [text for block in message.get("blocks", ()) for text in _texts(block)]


def _texts(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["text"]] if isinstance(node.get("text"), str) else []
        return own + [text for value in node.values() for text in _texts(value)]
    return [text for item in node for text in _texts(item)] if isinstance(node, list) else []


def buttons(message: Message) -> list[str]:
    """The action ids that a message offers."""
    blocks = message.get("blocks", ())
    return [one["action_id"] for block in blocks for one in _actions(block)]


def _actions(block: Json) -> list[Json]:
    elements: list[Json] = block.get("elements", [])
    return [one for one in elements if "action_id" in one]
