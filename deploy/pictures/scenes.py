"""The scenes, in the order in which they are played: what is taught in one is known in the next."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from sqlmodel import select

from bot.store.schema import Example, ExampleStatus
from deploy.personas import CHANNEL
from deploy.pictures.camera import Camera
from deploy.pictures.house import ADMIN_CHANNEL, House
from deploy.pictures.run import passed

Scene = Callable[[House, Camera], Awaitable[None]]
VPN = "How do I get a new VPN token after changing my phone?"
VPN_AGAIN = "I changed my phone. How do I get a new VPN token?"
VPN_RIGHT = """Order it yourself, it takes two minutes:

1. Open *Self-service › Devices* and choose **Replace token**.
2. Scan the code with the new phone.
3. Connect once with `vpn connect --renew`.

The old token ends **24 hours** later."""
LAPTOP = "How long do I wait for a replacement laptop?"
LAPTOP_WRONG = "A replacement laptop is sent within 10 working days, by post to your home address."
LAPTOP_RIGHT = (
    "A replacement laptop is ready within 2 working days, at the IT desk of your own office."
)
PARKING = "Can I get a parking space in Lisbon for a visiting customer?"


def _buttons(message: dict[str, Any]) -> list[str]:
    """The action ids in a message."""
    rows = [one for one in message.get("blocks", ()) if one["type"].endswith("actions")]
    return [element["action_id"] for row in rows for element in row["elements"]]


async def _taught(house: House, count: int) -> None:
    async def known() -> bool | None:
        live = select(Example).where(Example.status == ExampleStatus.LIVE)
        return len(house.read(lambda session: list(session.exec(live)))) >= count or None

    await house.until(f"{count} live examples", known)


async def answer(house: House, camera: Camera) -> None:
    """Somebody asks what staff have taught before, in other words."""
    ts = await house.ask("asker2", VPN, "Please ask your manager.")
    right = await house.say("staff", VPN_RIGHT, ts)
    await house.react("staff", "memo", right)
    await _taught(house, 1)
    again = await house.ask("asker", VPN_AGAIN)
    said = await house.shown("answer", again)
    await house.react("staff", "white_check_mark", said["ts"])
    await camera.take("answer", {"channel": CHANNEL, "thread": again})


async def correction(house: House, camera: Camera) -> None:
    """Staff rewrite an answer in its place."""
    ts = await house.ask("asker2", LAPTOP, LAPTOP_WRONG)
    said = await house.shown("answer", ts)
    opened = await house.control(
        "shortcut", "staff", channel=CHANNEL, ts=said["ts"], callback_id="correct_answer"
    )
    view = opened["view"] or await house.window("staff")
    values = {"answer": LAPTOP_RIGHT, "reason": "wrong"}
    await camera.take("form", {"modal": "U0STAFF"}, width=520, typed=values)
    await house.control("submit", "staff", view_id=view["id"], values=values)
    await house.shown("corrected answer", ts, lambda one: "undo_correction" in _buttons(one))
    await camera.take("correction", {"channel": CHANNEL, "thread": ts})


async def case(house: House, camera: Camera) -> None:
    """Mynah is not sure, says so, and asks people."""
    ts = await house.ask("asker", PARKING, "Yes, on level 3.", logprob=-4.0)
    card = await house.shown("card of the case", ts, lambda one: "case_claim" in _buttons(one))
    await house.press("staff2", card, "case_claim")
    await house.shown("claimed case", ts, lambda one: "Claimed" in str(one.get("blocks")))
    await camera.take("case", {"channel": CHANNEL, "thread": ts})


async def run(house: House, camera: Camera) -> None:
    """What a training run made waits for an admin, who lets it answer."""
    house.write(lambda session: passed(session, house.server_url))
    plan = await house.posted("a run", lambda one: "admin:promote" in _buttons(one), ADMIN_CHANNEL)
    await house.posted("its picture", lambda one: bool(one.get("files")), ADMIN_CHANNEL)
    await camera.take("run", {"channel": ADMIN_CHANNEL, "thread": plan["ts"]})
    await house.press("admin", plan, "admin:promote")
    await house.posted("its end", lambda one: "promoted" in str(one.get("blocks")), ADMIN_CHANNEL)


async def home(house: House, camera: Camera) -> None:
    """An admin's Home tab."""
    await house.control("home", "admin")
    await house.window("admin", "homes")
    await camera.take("home", {"home": "U0ADMIN"}, width=680)


SCENES: tuple[Scene, ...] = (answer, correction, case, run, home)
