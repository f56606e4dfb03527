"""Slack exports for tests, written as Slack writes them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bot.importing import archive
from bot.importing.pairs import Contents
from bot.importing.slack_export import House, read_export

TEAM = "T0MYNAH"
HOUSE = House(TEAM, "U0MYNAH", ("U0STAFF", "U0STAFF2", "S0TEAM"))
USERS = [
    {"id": user, "team_id": TEAM, "name": user.lower(), "deleted": False, **more}
    for user, more in {
        "U0ASKER": {},
        "U0STAFF": {},
        "U0STAFF2": {"is_restricted": True},  # a guest: never counts
        "U0MYNAH": {"is_bot": True},
    }.items()
]
LISTS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "channels.json": [{"id": "C0HELP", "name": "help"}],
    "groups.json": [{"id": "C0PRIV", "name": "secret"}],
    "mpims.json": [{"id": "C0MPIM", "name": "mpdm-a--b-1"}],
    "dms.json": [{"id": "D0DIRECT", "members": ["U0ASKER", "U0STAFF"]}],
}
QUESTION = "Which port does the web page use?"
ANSWER = "It uses port 7411."


def ts(number: int) -> str:
    """The `number`th second of these tests."""
    return f"{1_700_000_000 + number}.000100"


def said(
    number: int, user: str, text: str, *, thread: int | None = 0, **more: Any
) -> dict[str, Any]:
    """A message, by default of the thread that began at 0."""
    message = {"type": "message", "user": user, "text": text, "ts": ts(number), **more}
    return message if thread is None else message | {"thread_ts": ts(thread)}


def approved(*users: Any, name: Any = "white_check_mark") -> dict[str, Any]:
    """What a marked message has besides."""
    return {"reactions": [{"name": name, "users": list(users), "count": len(users)}]}


def answered(**more: Any) -> list[dict[str, Any]]:
    """A question and its approved answer."""
    return [
        said(0, "U0ASKER", QUESTION),
        said(1, "U0HELPER", ANSWER) | approved("U0STAFF") | more,
    ]


def written(path: Path, days: Mapping[str, Any], *, inside: str = "", **lists: Any) -> Path:
    """A zip at `path`; `lists` replaces users, channels and so on."""
    files = {"users.json": USERS, **LISTS, **{f"{name}.json": one for name, one in lists.items()}}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in {**files, **days}.items():
            if content is not None:
                text = content if isinstance(content, bytes) else json.dumps(content)
                packed.writestr(inside + name, text)
    return path


def read(path: Path, house: House = HOUSE) -> Contents:
    """What an export holds."""
    with archive.opened(path) as opened:
        return read_export(opened, house, lambda *_: None)
