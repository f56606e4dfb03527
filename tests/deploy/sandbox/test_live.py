"""What a page is told: all that its person sees, each change of it, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.sandbox_server import Sandbox

Json = dict[str, Any]


class Page:
    """The other end of the WebSocket, as `page/socket.js` is."""

    def __init__(self, socket: ClientConnection, everything: Json) -> None:
        self.socket = socket
        self.everything = everything

    async def until(self, fits: Callable[[Json], bool]) -> Json:
        """The next change that fits; those before it are passed over."""
        async with asyncio.timeout(10):
            while True:
                said = dict(json.loads(await self.socket.recv()))
                if fits(said):
                    return said

    async def message(self, text: str) -> Json:
        """The next message that says so."""

        def of(said: Json) -> list[Json]:
            return [one for one in said.get("messages", ()) if one.get("text") == text]

        return of(await self.until(lambda said: bool(of(said))))[0]


@contextlib.asynccontextmanager
async def page(sandbox: Sandbox, name: str, team: str = "") -> AsyncIterator[Page]:
    """A page that plays somebody."""
    url = sandbox.url.replace("http", "ws") + f"/page/live?as={name}&team={team}"
    async with connect(url, max_size=None) as socket:
        yield Page(socket, dict(json.loads(await socket.recv())))


async def get(sandbox: Sandbox, path: str, **query: str) -> httpx.Response:
    """One request."""
    async with httpx.AsyncClient(trust_env=False) as http:
        return await http.get(f"{sandbox.url}/page/{path}", params=query)


async def test_everybody_sees_their_own_workspace(sandbox: Sandbox) -> None:
    """At first a page hears who it is and which channels there are for them."""
    async with page(sandbox, "asker") as asker, page(sandbox, "guest") as guest:
        assert asker.everything["kind"] == "all"
        assert asker.everything["me"] == "U0ASKER"
        assert asker.everything["token"] == "xoxp-asker"
        assert asker.everything["groups"] == {"S0STAFF": "staff"}
        assert {"C0HELP", "C0OPS", "C0PRIV"} == set(asker.everything["channels"])
        assert {"C0HELP"} == set(guest.everything["channels"])


async def test_a_change_comes_to_those_who_see_it(sandbox: Sandbox) -> None:
    """A message in a private channel reaches its members' pages, and no other's."""
    async with page(sandbox, "asker") as member, page(sandbox, "asker2") as stranger:
        client = sandbox.client("xoxp-asker")
        await client.chat_postMessage(channel="C0PRIV", text="between us")
        await client.chat_postMessage(channel="C0HELP", text="to all")
        assert (await member.message("between us"))["channel"] == "C0PRIV"
        heard = await stranger.until(lambda said: "to all" in json.dumps(said))
        assert "between us" not in json.dumps(heard)
        assert "C0PRIV" not in json.dumps(heard)


async def test_what_only_one_may_see_stays_with_them(sandbox: Sandbox) -> None:
    """An ephemeral message comes to the page of its reader alone, and to their history alone."""
    async with page(sandbox, "asker") as reader, page(sandbox, "staff") as other:
        bot = sandbox.client("xoxb-mynah")
        await bot.chat_postEphemeral(channel="C0HELP", user="U0ASKER", text="for you")
        await bot.chat_postMessage(channel="C0HELP", text="for all")
        assert (await reader.message("for you"))["ephemeral_to"] == "U0ASKER"
        assert "for you" not in json.dumps(await other.until(lambda m: "for all" in json.dumps(m)))
    for name, sees in (("asker", True), ("staff", False)):
        told = await get(sandbox, "history", **{"as": name, "channel": "C0HELP"})
        assert ("for you" in told.text) is sees


async def test_what_was_deleted_goes_without_its_words(sandbox: Sandbox) -> None:
    """A deletion names the message and nothing of what it said."""
    client = sandbox.client("xoxp-asker")
    ts = (await client.chat_postMessage(channel="C0HELP", text="a secret"))["ts"]
    async with page(sandbox, "staff") as looking:
        await client.chat_delete(channel="C0HELP", ts=ts)
        said = await looking.until(lambda said: bool(said.get("messages")))
        assert said["messages"] == [
            {"channel": "C0HELP", "ts": ts, "thread_ts": None, "gone": True}
        ]
    assert (
        "a secret" not in (await get(sandbox, "history", **{"as": "staff"}, channel="C0HELP")).text
    )


async def test_a_reply_changes_the_count_under_its_thread(sandbox: Sandbox) -> None:
    """The root of a thread comes again with each reply."""
    client = sandbox.client("xoxp-asker")
    root = (await client.chat_postMessage(channel="C0HELP", text="a question"))["ts"]
    async with page(sandbox, "staff") as looking:
        await client.chat_postMessage(channel="C0HELP", text="a reply", thread_ts=root)
        assert (await looking.message("a question"))["reply_count"] == 1
    thread = (await get(sandbox, "thread", **{"as": "staff"}, channel="C0HELP", ts=root)).json()
    assert [one["text"] for one in thread["messages"]] == ["a question", "a reply"]


async def test_history_comes_in_parts(sandbox: Sandbox) -> None:
    """The newest first, older ones before a message, without replies, until there are no more."""
    client = sandbox.client("xoxp-asker")
    said = [(await client.chat_postMessage(channel="C0HELP", text=str(n)))["ts"] for n in range(5)]
    await client.chat_postMessage(channel="C0HELP", text="a reply", thread_ts=said[4])
    where = {"as": "staff", "channel": "C0HELP", "limit": "3"}
    newest = (await get(sandbox, "history", **where)).json()
    assert ([one["text"] for one in newest["messages"]], newest["more"]) == (["2", "3", "4"], True)
    older = (await get(sandbox, "history", **where, before=said[2])).json()
    assert ([one["text"] for one in older["messages"]], older["more"]) == (["0", "1"], False)


async def test_markdown_comes_as_blocks(sandbox: Sandbox) -> None:
    """A page draws Block Kit alone; a stream that is still written is Markdown, too."""
    bot = sandbox.client("xoxb-mynah")
    block = {"type": "markdown", "text": "# Ports\n**7411**"}
    root = await bot.chat_postMessage(channel="C0HELP", text="so", blocks=[block])
    stream = await bot.chat_startStream(
        channel="C0HELP",
        thread_ts=root["ts"],
        markdown_text="It is **7411**",
        recipient_user_id="U0ASKER",
        recipient_team_id="T0MYNAH",
    )
    told = (await get(sandbox, "thread", **{"as": "asker"}, channel="C0HELP", ts=root["ts"])).json()
    first, streamed = told["messages"]
    assert [one["type"] for one in first["blocks"]] == ["header", "rich_text"]
    assert (streamed["ts"], streamed["streaming"]) == (stream["ts"], True)
    assert [one["type"] for one in streamed["blocks"]] == ["rich_text"]


async def test_typing_is_told_to_others_and_not_kept(sandbox: Sandbox) -> None:
    """Who types is told to those who see the channel; nonsense is passed over."""
    async with page(sandbox, "asker") as typist, page(sandbox, "staff") as other:
        for nonsense in ("no JSON", "[]", '{"typing": 1}', '{"typing": {"channel": "C0NONE"}}'):
            await typist.socket.send(nonsense)
        await typist.socket.send(json.dumps({"typing": {"channel": "C0HELP", "thread_ts": ""}}))
        said = await other.until(lambda said: "typing" in said)
        assert said["typing"] == [{"user": "U0ASKER", "channel": "C0HELP", "thread_ts": ""}]
    async with page(sandbox, "staff") as later:
        assert "typing" not in later.everything


async def test_many_changes_of_one_thing_come_as_one(sandbox: Sandbox) -> None:
    """A page that is slow is told how things are, not how they came about."""
    client = sandbox.client("xoxp-asker")
    ts = (await client.chat_postMessage(channel="C0HELP", text="0"))["ts"]
    async with page(sandbox, "staff") as looking:
        for n in range(1, 31):
            await client.chat_update(channel="C0HELP", ts=ts, text=str(n))
        told = 0

        def last(said: Json) -> bool:
            nonlocal told
            told += 1
            return any(one["text"] == "30" for one in said.get("messages", ()))

        await looking.until(last)
        assert told < 30


@pytest.mark.parametrize(
    ("name", "team", "why"),
    [("nobody", "", "nobody here is called"), ("asker", "T0NONE", "no workspace T0NONE")],
)
async def test_who_is_not_there_is_told_so(
    sandbox: Sandbox, name: str, team: str, why: str
) -> None:
    """A page for a person or workspace that there is none of is closed with the reason."""
    with pytest.raises(ConnectionClosed) as closed:
        async with page(sandbox, name, team):
            pass
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4004
    assert why in closed.value.rcvd.reason
    assert (await get(sandbox, "history", **{"as": name, "team": team})).status_code == 404


async def test_each_workspace_is_a_page_of_its_own(sandbox: Sandbox) -> None:
    """The neighbour's page has nothing of this workspace."""
    await sandbox.client("xoxp-asker").chat_postMessage(channel="C0HELP", text="here alone")
    async with page(sandbox, "asker", "T0OTHER") as other:
        assert set(other.everything["channels"]) == {"C0OHELP"}
        assert other.everything["token"] == "xoxp-other-asker"
    seen = await get(sandbox, "history", **{"as": "asker", "team": "T0OTHER", "channel": "C0HELP"})
    assert seen.status_code == 404


