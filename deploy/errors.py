"""Which errors are a person's to mend: one line and an exit status instead of a traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

from bot.api.keys import BadKeyName, NoSuchKey
from bot.embedder import BadEmbedder
from bot.examples import NotTaken
from bot.importing.pairs import BadFile
from bot.releases import ReleaseError
from bot.store.database import BadDatabaseUrl
from bot.store.pins import BadPin, NoSuchPin
from deploy.copies import BadBackup
from deploy.facts import BadInput
from deploy.local import SetFailed
from deploy.migrate import StoreNotReady
from deploy.sandbox.errors import NotKept, NotLoopback, PortTaken
from serving.base import NoBaseModel
from serving.command import NoVllm
from serving.engine import EngineFailed
from serving.settings import BadSettings

BAD_INPUT = 2
FAILED = 1

_STATUS: dict[type[Exception], int] = {
    BadSettings: BAD_INPUT,
    BadDatabaseUrl: BAD_INPUT,
    BadEmbedder: BAD_INPUT,
    NoBaseModel: BAD_INPUT,
    BadInput: BAD_INPUT,
    BadKeyName: BAD_INPUT,
    NoSuchKey: BAD_INPUT,
    BadPin: BAD_INPUT,
    NoSuchPin: BAD_INPUT,
    BadFile: BAD_INPUT,
    NotTaken: FAILED,
    PortTaken: BAD_INPUT,
    NotLoopback: BAD_INPUT,
    BadBackup: FAILED,
    NotKept: FAILED,
    StoreNotReady: FAILED,
    ReleaseError: FAILED,
    EngineFailed: FAILED,
    NoVllm: FAILED,
    SetFailed: FAILED,
}


def explain(error: BaseException) -> tuple[str, int] | None:
    """The line to show and the exit status; None for an error that is a defect of ours.

    Of a group of errors, as concurrent tasks raise them, the first one that can be explained.
    """
    if isinstance(error, BaseExceptionGroup):
        found = (explain(one) for one in error.exceptions)
        return next((one for one in found if one is not None), None)
    if isinstance(error, DBAPIError):
        why = str(error.orig).strip().splitlines()[0]
        return f"DATABASE_URL: the database cannot be used: {why}", FAILED
    for kind, status in _STATUS.items():
        if isinstance(error, kind):
            return _line(error), status
    return None


@contextmanager
def in_one_line(command: str) -> Iterator[None]:
    """End the command with a line on stderr and a status where `explain` knows the error."""
    try:
        yield
    except Exception as error:
        if (explained := explain(error)) is None:
            raise
        line, status = explained
        print(f"{command}: {line}", file=sys.stderr)
        sys.exit(status)


def _line(error: BaseException) -> str:
    text = str(error) or type(error).__doc__ or type(error).__name__
    return " ".join(text.split())
