"""Workspaces come and go: installed by OAuth, refreshed, taken out, and back again."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import pytest
from sqlalchemy import Engine, select
from sqlmodel import Session

from bot.slack.installations import Installations
from bot.slack.installing import States
from bot.store import leases
from bot.store.schema import (
    Audit,
    InboxEvent,
    Installation,
    InstallState,
    OutboxMessage,
    Release,
    Status,
    Team,
    now,
)
from tests.bot.slack.house import House, free_port, kill, until
from tests.bot.slack.neighbours import (
    MANY,
    OTHER,
    ask_there,
    come_back,
    get,
    install,
    leave,
    said_there,
)
from tests.deploy.sandbox.acts import control


@pytest.fixture
def house(house: House) -> House:
    """A house whose bot serves whoever installs it."""
    house.extra = dict(MANY)
    return house


async def taken_out(house: House, team: str = OTHER) -> None:
    """Take the app out of a workspace, and wait until Mynah knows."""
    await control(house.sandbox, "uninstall", team=team)
    await until(
        lambda: [t.removed_at is None for t in house.rows(Team) if t.team_id == team] == [False]
    )


async def test_two_workspaces_install_it_and_each_is_answered(house: House) -> None:
    """By a link, Allow, and back: no restart, and each hears its own bot."""
    async with house.bot():
        await install(house, "admin", "other-admin")
        here = await house.asked("Where is the key?")
        there = await ask_there(house, "Where is the key?")
    assert here["user"] == "U0MYNAH"
    assert there["user"] == "U0OMYNAH"
    assert {team.team_id for team in house.rows(Team)} == {"T0MYNAH", OTHER}
    audits = {(row.team_id, row.actor, row.action) for row in house.rows(Audit)}
    assert (OTHER, "U0OADMIN", "team.install") in audits
    assert house.failed() == []


async def test_nobody_comes_in_without_the_state_that_left(house: House) -> None:
    """A state that was used, is over, was made up, or left in another browser: no token."""
    async with house.bot():
        url, state = await leave(house)
        assert "invalid_browser" in (await get(house, await allowed(house, url))).text
        made_up = (await allowed(house, url)).replace(state, "made-up")
        assert "invalid_state" in (await get(house, made_up, "made-up")).text
        assert house.rows(Installation) == []
        assert (await get(house, await allowed(house, url), state)).status_code == 200
        assert "invalid_state" in (await get(house, await allowed(house, url), state)).text  # used
        url, late = await leave(house)
        house.write(_let_states_end)
        assert "invalid_state" in (await get(house, await allowed(house, url), late)).text
        denied = await come_back(house, "other-admin", deny=True)
        assert "access_denied" in denied.text
    assert [row.team_id for row in house.rows(Installation)] == ["T0MYNAH"]


async def allowed(house: House, url: str) -> str:
    """Where the browser comes back to from the consent page, with a new code."""
    answer = await control(house.sandbox, "allow", token="xoxp-admin", url=url)
    return f"/slack/oauth_redirect?{answer['query']}"


def _let_states_end(session: Session) -> None:
    for row in session.scalars(select(InstallState)):
        row.until = now() - timedelta(seconds=1)


async def test_a_code_or_secret_that_slack_refuses_installs_nothing(house: House) -> None:
    """The page says so, and no token is stored."""
    async with house.bot(SLACK_CLIENT_SECRET="another-secret"):
        assert (await come_back(house, "admin")).status_code == 401
    assert house.rows(Installation) == []


async def test_who_is_not_installed_is_not_heard(house: House) -> None:
    """A delivery of a workspace without the app is acknowledged, and nothing of it is kept."""
    async with house.bot():
        await install(house, "other-admin")
        await house.ask("Anybody there?")
        await house.quiet()
    assert house.rows(InboxEvent) == []


async def test_taken_out_mynah_stops_there_and_only_there(house: House) -> None:
    """Its tokens are erased and what was open is given up; nothing is tried with a dead token,
    and the neighbour notices nothing."""
    async with house.bot():
        await install(house, "admin", "other-admin")
        house.vllm.down()
        asker = house.client("other-asker")
        await asker.chat_postMessage(channel="C0OHELP", text="<@U0OMYNAH> And now?")
        await until(lambda: any(row.kind == "question" for row in house.rows(InboxEvent)))
        await taken_out(house)
        before = await house.sandbox.state(parts="calls")
        house.vllm.up()
        await house.quiet()
        after = await house.sandbox.state(parts="calls")
        assert after["calls"] == before["calls"]
        assert (await house.asked("Still here?"))["user"] == "U0MYNAH"
        assert await said_there(house) == []
    assert [row.team_id for row in house.rows(Installation)] == ["T0MYNAH"]
    gone = [row for row in house.rows(InboxEvent) if row.team_id == OTHER]
    given_up = {row.error for row in gone if row.status is Status.FAILED}
    assert given_up == {"Mynah was taken out of the workspace"}
    assert all(row.status in (Status.DONE, Status.FAILED) for row in gone)
    assert (OTHER, "team.uninstall") in {(row.team_id, row.action) for row in house.rows(Audit)}


async def test_back_again_it_goes_on_where_it_was(house: House) -> None:
    """What was learned and released before counts; what was left to do then is not done now."""
    async with house.bot():
        await install(house, "other-admin")
        first = await ask_there(house, "Where is the key?")
        releases = [row.id for row in house.rows(Release)]
        await taken_out(house)
        await install(house, "other-admin")
        second = await ask_there(house, "Where is the key now?", count=2)
        await house.quiet()
        assert await said_there(house) == [first, second]
    assert [row.id for row in house.rows(Release)] == releases
    assert [team.removed_at for team in house.rows(Team)] == [None]


async def test_news_of_an_older_installation_ends_nothing(house: House) -> None:
    """An event of a token that ended comes late, when the app is back: Slack is asked first."""
    async with house.bot():
        await install(house, "other-admin")
        old = house.rows(Installation)[0].token
        await install(house, "other-admin")
        await house.sandbox.client(old).auth_revoke()
        await house.quiet()
        await ask_there(house, "Still here?")
    assert [row.team_id for row in house.rows(Installation)] == [OTHER]


async def test_one_workspace_of_an_env_file_comes_and_goes_too(house: House) -> None:
    """With a token in .env the app can be taken out as well: the bot waits, and starts again."""
    house.extra = {}
    async with house.bot():
        await house.asked("Where is the key?")
        await taken_out(house, "T0MYNAH")
        await house.quiet()
    assert [row.status for row in house.rows(OutboxMessage)] == [Status.DONE]


# Tokens that end.


def bots(house: House, count: int) -> list[Installations]:
    settings = house.settings()
    return [Installations(settings, house.engine, owner=f"bot {n}") for n in range(count)]


async def refreshes(house: House) -> int:
    calls = (await house.sandbox.state(parts="calls"))["calls"]
    return int(calls["oauth.v2.access"])


@pytest.fixture
def both(store: Engine, house: House) -> House:
    """The house on either kind of database."""
    house.engine = store
    return house


async def test_a_token_is_refreshed_once_before_it_ends(both: House) -> None:
    """However many bots and calls need it at once, one refresh token is used, and all have the
    new token."""
    house = both
    async with house.bot():
        await control(house.sandbox, "rotation", lives_s=3600)
        await install(house, "other-admin")
    before, calls = house.rows(Installation)[0], await refreshes(house)
    await control(house.sandbox, "rotation", lives_s=43200)
    several = bots(house, 3)
    await asyncio.gather(*(bot.token(OTHER) for bot in several for _ in range(5)))
    after = house.rows(Installation)[0]
    assert {await bot.token(OTHER) for bot in several} == {after.token}
    assert after.token != before.token
    assert after.refresh_token != before.refresh_token
    assert await refreshes(house) == calls + 1
    assert (await several[0].client(OTHER, patient=True).auth_test())["team_id"] == OTHER


async def test_a_refresh_ends_although_nobody_waits_for_it(house: House) -> None:
    """Who asked gives up: the refresh goes on and is stored, or the new token would be lost."""
    async with house.bot():
        await control(house.sandbox, "rotation", lives_s=3600)
        await install(house, "other-admin")
    before = house.rows(Installation)[0].refresh_token
    house.write(_let_another_refresh)
    (bot,) = bots(house, 1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(bot.token(OTHER), 3)
    house.write(lambda session: leases.release(session, f"token:{OTHER}", "another bot"))
    await bot.close()
    assert house.rows(Installation)[0].refresh_token != before


def _let_another_refresh(session: Session) -> None:
    """The token is over, and another process says that it refreshes it."""
    assert leases.acquire(session, f"token:{OTHER}", "another bot", 60)
    for row in session.scalars(select(Installation)):
        row.expires_at = now() - timedelta(seconds=1)


async def test_a_refused_refresh_leaves_the_token_that_holds(house: House) -> None:
    """Slack in trouble costs nothing while the old token lives; the next call tries again."""
    async with house.bot():
        await control(house.sandbox, "rotation", lives_s=3600)
        await install(house, "other-admin")
        fault = {"method": "oauth.v2.access", "n": 2, "token": "*", "error": "internal_error"}
        await house.sandbox.faults(fail=fault)
        await ask_there(house, "Still here?")
    assert house.failed() == []


async def test_tokens_are_never_logged(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """Not on install, refresh, refusal or uninstall, whatever is logged."""
    caplog.set_level(logging.INFO)
    async with house.bot():
        await control(house.sandbox, "rotation", lives_s=3600)
        await install(house, "other-admin")
        fault = {
            "method": "oauth.v2.access",
            "n": 1,
            "token": "*",
            "error": "invalid_refresh_token",
        }
        await house.sandbox.faults(fail=fault)
        await ask_there(house, "Hello?")
        await taken_out(house)
    assert "was not refreshed" in caplog.text
    assert "xoxb-" not in caplog.text
    assert "xoxe-" not in caplog.text


async def test_states_that_are_over_are_forgotten(engine: Engine) -> None:
    """Whoever opens the install page and never comes back leaves nothing behind for long."""
    short = States(engine, lives_s=-1)
    await short.async_issue()
    state = await States(engine).async_issue()
    with Session(engine) as session:
        assert [row.state for row in session.scalars(select(InstallState))] == [state]


async def test_two_bots_share_what_was_installed(house: House) -> None:
    """A workspace that one process installed is answered by the other when that one is gone."""
    other = await house.process(MYNAH_PORT=str(free_port()))
    try:
        async with house.bot():
            await install(house, "other-admin")
        await ask_there(house, "Who answers?")
    finally:
        await kill(other)
