"""Two workspaces that install one app, as people do it: by a link, a consent page, and back."""

from __future__ import annotations

import html
import re
from typing import Any

import httpx

from deploy.sandbox.personas import CLIENT_ID, CLIENT_SECRET
from tests.bot.slack.house import WITHIN_S, House, Message
from tests.deploy.sandbox.acts import control
from tests.sandbox_server import until

MANY = {
    "SLACK_BOT_TOKEN": "",
    "SLACK_CLIENT_ID": CLIENT_ID,
    "SLACK_CLIENT_SECRET": CLIENT_SECRET,
}
OTHER = "T0OTHER"
OTHER_HELP = "C0OHELP"
OTHER_BOT = "U0OMYNAH"
COOKIE = "slack-app-oauth-state"


async def get(house: House, path: str, cookie: str = "") -> httpx.Response:
    """Look at a page of the bot's."""
    headers = {"Cookie": f"{COOKIE}={cookie}"} if cookie else {}
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(f"http://127.0.0.1:{house.port}{path}", headers=headers)


async def leave(house: House) -> tuple[str, str]:
    """Open the install page: the address of the consent page, and the state in the cookie."""
    page = await get(house, "/slack/install")
    link = re.search(r'href="([^"]*/oauth/v2/authorize[^"]*)"', page.text)
    state = re.search(rf"{COOKIE}=([^;]+);", page.headers["set-cookie"])
    assert link is not None
    assert state is not None
    return html.unescape(link[1]), state[1]


async def come_back(house: House, who: str, **how: Any) -> httpx.Response:
    """Install the app as somebody."""
    url, state = await leave(house)
    answer = await control(house.sandbox, "allow", token=f"xoxp-{who}", url=url, **how)
    return await get(house, f"/slack/oauth_redirect?{answer['query']}", state)


async def install(house: House, *who: str) -> None:
    """Install the app as each of them, and see the page that says so."""
    for name in who:
        page = await come_back(house, name)
        assert page.status_code == 200, page.text


async def said_there(house: House) -> list[Message]:
    """What the bot said in the neighbour's #help, oldest first."""
    state = await house.sandbox.state(team=OTHER, channel=OTHER_HELP, parts="messages")
    found = state["messages"][OTHER_HELP]
    return [one for one in found if one["user"] == OTHER_BOT and not one.get("deleted")]


async def ask_there(house: House, text: str, *, count: int = 1) -> Message:
    """Ask the bot in the neighbour's #help, and wait until it has said `count` messages."""
    asker = house.client("other-asker")
    await asker.chat_postMessage(channel=OTHER_HELP, text=f"<@{OTHER_BOT}> {text}")

    async def answered() -> bool:
        return len(await said_there(house)) >= count

    await until(answered, WITHIN_S)
    return (await said_there(house))[count - 1]
