"""Installing the app by OAuth, and the neighbour workspace that it is installed in."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from deploy.sandbox.personas import CLIENT_ID, CLIENT_SECRET
from tests.deploy.sandbox.acts import control
from tests.sandbox_server import Sandbox

PAGE = f"/oauth/v2/authorize?client_id={CLIENT_ID}&scope=chat:write,channels:history&state=s1"


async def press_allow(sandbox: Sandbox, who: str = "xoxp-other-admin") -> str:
    answer = await control(sandbox, "allow", token=who, url=PAGE)
    found = parse_qs(answer["query"])
    assert found["state"] == ["s1"]
    return str(found["code"][0])


def nobody(sandbox: Sandbox) -> AsyncWebClient:
    return AsyncWebClient(base_url=sandbox.api_url)


async def access(sandbox: Sandbox, secret: str = CLIENT_SECRET, **how: Any) -> dict[str, Any]:
    client = nobody(sandbox)
    answer = await client.oauth_v2_access(client_id=CLIENT_ID, client_secret=secret, **how)
    return dict(answer.data)  # type: ignore[arg-type]


async def refused(sandbox: Sandbox, **how: Any) -> str:
    with pytest.raises(SlackApiError) as refusal:
        await access(sandbox, **how)
    return str(refusal.value.response["error"])


async def test_a_code_is_good_for_one_token_of_that_workspace(sandbox: Sandbox) -> None:
    """The token speaks as the bot of the neighbour, with the scopes that were allowed, there
    alone; the code is used up by it."""
    code = await press_allow(sandbox)
    found = await access(sandbox, code=code)
    assert (found["team"]["id"], found["bot_user_id"]) == ("T0OTHER", "U0OMYNAH")
    assert found["authed_user"] == {"id": "U0OADMIN"}
    bot = sandbox.client(found["access_token"])
    assert (await bot.auth_test())["team_id"] == "T0OTHER"
    assert (await bot.chat_postMessage(channel="C0OHELP", text="hi"))["ok"]
    for channel, method in (("C0HELP", bot.conversations_history), ("C0OHELP", bot.users_info)):
        with pytest.raises(SlackApiError, match=r"channel_not_found|missing_scope"):
            await method(channel=channel, user="U0OASKER")
    assert await refused(sandbox, code=code) == "invalid_code"


async def test_only_the_app_gets_tokens(sandbox: Sandbox) -> None:
    """Slack's own codes for a wrong secret, code, grant type and refresh token."""
    code = await press_allow(sandbox)
    assert await refused(sandbox, secret="wrong", code=code) == "bad_client_secret"
    assert await refused(sandbox, code="made-up") == "invalid_code"
    assert await refused(sandbox, grant_type="password") == "invalid_grant_type"
    unknown = {"grant_type": "refresh_token", "refresh_token": "xoxe-1-no"}
    assert await refused(sandbox, **unknown) == "invalid_refresh_token"
    assert await refused(sandbox, code=code, redirect_uri="https://x.test") == "bad_redirect_uri"


async def test_who_may_not_install_gets_no_page(sandbox: Sandbox) -> None:
    """A guest, an unknown scope, another app's page: an error, and no code."""
    for token, url in (
        ("xoxp-guest", PAGE),
        ("xoxp-admin", PAGE.replace("scope=", "scope=everything,")),
        ("xoxp-admin", PAGE.replace(CLIENT_ID, "1.2")),
    ):
        answer = await control(sandbox, "allow", token=token, url=url)
        assert answer["status"] == 400
    denied = await control(sandbox, "allow", token="xoxp-admin", url=PAGE, deny=True)
    assert denied["query"] == "error=access_denied&state=s1"


async def test_rotated_tokens_end_and_refresh_tokens_are_good_once(sandbox: Sandbox) -> None:
    """A token of an app that rotates has a time; the next comes for its refresh token, once."""
    await control(sandbox, "rotation", lives_s=1)
    first = await access(sandbox, code=await press_allow(sandbox))
    assert first["access_token"].startswith("xoxe.xoxb-")
    await control(sandbox, "rotation", lives_s=43200)
    again = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    second = await access(sandbox, **again)
    assert (await sandbox.client(second["access_token"]).auth_test())["ok"]
    assert await refused(sandbox, **again) == "invalid_refresh_token"
    assert second["expires_in"] == 43200


async def test_taken_out_there_it_stays_here(sandbox: Sandbox) -> None:
    """The neighbour's tokens end with the app; this workspace's do not."""
    found = await access(sandbox, code=await press_allow(sandbox))
    assert (await control(sandbox, "uninstall", team="T0OTHER"))["ok"]
    with pytest.raises(SlackApiError, match="account_inactive"):
        await sandbox.client(found["access_token"]).auth_test()
    assert (await sandbox.client("xoxb-mynah").auth_test())["team_id"] == "T0MYNAH"
