"""The manifest asks for what Mynah uses, and for nothing else."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack import installing
from bot.slack.delivery import EVENTS
from deploy.sandbox.methods.registry import METHODS
from deploy.sandbox.people import TokenKind
from deploy.sandbox.personas import BOT_SCOPES

ROOT = Path(__file__).parents[2]
# What Slack asks for before it sends an event: https://docs.slack.dev/reference/events
EVENT_SCOPES = {
    "app_home_opened": (),
    "app_mention": ("app_mentions:read",),
    "app_uninstalled": (),
    "message.channels": ("channels:history",),
    "message.groups": ("groups:history",),
    "message.im": ("im:history",),
    "reaction_added": ("reactions:read",),
    "reaction_removed": ("reactions:read",),
    "tokens_revoked": (),
}
# slack_sdk's helpers, and the methods that they call.
HELPERS = {
    "chat_stream": ("chat.startStream", "chat.appendStream", "chat.stopStream"),
    "files_upload_v2": ("files.getUploadURLExternal", "files.completeUploadExternal"),
}
# Asked for already, for what is not merged yet: empty these, and the tests are exact again.
SCOPES_TO_COME: set[str] = set()
EVENTS_TO_COME: set[str] = set()


@pytest.fixture
def manifest() -> dict[str, Any]:
    """The manifest as Slack reads it."""
    return dict(yaml.safe_load((ROOT / "deploy" / "slack-manifest.yaml").read_text()))


def used_methods() -> frozenset[str]:
    """The methods of the Web API that the bot's source calls, or hands on to be called."""
    found: set[str] = set()
    for source in (ROOT / "bot").rglob("*.py"):
        for name in _attributes(source):
            if name in HELPERS:
                found.update(HELPERS[name])
            elif hasattr(AsyncWebClient, name) and "_" in name and not name.startswith("_"):
                found.add(name.replace("_", "."))
    return frozenset(found - {"api.call"})


def _attributes(source: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Attribute):
            yield node.attr


def scopes_of(manifest: dict[str, Any]) -> list[str]:
    return list(manifest["oauth_config"]["scopes"]["bot"])


def events_of(manifest: dict[str, Any]) -> list[str]:
    return list(manifest["settings"]["event_subscriptions"]["bot_events"])


def test_the_sandbox_knows_every_method_that_the_bot_calls() -> None:
    """So that all of them are tested against what Slack demands."""
    assert used_methods() - set(METHODS) == set()
    assert {"chat.postMessage", "views.open", "conversations.replies"} <= used_methods()


def test_each_scope_is_needed_and_no_other_one(manifest: dict[str, Any]) -> None:
    """By a method that the bot calls, by an event that it hears, or by its command."""
    calls = [METHODS[name] for name in used_methods() if TokenKind.BOT in METHODS[name].kinds]
    by_calls = {scope for method in calls for scope in method.scopes}
    by_events = {scope for event in events_of(manifest) for scope in EVENT_SCOPES[event]}
    needed = by_calls | by_events | {"commands"} | SCOPES_TO_COME
    assert sorted(scopes_of(manifest)) == sorted(needed)


def test_all_places_name_the_same_scopes(manifest: dict[str, Any]) -> None:
    """The manifest, the link "Add to Slack", and the sandbox's bot."""
    assert sorted(scopes_of(manifest)) == sorted(installing.SCOPES) == sorted(BOT_SCOPES)


def test_what_is_subscribed_is_handled_and_the_other_way_round(manifest: dict[str, Any]) -> None:
    """An event that nobody handles costs a delivery each time; one that is not subscribed never
    comes."""
    assert {event.split(".")[0] for event in events_of(manifest)} == {*EVENTS, *EVENTS_TO_COME}


def test_what_people_can_use_is_answered(manifest: dict[str, Any]) -> None:
    """The Home tab, direct messages, `/mynah`, and the shortcuts that somebody registered for."""
    features = manifest["features"]
    assert features["app_home"] == {
        "home_tab_enabled": True,
        "messages_tab_enabled": True,
        "messages_tab_read_only_enabled": False,
    }
    assert [one["command"] for one in features["slash_commands"]] == ["/mynah"]
    names = [(one["type"], one["callback_id"]) for one in features["shortcuts"]]
    assert names == [("message", "why_answer"), ("message", "correct_answer")]
    assert all(len(one["name"]) <= 24 for one in features["shortcuts"])  # Slack cuts it there
