"""Files through the real Slack SDK, and the end of an installation."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError

from tests.deploy.sandbox.acts import HELP, control
from tests.deploy.sandbox.bolt import Listener
from tests.sandbox_server import Sandbox, connected, until


async def test_a_file_is_uploaded_and_shared_in_a_thread(sandbox: Sandbox) -> None:
    """The SDK's three steps give one `file_share` message; members can read the content."""
    bot, staff = sandbox.client("xoxb-mynah"), sandbox.client("xoxp-staff")
    root = (await staff.chat_postMessage(channel=HELP, text="report?"))["ts"]
    sent = await bot.files_upload_v2(
        content="a,b\n1,2\n",
        filename="report.csv",
        title="Report",
        channel=HELP,
        thread_ts=root,
        initial_comment="Here it is",
    )
    thread = (await staff.conversations_replies(channel=HELP, ts=root))["messages"]
    [file] = thread[1]["files"]
    assert (thread[1]["subtype"], thread[1]["text"]) == ("file_share", "Here it is")
    assert (file["id"], file["title"], file["size"]) == (sent["file"]["id"], "Report", 8)
    async with httpx.AsyncClient() as http:

        async def read(token: str) -> httpx.Response:
            headers = {"Authorization": f"Bearer {token}"}
            return await http.get(file["url_private"], headers=headers)

        assert (await read("xoxp-staff")).text == "a,b\n1,2\n"
        assert (await read("xoxb-mynah")).status_code == 403  # no files:read
        assert (await read("xoxp-nobody")).status_code == 403


async def test_a_persons_file_reaches_the_app(sandbox: Sandbox) -> None:
    """As a message of subtype `file_share`."""
    listener = Listener(sandbox)
    async with connected(sandbox, listener.app):
        await sandbox.client("xoxp-asker").files_upload_v2(
            content="log", filename="app.log", channel=HELP, initial_comment="<@U0MYNAH> why?"
        )
        await until(lambda: len(listener.heard) == 2)
    [message] = listener.events("message")
    assert (message["subtype"], message["files"][0]["name"]) == ("file_share", "app.log")


async def test_files_are_refused_as_slack_does(sandbox: Sandbox) -> None:
    """Unknown, not uploaded, somebody else's, the wrong length, no member: nothing is shared."""
    bot, asker = sandbox.client("xoxb-mynah"), sandbox.client("xoxp-asker")
    begun = await bot.files_getUploadURLExternal(filename="a.txt", length=3)
    files: Any = [{"id": begun["file_id"]}]
    with pytest.raises(SlackApiError, match="file_not_found"):
        await bot.files_completeUploadExternal(files=files, channel_id=HELP)
    async with httpx.AsyncClient() as http:
        assert (await http.post(begun["upload_url"], content=b"four")).status_code == 400
        assert (await http.post(begun["upload_url"], content=b"abc")).status_code == 200
    with pytest.raises(SlackApiError, match="file_not_found"):
        await asker.files_completeUploadExternal(files=files, channel_id=HELP)
    await sandbox.seed(channels=[{"id": "C0AWAY", "members": ["U0ASKER"]}])
    with pytest.raises(SlackApiError, match="not_in_channel"):
        await bot.files_completeUploadExternal(files=files, channel_id="C0AWAY")
    assert await sandbox.messages() == []
    await bot.files_completeUploadExternal(files=files, channels=[HELP, "C0OPS"])
    assert len(await sandbox.messages("C0OPS")) == 1


async def test_an_uninstalled_app_hears_of_it_last(sandbox: Sandbox) -> None:
    """`tokens_revoked` and `app_uninstalled` come, the bot's token ends, and then nothing."""
    app, heard = AsyncApp(client=sandbox.client("xoxb-mynah")), list[dict[str, Any]]()

    async def hear(event: dict[str, Any]) -> None:
        heard.append(event)

    for kind in ("tokens_revoked", "app_uninstalled", "message"):
        app.event(kind)(hear)
    async with connected(sandbox, app):
        await sandbox.client("xoxp-asker").chat_postMessage(channel=HELP, text="before")
        await until(lambda: len(heard) == 1)
        await control(sandbox, "uninstall")
        await sandbox.client("xoxp-asker").chat_postMessage(channel=HELP, text="after")
        await until(lambda: len(heard) == 3)
        counts = (await sandbox.state())["counts"]
    assert counts["events"] == 3
    with pytest.raises(SlackApiError, match="account_inactive"):
        await sandbox.client("xoxb-mynah").auth_test()
    found = (await sandbox.state())["deliveries"]
    assert [one["type"] for one in found[1:]] == ["tokens_revoked", "app_uninstalled"]


async def test_a_revoked_token_ends(sandbox: Sandbox) -> None:
    """`auth.revoke` with `test` changes nothing; without it the app hears who it was."""
    bot = sandbox.client("xoxb-mynah")
    assert (await bot.auth_revoke(test=True))["revoked"] is False
    assert (await bot.auth_revoke())["revoked"] is True
    with pytest.raises(SlackApiError, match="token_revoked"):
        await bot.auth_test()
    [delivery] = (await sandbox.state())["deliveries"]
    assert delivery["type"] == "tokens_revoked"