@pytest.mark.parametrize("query", ["as=" + "é" * 200, "as=asker&team=" + "T" * 200])
async def test_a_long_name_is_told_as_well_that_nobody_has_it(sandbox: Sandbox, query: str) -> None:
    """A WebSocket closes with few words: more of them would close it without any."""
    url = sandbox.url.replace("http", "ws") + f"/page/live?{query}"
    async with connect(url) as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4004


async def test_a_hidden_channel_is_not_even_named(sandbox: Sandbox) -> None:
    """Who joins or leaves it, and who types there, is nobody else's to know, nor that it is."""
    staff = sandbox.client("xoxp-staff")
    async with page(sandbox, "guest") as guest, page(sandbox, "asker") as asker:
        await guest.socket.send(json.dumps({"typing": {"channel": "C0PRIV"}}))
        await guest.socket.send(json.dumps({"typing": {"channel": "C0HELP"}}))
        typed = await asker.until(lambda said: "typing" in said)
        assert [one["channel"] for one in typed["typing"]] == ["C0HELP"]
        await sandbox.client("xoxp-asker").conversations_leave(channel="C0PRIV")
        left = await asker.until(lambda said: "C0PRIV" in said.get("channels", ()))
        assert left["channels"]["C0PRIV"] is None
        await staff.conversations_leave(channel="C0PRIV")
        await staff.chat_postMessage(channel="C0HELP", text="for all")
        for one in (guest, asker):
            while "messages" not in (said := await one.until(lambda _said: True)):
                assert "C0PRIV" not in json.dumps(said)
            assert "C0PRIV" not in json.dumps(said)
