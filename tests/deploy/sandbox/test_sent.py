"""Whatever an app or a page sends, what is kept of it can be read by everybody afterwards."""

from __future__ import annotations

import json

import httpx
import pytest

from deploy.sandbox.sent import MOST_DEEP, read
from tests.sandbox_server import Sandbox

BODY = '{"channel":"C0HELP","text":%s,"metadata":{"event_type":"a","event_payload":{"x":%s}}}'


async def post(sandbox: Sandbox, text: str, x: str = "1") -> httpx.Response:
    """Post as the app, word for word."""
    headers = {"Authorization": "Bearer xoxb-mynah", "Content-Type": "application/json"}
    async with httpx.AsyncClient(trust_env=False) as http:
        url = f"{sandbox.api_url}chat.postMessage"
        return await http.post(url, content=BODY % (text, x), headers=headers)


async def history(sandbox: Sandbox) -> list[str]:
    """What a page reads in the channel."""
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(f"{sandbox.url}/page/history?as=asker&channel=C0HELP")
    return [message["text"] for message in answer.json()["messages"]]


async def test_half_a_character_breaks_no_channel(sandbox: Sandbox) -> None:
    """An emoji that was cut in two is said with a sign in its place; whole ones stay."""
    assert (await post(sandbox, r'"cut \ud83d, whole \ud83d\ude00"')).json()["ok"]
    assert await history(sandbox) == ["cut �, whole 😀"]
    form = json.dumps([{"type": "divider", "block_id": "\udc00"}])
    answer = await sandbox.client("xoxb-mynah").chat_postMessage(
        channel="C0HELP", text="form", blocks=form
    )
    assert answer["message"]["blocks"][0]["block_id"] == "�"


@pytest.mark.parametrize("x", ["NaN", "-Infinity", "1e999", "[" * 900 + "]" * 900])
async def test_what_cannot_be_written_again_is_no_json(sandbox: Sandbox, x: str) -> None:
    """Numbers that JSON has not, and lists in lists without end, are refused; nothing was said."""
    assert (await post(sandbox, '"x"', x)).json() == {"ok": False, "error": "invalid_json"}
    assert await history(sandbox) == []


def test_reading_ends_where_it_says() -> None:
    """The deepest that is read, and one more; deeper than Python itself goes is the same."""
    nested = "[" * MOST_DEEP + "]" * MOST_DEEP
    assert read(nested) == json.loads(nested)
    for deep in (f"[{nested}]", "[" * 100_000):
        with pytest.raises(ValueError, match="nested too deep"):
            read(deep)
