"""Slack: the tokens, what the app may do there, and whom the settings name."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import yaml
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.people import is_colleague
from bot.settings import BotSettings
from bot.slack.app import web_client
from bot.slack.workspace import NO_REPLY, TOKEN_ENDED, error_of
from deploy.checkups.finding import NotLooked, Said, bad, fine, otherwise, warning
from deploy.checkups.patient import Patient
from deploy.checkups.store import skewed

MANIFEST = Path(__file__).parents[1] / "slack-manifest.yaml"
SKEW_S = 30.0  # Slack's own limit for a signature is five minutes
COPY = "copy the Bot User OAuth Token (xoxb-…) of OAuth & Permissions into SLACK_BOT_TOKEN"
SWITCH_ON = (
    "turn Socket Mode on, and make a token with connections:write (Basic Information → App-Level "
    "Tokens) for SLACK_APP_TOKEN"
)
REINSTALL = "give the app deploy/slack-manifest.yaml (App Manifest), and install it anew"
AWAY = "see that this machine reaches Slack (a proxy, a firewall), and that SLACK_API_URL is right"


class Refused(Exception):
    """Slack's answer is an error; the message is its code."""


async def token(patient: Patient) -> Sequence[Said]:
    """Whose the bot token is, and whether it may do what Mynah does."""
    settings = _one_workspace(patient)
    try:
        who = await _auth(settings)
    except Refused as error:
        return [bad(f"Slack says {error}", COPY if str(error) in TOKEN_ENDED else AWAY)]
    has = {one.strip() for one in _header(who, "x-oauth-scopes").split(",")}
    missing = sorted(_wanted_scopes() - has)
    if missing:
        return [bad(f"the app lacks {', '.join(missing)}", REINSTALL)]
    return fine(f"{who['user']} ({who['user_id']}) in {who['team']} ({who['team_id']}), all scopes")


async def line(patient: Patient) -> Sequence[Said]:
    """How Slack delivers."""
    settings = _bot(patient)
    if settings.slack_signing_secret.get_secret_value():
        return fine("HTTP: that Slack reaches …/slack/events, Event Subscriptions shows")
    secret = settings.slack_app_token.get_secret_value()
    client = web_client(settings, patient=False)
    try:
        await _asked(client.apps_connections_open(app_token=secret))
    except Refused as error:
        return [bad(f"Slack opens no socket: {error}", SWITCH_ON)]
    return fine("Socket Mode: Slack opens a socket")


async def channels(patient: Patient) -> Sequence[Said]:
    """Whether the bot is where it is to speak by itself."""
    settings = _one_workspace(patient)
    team = await _team(settings)
    ours = settings.of(team)
    troubles: list[Said] = []
    if not ours.admin_channel:
        troubles.append(
            warning("MYNAH_ADMIN_CHANNEL is not set: nobody hears how runs end",
                    "set it to a channel's id, and invite the bot there")
        )  # fmt: skip
    named = {"MYNAH_ADMIN_CHANNEL": ours.admin_channel, "MYNAH_REVIEW_CHANNEL": ours.review_channel}
    for name, channel in named.items():
        if channel:
            troubles += [one async for one in _absent(settings, name, channel)]
    places = ", ".join(dict.fromkeys(one for one in named.values() if one))
    return otherwise(troubles, f"the bot is in {places}")


async def people(patient: Patient) -> Sequence[Said]:
    """Whether those who teach and command are people whom Slack knows."""
    settings = _one_workspace(patient)
    team = await _team(settings)
    ours = settings.of(team)
    troubles: list[Said] = []
    for name, who, may in (
        ("MYNAH_STAFF", ours.staff, "teach"),
        ("MYNAH_ADMINS", ours.admins, "train or roll back in Slack"),
    ):
        if not who:
            mend = "set it to user ids (U…) or user-group ids (S…), separated by commas"
            troubles.append(warning(f"{name} is not set: nobody may {may}", mend))
    for name, one in _named(ours):
        troubles += [said async for said in _stranger(settings, team, name, one)]
    count = len(dict(_named(ours)))
    return otherwise(troubles, f"all that {count} settings name are known")


