"""A process's log: lines for people or JSON for machines, each with the ids of what it is about.

Every library's lines go through the standard `logging`, so only the form of a line is chosen here:
python-json-logger writes the JSON.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, SecretStr
from pythonjsonlogger.json import JsonFormatter

Form = Literal["text", "json"]
Ids = Mapping[str, str | int | float]

CHATTY = ("httpx", "alembic")
HIDDEN = "[secret]"
SHORTEST = 8  # characters: a shorter "secret" is a word that lines may well have in them
# Slack's tokens, and whatever is sent as a key.
_TOKENS = re.compile(r"(?:xox[a-z]|xapp)-[\w.-]+|(?<=Bearer )[^\s'\"]+")
_about: ContextVar[dict[str, str | int | float] | None] = ContextVar("about", default=None)


@contextmanager
def about(**ids: str | int | float) -> Iterator[dict[str, str | int | float]]:
    """Lines logged meanwhile are about these, too: by this task, its threads and its children."""
    now: dict[str, str | int | float] = {**ids_now(), **ids}
    token = _about.set(now)
    try:
        yield now
    finally:
        _about.reset(token)


def note(**ids: str | int | float | None) -> None:
    """What is going on turned out to be about these as well; None is left out.

    Nothing happens outside of `about`.
    """
    if (now := _about.get()) is not None:
        now.update({name: one for name, one in ids.items() if one is not None})


def ids_now() -> Ids:
    """What a line logged now is about."""
    return _about.get() or {}


def set_up(form: Form, settings: BaseModel) -> None:
    """Log to stderr from now on; what the settings keep secret is in no line."""
    handler = logging.StreamHandler()
    handler.addFilter(_add_ids)
    hide = _Hiding(_secrets(settings))
    handler.setFormatter(_JsonLines(hide) if form == "json" else _TextLines(hide))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)


class _Hiding:
    """Takes secrets out of a line, whoever wrote them into it."""

    def __init__(self, secrets: frozenset[str]) -> None:
        # The longest first: one may begin like another.
        known = sorted(secrets, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def __call__(self, line: str) -> str:
        line = _TOKENS.sub(HIDDEN, line)
        return self._known.sub(HIDDEN, line) if self._known else line


class _TextLines(logging.Formatter):
    def __init__(self, hide: _Hiding) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")
        self._hide = hide

    def formatMessage(self, record: logging.LogRecord) -> str:
        ids = " ".join(f"{name}={one}" for name, one in vars(record)["ids"].items())
        return super().formatMessage(record) + (f" [{ids}]" if ids else "")

    def format(self, record: logging.LogRecord) -> str:
        return self._hide(super().format(record))


class _JsonLines(JsonFormatter):
    def __init__(self, hide: _Hiding) -> None:
        super().__init__(
            ["asctime", "levelname", "name", "message"],
            rename_fields={"asctime": "at", "levelname": "level", "name": "logger"},
            datefmt="%Y-%m-%dT%H:%M:%S%z",
        )
        self._hide = hide

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        return super().process_log_record(log_data | dict(log_data.pop("ids", {})))

    def format(self, record: logging.LogRecord) -> str:
        return self._hide(super().format(record))


def _add_ids(record: logging.LogRecord) -> bool:
    record.ids = ids_now()
    return True


def _secrets(settings: BaseModel) -> frozenset[str]:
    """Each secret setting, and the password within a database's URL."""
    given = (value for _, value in settings if isinstance(value, SecretStr))
    found = {secret.get_secret_value() for secret in given}
    passwords = {_password(one) for one in found}
    found |= passwords | {unquote(one) for one in passwords}
    return frozenset(one for one in found if len(one) >= SHORTEST)


def _password(secret: str) -> str:
    try:
        return urlsplit(secret).password or "" if "://" in secret else ""
    except ValueError:
        return ""
