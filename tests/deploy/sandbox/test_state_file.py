"""What the sandbox keeps: whatever was answered `ok` is there afterwards, however it ended."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from deploy.sandbox.app import build
from deploy.sandbox.courier import Timing
from deploy.sandbox.errors import NotKept
from deploy.sandbox.state_file import NAME, StateFile
from deploy.sandbox.world import World
from deploy.sandbox.worlds import Worlds
from tests.deploy.sandbox.acts import HELP, actions, button, control, home
from tests.deploy.sandbox.bolt import Listener
from tests.deploy.sandbox.test_oauth import access, press_allow
from tests.sandbox_server import Sandbox, connected, until
from tests.vllm_server import free_port

SECRET = "the launch code is gillyflower"


@asynccontextmanager
async def kept(path: Path, **how: Any) -> AsyncIterator[Sandbox]:
    """A sandbox that keeps its state in a file, until it stops in order."""
    with StateFile(path, **how) as keep, Sandbox(Timing(retry_s=(0.0, 0.5)), keep=keep) as sandbox:
        yield sandbox


@asynccontextmanager
async def process(directory: Path, port: int, *words: str) -> AsyncIterator[AsyncWebClient]:
    """`mynah sandbox` as a shell starts it, killed like by a power cut; gives the asker."""
    settings = {"MYNAH_DATA_DIR": str(directory), "MYNAH_PORT": str(port)}
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy", "sandbox", *words, env={**os.environ, **settings},
        stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await until(lambda: _answers(port), 30)
        yield AsyncWebClient(token="xoxp-asker", base_url=f"http://127.0.0.1:{port}/api/")
    finally:
        child.send_signal(signal.SIGKILL)
        await child.wait()


async def _answers(port: int) -> bool:
    async with httpx.AsyncClient(trust_env=False) as http:
        try:
            found = await http.get(f"http://127.0.0.1:{port}/api/api.test")
        except httpx.TransportError:
            return False
    return found.is_success


async def test_what_was_answered_ok_outlives_a_kill(tmp_path: Path) -> None:
    """A message, a reaction and a reply in its thread, right after the last `ok`."""
    port = free_port()
    async with process(tmp_path, port) as asker:
        ts = (await asker.chat_postMessage(channel=HELP, text="first"))["ts"]
        await asker.reactions_add(channel=HELP, timestamp=ts, name="eyes")
        await asker.chat_postMessage(channel=HELP, text="and more", thread_ts=ts)
    async with process(tmp_path, port) as asker:
        found = (await asker.conversations_replies(channel=HELP, ts=ts))["messages"]
        later = (await asker.chat_postMessage(channel=HELP, text="later"))["ts"]
    assert [one["text"] for one in found] == ["first", "and more"]
    assert found[0]["reactions"] == [{"name": "eyes", "users": ["U0ASKER"], "count": 1}]
    assert found[0]["reply_count"] == 1
    assert later > found[1]["ts"]


async def test_an_event_that_nobody_took_is_carried_after_the_restart(tmp_path: Path) -> None:
    """The app hears of it once it connects; what it acknowledged before it does not hear again."""
    path = tmp_path / NAME
    async with kept(path) as sandbox:
        bot = Listener(sandbox)
        async with connected(sandbox, bot.app):
            await sandbox.client("xoxp-asker").chat_postMessage(channel=HELP, text="heard")
            await until(lambda: bool(bot.heard))
            await until(lambda: _nothing_waits(sandbox))
        await sandbox.client("xoxp-asker").chat_postMessage(channel=HELP, text="unheard")
    async with kept(path) as sandbox:
        again = Listener(sandbox)
        async with connected(sandbox, again.app):
            await until(lambda: bool(again.heard))
            await until(lambda: _nothing_waits(sandbox))
    assert [event["text"] for event in again.events()] == ["unheard"]
    async with kept(path) as sandbox:
        assert (await sandbox.state(parts="counts"))["counts"]["events"] == 0


async def _nothing_waits(sandbox: Sandbox) -> bool:
    return not (await sandbox.state(parts="counts"))["counts"]["waiting"]


@pytest.mark.parametrize("how", ["delete", "edit", "root"])
async def test_what_was_taken_back_is_on_no_disk(tmp_path: Path, how: str) -> None:
    """Deleted or edited, the old words are in none of the files within a second, while it runs."""
    path = tmp_path / NAME
    async with kept(path) as sandbox:
        asker, bot = sandbox.client("xoxp-asker"), Listener(sandbox)
        async with connected(sandbox, bot.app):
            ts = str((await asker.chat_postMessage(channel=HELP, text=SECRET))["ts"])
            if how == "root":
                await asker.chat_postMessage(channel=HELP, text="a reply", thread_ts=ts)
            assert _on_disk(tmp_path)
            if how == "edit":
                await asker.chat_update(channel=HELP, ts=ts, text="never mind")
            else:
                await asker.chat_delete(channel=HELP, ts=ts)
            await until(lambda: _nothing_waits(sandbox))  # an event may have held it
            await until(lambda: not _on_disk(tmp_path), 5)


def _on_disk(directory: Path) -> bool:
    return any(SECRET.encode() in file.read_bytes() for file in directory.glob(f"{NAME}*"))


async def test_everything_that_somebody_made_is_kept(tmp_path: Path) -> None:
    """Seeded people and channels, direct conversations, membership, files, Home tabs; and new ones
    get ids that none of them has."""
    path = tmp_path / NAME
    async with kept(path) as sandbox:
        asker, bot = sandbox.client("xoxp-asker"), sandbox.client("xoxb-mynah")
        await sandbox.seed(
            users=[{"id": "U1", "name": "ann", "real_name": "Ann", "token": "xoxp-ann"}],
            channels=[{"id": "C1", "name": "new", "members": ["U1", "U0MYNAH"]}],
            usergroups=[{"id": "S1", "handle": "them", "users": ["U1"]}],
        )
        said = await asker.chat_postMessage(channel=HELP, text="read until here")
        await sandbox.client("xoxp-staff").conversations_mark(channel=HELP, ts=str(said["ts"]))
        await asker.chat_postMessage(channel=HELP, text="and no further")
        direct = (await asker.conversations_open(users="U0MYNAH"))["channel"]["id"]
        await asker.chat_postMessage(channel=direct, text="psst")
        await asker.conversations_join(channel="C1")
        await sandbox.client("xoxp-guest").conversations_leave(channel=HELP)
        await bot.files_upload_v2(channel="C1", content=b"\x89PNG\xff", filename="a.png")
        await bot.views_publish(user_id="U0ASKER", view=home(actions(button("go"))))
        before = await sandbox.state(parts="users,channels,messages,views")
    async with kept(path) as sandbox:
        after = await sandbox.state(parts="users,channels,messages,views")
        del before["now"], after["now"]
        assert after == before
        ann, asker = sandbox.client("xoxp-ann"), sandbox.client("xoxp-asker")
        assert (await ann.usergroups_users_list(usergroup="S1"))["users"] == ["U1"]
        link = after["messages"]["C1"][0]["files"][0]["url_private"]
        assert await _fetched(sandbox, link) == b"\x89PNG\xff"
        new = (await asker.conversations_open(users="U1"))["channel"]["id"]
        assert new not in before["channels"]
        await ann.files_upload_v2(channel="C1", content="b", filename="b.txt")
        files = [one["files"][0]["id"] for one in await sandbox.messages("C1") if one.get("files")]
        assert len(set(files)) == 2
    with StateFile(path) as keep:
        keep.restore(worlds := Worlds())
        assert worlds.home.reads == {("U0STAFF", HELP): said["ts"]}


async def _fetched(sandbox: Sandbox, link: str) -> bytes:
    """A file by its link; the sandbox listens on another port by now."""
    path = httpx.URL(link).path
    async with httpx.AsyncClient(trust_env=False) as http:
        token = {"Authorization": "Bearer xoxp-ann"}
        return (await http.get(f"{sandbox.url}{path}", headers=token)).content


async def test_the_app_stays_where_it_was_installed_and_out_of_where_it_was_not(
    tmp_path: Path,
) -> None:
    """A token of the neighbour counts after a restart; of an app that was taken out, none does."""
    path = tmp_path / NAME
    async with kept(path) as sandbox:
        token = (await access(sandbox, code=await press_allow(sandbox)))["access_token"]
    async with kept(path) as sandbox:
        bot = sandbox.client(token)
        assert (await bot.auth_test())["team_id"] == "T0OTHER"
        await bot.chat_postMessage(channel="C0OHELP", text="there")
        await sandbox.client("xoxp-other-asker").chat_postMessage(channel="C0OHELP", text="hi")
        assert (await sandbox.state(parts="counts"))["counts"]["waiting"] == 2
        await control(sandbox, "uninstall", team="T0OTHER")
    async with kept(path) as sandbox:
        with pytest.raises(SlackApiError, match="account_inactive"):
            await sandbox.client(token).auth_test()
        said = await sandbox.state(parts="messages", team="T0OTHER")
        assert [one["text"] for one in said["messages"]["C0OHELP"]] == ["there", "hi"]
        await sandbox.client("xoxp-other-asker").chat_postMessage(channel="C0OHELP", text="bye")
        # Two messages and the two last events; of what is said now it hears nothing.
        assert (await sandbox.state(parts="counts"))["counts"]["waiting"] == 4


async def test_a_token_that_was_revoked_stays_revoked(tmp_path: Path) -> None:
    """Also one that every sandbox starts with."""
    path = tmp_path / NAME
    async with kept(path) as sandbox:
        await sandbox.client("xoxb-mynah").auth_revoke()
    async with kept(path) as sandbox:
        with pytest.raises(SlackApiError, match="token_revoked"):
            await sandbox.client("xoxb-mynah").auth_test()


async def test_what_one_person_alone_saw_is_not_kept(tmp_path: Path) -> None:
    """Slack forgets ephemeral messages when a client loads anew."""
    path = tmp_path / NAME
    async with kept(path) as sandbox:
        bot = sandbox.client("xoxb-mynah")
        await bot.chat_postEphemeral(channel=HELP, user="U0ASKER", text=SECRET)
    assert not _on_disk(tmp_path)


async def test_it_is_planted_once(tmp_path: Path) -> None:
    """Where nothing was kept; what people changed of it stays changed, until a reset."""
    path = tmp_path / NAME

    def plant(world: World) -> None:
        world.workspace.users["U0ASKER"].real_name = "Jo"
        world.changed("people")
        planted.append(world)

    planted: list[World] = []
    said = []
    for reset in (False, False, True):
        async with kept(path, plant=plant, reset=reset) as sandbox:
            names = {u["id"]: u["real_name"] for u in (await sandbox.state(parts="users"))["users"]}
            assert names["U0ASKER"] == "Jo"
            await sandbox.client("xoxp-asker").chat_postMessage(channel=HELP, text="hello")
            said.append(len(await sandbox.messages()))
    assert (len(planted), said) == (2, [1, 2, 1])


def _junk(path: Path) -> None:
    path.write_bytes(b"notes of mine, no database" * 400)


def _foreign(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE recipe (name TEXT)")
        other.execute("PRAGMA user_version=1")
    other.close()


def _spoiled(path: Path) -> None:
    StateFile(path).close()
    with sqlite3.connect(path) as ours:
        ours.execute("INSERT INTO thing VALUES ('T0MYNAH', 'message', 'C0HELP:1', '{\"ts\": 1')")
    ours.close()


def _cut(path: Path) -> None:
    StateFile(path).close()
    with sqlite3.connect(path) as ours:
        rows = [("T0MYNAH", "revoked", str(n), f'"{"x" * 3000}"') for n in range(99)]
        ours.executemany("INSERT INTO thing VALUES (?, ?, ?, ?)", rows)
    ours.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + b"\xff" * 8192 + whole[16384:])


@pytest.mark.parametrize("damage", [_junk, _foreign, _spoiled, _cut])
async def test_a_file_that_is_not_ours_or_is_damaged_is_named_and_left(
    tmp_path: Path, damage: Any
) -> None:
    """One line says which file, and what starts again; not a byte of it is changed by then."""
    path = tmp_path / NAME
    damage(path)
    before = path.read_bytes()
    with pytest.raises(NotKept, match=rf"{path} .*--reset") as refusal, StateFile(path) as keep:
        build(keep=keep)
    assert "\n" not in str(refusal.value)
    assert path.read_bytes() == before
    async with kept(path, reset=True) as sandbox:
        assert not await sandbox.messages()


def test_two_sandboxes_do_not_share_a_file(tmp_path: Path) -> None:
    """The second is told which process has it, also when it was to start again; the first one's
    file stays."""
    path = tmp_path / NAME
    with StateFile(path):
        for reset in (False, True):
            with pytest.raises(NotKept, match=rf"{path} is in use .*pid {os.getpid()}\)"):
                StateFile(path, reset=reset)
        assert path.exists()
    StateFile(path).close()


async def test_a_full_disk_is_told_once_and_stops_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """People go on; once there is room again, what could not be written is."""
    path = tmp_path / NAME
    with StateFile(path) as keep, Sandbox(keep=keep) as sandbox:
        asker = sandbox.client("xoxp-asker")
        database = keep._database
        most = database.execute("PRAGMA max_page_count").fetchone()[0]
        database.execute("PRAGMA max_page_count=8").fetchall()  # SQLite then says: disk is full
        for number in range(12):
            text = f"{number} " + "long " * 700
            assert (await asker.chat_postMessage(channel=HELP, text=text))["ok"]
        assert len(await sandbox.messages()) == 12
        told = capsys.readouterr().err
        assert told.count("\n") == 1
        assert str(path) in told
        database.execute(f"PRAGMA max_page_count={most}").fetchall()
        await asker.chat_postMessage(channel=HELP, text="room again")
    async with kept(path) as sandbox:
        assert len(await sandbox.messages()) == 13


async def test_a_workspace_knows_when_it_was_begun(tmp_path: Path) -> None:
    """Channels keep the time of their making, by which a page knows a new workspace from an old."""
    made = []
    for _ in range(2):
        async with kept(tmp_path / NAME) as sandbox:
            channel = await sandbox.client("xoxp-asker").conversations_info(channel=HELP)
            made.append(channel["channel"]["created"])
        await asyncio.sleep(1.1)  # its unit is a second
    assert made[0] == made[1]
