"""A process's log: its form, the ids in it, and what is never in it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from serving import logs

KEY = "a-random-secret-0123456789"
log = logging.getLogger("mynah.test")


class Secrets(BaseModel):
    key: SecretStr = SecretStr(KEY)
    database: SecretStr = SecretStr("postgresql://mynah:p%40ssword9@db/mynah")
    short: SecretStr = SecretStr("mynah")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """The process's own logging as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def last(capsys: pytest.CaptureFixture[str]) -> str:
    """The last line of the log."""
    return capsys.readouterr().err.splitlines()[-1]


def test_text_lines_end_with_the_ids(capsys: pytest.CaptureFixture[str]) -> None:
    """For people; a line about nothing ends as it is."""
    logs.set_up("text", Secrets())
    with logs.about(team="T0", inbox=3):
        logs.note(question=7, adapter=None)
        log.info("answered")
    assert last(capsys).endswith("INFO mynah.test answered [team=T0 inbox=3 question=7]")
    log.info("answered")
    assert last(capsys).endswith("answered")


def test_json_lines_have_the_ids_as_fields(capsys: pytest.CaptureFixture[str]) -> None:
    """For machines, one object a line, an error's traceback in it."""
    logs.set_up("json", Secrets())
    with logs.about(team="T0", inbox=3):
        try:
            raise ValueError("what?")
        except ValueError as error:
            log.warning("tried %s", "again", exc_info=error, extra={"seconds": 0.5})
    found: dict[str, Any] = json.loads(last(capsys))
    assert found.pop("at")
    assert "ValueError: what?" in found.pop("exc_info")
    assert found == {
        "level": "WARNING", "logger": "mynah.test", "message": "tried again", "team": "T0",
        "inbox": 3, "seconds": 0.5,
    }  # fmt: skip


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(
    "secret",
    [
        KEY,
        "xoxb-12-34-ab",
        "xapp-1-A-b",
        "xoxe.xoxp-1-a",
        "Bearer sk-abc",
        "p%40ssword9",
        "p@ssword9",
    ],
)
def test_no_line_tells_a_secret(
    form: logs.Form, secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever wrote it into a line: a library's error, a traceback."""
    logs.set_up(form, Secrets())
    try:
        raise RuntimeError(f"refused: {secret}")
    except RuntimeError as error:
        log.warning("mynah: %s", secret, exc_info=error)
    told = capsys.readouterr().err
    assert secret.removeprefix("Bearer ") not in told
    assert "mynah: " in told  # a short password is a word like any other


async def test_ids_follow_the_work(capsys: pytest.CaptureFixture[str]) -> None:
    """Into its threads and tasks, and what these find out comes back; not into its neighbours'."""
    logs.set_up("text", Secrets())

    async def one(number: int) -> None:
        with logs.about(inbox=number):
            await asyncio.to_thread(logs.note, question=number * 10)
            await asyncio.create_task(_say(f"row {number}"))

    await asyncio.gather(one(1), one(2))
    told = [line.split("mynah.test ")[1] for line in capsys.readouterr().err.splitlines()]
    assert sorted(told) == ["row 1 [inbox=1 question=10]", "row 2 [inbox=2 question=20]"]
    assert logs.ids_now() == {}


async def _say(what: str) -> None:
    log.info(what)
