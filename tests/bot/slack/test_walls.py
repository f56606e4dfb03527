"""Two workspaces in one process see nothing of each other (but who installed the same app)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from bot.store.schema import Answer, AnswerMode, Example, ExampleStatus, InboxEvent, Question
from deploy.sandbox.personas import SIGNING_SECRET
from tests.bot.slack.house import House
from tests.bot.slack.neighbours import MANY, OTHER, OTHER_HELP, ask_there, install, said_there
from tests.bot.slack.test_http import post, url_of
from tests.deploy.sandbox.acts import control

STAFF = {
    "MYNAH_STAFF": "U0STAFF,T0OTHER:U0OSTAFF",
    "MYNAH_ADMINS": "U0ADMIN,T0OTHER:U0OADMIN",
    "MYNAH_ADMIN_CHANNEL": "T0MYNAH:C0ADMIN,T0OTHER:C0OADMIN",
}
SECRET = "The key is under the third flowerpot."


@pytest.fixture
def house(house: House) -> House:
    """A house whose bot serves two workspaces, with staff in both."""
    house.extra = MANY | STAFF
    return house


@asynccontextmanager
async def taught(house: House) -> AsyncIterator[None]:
    """The bot, in both workspaces; staff of the first taught it where the key is."""
    async with house.bot():
        await install(house, "admin", "other-admin")
        asked = await house.ask("Where is the key?")
        await house.answer(asked)
        reply = await house.say("staff", SECRET, thread_ts=asked)
        await house.react("staff", "memo", reply)
        await house.quiet()
        assert [row.status for row in house.rows(Example)] == [ExampleStatus.LIVE]
        yield


async def heard_there(house: House) -> str:
    """All that was said in the neighbour's workspace, to everybody or to one."""
    return json.dumps(await house.sandbox.state(team=OTHER))


async def command_there(house: House, text: str) -> str:
    """Type a command as the neighbour's admin; what they read then."""
    before = len(await _whispers(house))
    answer = await house.sandbox.command(text, token="xoxp-other-admin", channel=OTHER_HELP)
    assert answer["ok"]
    await house.quiet()
    return "\n".join((await _whispers(house))[before:])


async def _whispers(house: House) -> list[str]:
    state = await house.sandbox.state(team=OTHER, channel=OTHER_HELP, parts="messages")
    return [one["text"] for one in state["messages"][OTHER_HELP] if one.get("ephemeral_to")]


async def test_what_one_workspace_approved_the_other_never_hears(house: House) -> None:
    """The same words are quoted here, and answered there from the model alone."""
    async with taught(house):
        here = await house.asked("Where is the key?")
        there = await ask_there(house, "Where is the key?")
        assert here["text"] == SECRET
        assert there["text"] != SECRET
        assert "flowerpot" not in await heard_there(house)
    modes = {row.team_id: row.mode for row in house.rows(Answer)}  # the newest of each
    assert modes == {"T0MYNAH": AnswerMode.QUOTED, OTHER: AnswerMode.CLOSED_BOOK}
    assert "flowerpot" not in json.dumps(house.vllm.asked)


async def test_commands_tell_of_the_own_workspace_alone(house: House) -> None:
    """Status, releases, and `why` with the link to an answer of the other workspace."""
    async with taught(house):
        answer = await house.asked("Where is the key?")
        permalink = await house.client("asker").chat_getPermalink(
            channel="C0HELP", message_ts=answer["ts"]
        )
        await house.sandbox.command("pause")
        await house.quiet()
        status = await command_there(house, "status")
        assert "paused" not in status
        assert "v1" in await command_there(house, "releases")
        why = await command_there(house, f"why {permalink['permalink']}")
        assert why == "I find no answer of mine there that you can read."
        assert "flowerpot" not in await heard_there(house)


async def test_news_go_to_the_own_admins(house: House) -> None:
    """Each workspace has its own admin channel: a run is told of where it was asked for."""
    async with taught(house):
        await command_there(house, "train")
        state = await house.sandbox.state(team=OTHER, channel="C0OADMIN", parts="messages")
        assert ["queued" in one["text"] for one in state["messages"]["C0OADMIN"]] == [True]
        assert await house.sandbox.messages("C0ADMIN") == []
    assert house.failed() == []


async def test_staff_of_one_workspace_teach_nothing_in_the_other(house: House) -> None:
    """An id that is staff in the one is nobody in the other, also when it is written there."""
    async with taught(house):
        there = await ask_there(house, "Where is the lamp?")
        for who in ("other-asker", "other-staff"):
            await house.client(who).reactions_add(
                channel=OTHER_HELP, timestamp=there["ts"], name="white_check_mark"
            )
        await house.quiet()
    learned = [(row.team_id, row.approved_by) for row in house.rows(Example)]
    assert learned == [("T0MYNAH", "U0STAFF"), (OTHER, "U0OSTAFF")]


async def test_what_is_forgotten_here_stays_there(house: House) -> None:
    """The first workspace takes Mynah out: the other goes on, and inherits nothing."""
    async with taught(house):
        await control(house.sandbox, "uninstall")
        there = await ask_there(house, "Where is the key?")
        await house.quiet()
        assert SECRET not in there["text"]
        assert len(await said_there(house)) == 1
    assert {row.status for row in house.rows(Example)} == {ExampleStatus.LIVE}


def shared(channel: str, *, sent_by: str, installed_in: str, bot: str) -> bytes:
    """A mention in a channel that two workspaces share, as Slack Connect delivers it."""
    event: dict[str, Any] = {"type": "app_mention", "user": "U0ASKER", "text": f"<@{bot}> hi"}
    event |= {"channel": channel, "ts": "1700000000.000100", "event_ts": "1700000000.000100"}
    authorized = {"team_id": installed_in, "user_id": bot, "is_bot": True}
    body = {"type": "event_callback", "event_id": f"Ev{installed_in}", "team_id": sent_by}
    return json.dumps(body | {"event": event, "authorizations": [authorized]}).encode()


async def test_a_shared_channel_is_heard_by_who_is_installed(house: House) -> None:
    """Slack Connect: not the workspace that a message was sent in counts, but the one that the
    app was installed in; and one that has not installed it is acknowledged and ignored."""
    house.extra |= {"SLACK_SIGNING_SECRET": SIGNING_SECRET, "SLACK_APP_TOKEN": ""}
    async with house.bot():
        assert (await house.sandbox.request_url(url_of(house)))["ok"]
        await install(house, "other-admin")
        strange = shared("C0HELP", sent_by=OTHER, installed_in="T0MYNAH", bot="U0OMYNAH")
        ours = shared(OTHER_HELP, sent_by="T0MYNAH", installed_in=OTHER, bot="U0OMYNAH")
        for body in (strange, ours):
            reply: httpx.Response = await post(house, body)
            assert reply.status_code == 200
        await house.quiet()
    events = [(row.team_id, row.event_id) for row in house.rows(InboxEvent) if row.kind == "event"]
    assert events == [(OTHER, f"Ev{OTHER}")]
    assert [row.team_id for row in house.rows(Question)] == [OTHER]