async def clock(patient: Patient) -> Sequence[Said]:
    """This machine's clock against Slack's."""
    settings = _one_workspace(patient)
    try:
        told = _header(await _auth(settings), "date")
    except Refused as error:
        raise NotLooked("slack token") from error
    if not told:
        raise NotLooked("Slack told no time")
    ahead = (datetime.now(UTC) - parsedate_to_datetime(told)).total_seconds()
    return skewed(ahead, SKEW_S, "Slack's")


def _bot(patient: Patient) -> BotSettings:
    if patient.bot is None:
        raise NotLooked("settings")
    return patient.bot


def _one_workspace(patient: Patient) -> BotSettings:
    settings = _bot(patient)
    if settings.many_workspaces:
        raise NotLooked("each workspace has a token of its own, which its installation brings")
    return settings


async def _auth(settings: BotSettings) -> AsyncSlackResponse:
    return await _asked(web_client(settings, patient=False).auth_test())


async def _team(settings: BotSettings) -> str:
    try:
        return str((await _auth(settings))["team_id"])
    except Refused as error:
        raise NotLooked("slack token") from error


async def _asked(call: Awaitable[AsyncSlackResponse]) -> AsyncSlackResponse:
    try:
        return await call
    except SlackApiError as error:
        raise Refused(error_of(error)) from error
    except NO_REPLY as error:
        raise Refused(f"nothing ({type(error).__name__})") from error


def _header(answer: AsyncSlackResponse, name: str) -> str:
    found = {key.lower(): value for key, value in answer.headers.items()}.get(name, "")
    return ",".join(found) if isinstance(found, list) else str(found)


def _wanted_scopes() -> set[str]:
    manifest = yaml.safe_load(MANIFEST.read_text("utf-8"))
    return set(manifest["oauth_config"]["scopes"]["bot"])


async def _absent(settings: BotSettings, name: str, channel: str) -> Any:
    client = web_client(settings, patient=False)
    try:
        found = await _asked(client.conversations_info(channel=channel))
    except Refused as error:
        if str(error) == "channel_not_found":
            mend = "invite the bot there (`/invite @Mynah`), or set the channel's id (C…)"
            yield bad(f"{name}: the bot sees no channel {channel}", mend)
            return
        yield bad(f"{name}: Slack says {error} of {channel}", AWAY)
        return
    if found["channel"].get("is_archived"):
        yield bad(f"{name}: {channel} is archived", "set it to another channel")
    elif not found["channel"].get("is_member"):
        yield bad(f"{name}: the bot is not in {channel}", "invite it there: `/invite @Mynah`")


def _named(settings: BotSettings) -> Iterator[tuple[str, str]]:
    lists = {
        "MYNAH_STAFF": settings.staff,
        "MYNAH_ADMINS": settings.admins,
        "MYNAH_ONCALL": (settings.oncall,) if settings.oncall else (),
    }
    for name, ones in lists.items():
        for one in ones:
            yield name, one


async def _stranger(settings: BotSettings, team: str, name: str, one: str) -> Any:
    mend = f"mend {name}: a user id (U…) or a user-group id (S…)"
    try:
        wrong = await (_group if one.startswith("S") else _person)(settings, team, one)
    except Refused as error:
        wrong = f"Slack says {error} of {one}"
    if wrong:
        yield bad(f"{name}: {wrong}", mend)


async def _person(settings: BotSettings, team: str, user: str) -> str:
    """What is wrong with a person; nothing, mostly."""
    client = web_client(settings, patient=False)
    who: Mapping[str, Any] = (await _asked(client.users_info(user=user)))["user"]
    if who.get("deleted"):
        return f"{user} was deactivated"
    return "" if is_colleague(who, team) else f"{user} is a guest, a bot or of another workspace"


async def _group(settings: BotSettings, _: str, group: str) -> str:
    client = web_client(settings, patient=False)
    users = (await _asked(client.usergroups_users_list(usergroup=group)))["users"]
    return "" if users else f"nobody is in {group}"
