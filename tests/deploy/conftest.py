"""The `mynah` command, run in a test's own directory with a store of its own."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from bot import releases
from bot.store.database import transaction
from deploy.cli import main

TEAM = "T0MYNAH"
Mynah = Callable[..., tuple[int, str, str]]


@pytest.fixture
def mynah(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Mynah:
    """Run `mynah` as a shell would, in an empty directory: its status, stdout and stderr."""
    for name in os.environ:
        if name.startswith(("MYNAH_", "SLACK_", "DATABASE_URL")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # what a command adds goes again

    def run(*words: str, **settings: str) -> tuple[int, str, str]:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["mynah", *words])
        status = 0
        try:
            main()
        except SystemExit as end:
            status = int(end.code or 0)
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


@pytest.fixture
def url(mynah: Mynah, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The test's own store is the one that `mynah` uses."""
    monkeypatch.setenv("DATABASE_URL", sqlite_url)
    return sqlite_url


@pytest.fixture
def team(engine: Engine) -> Engine:
    with transaction(engine) as session:
        releases.ensure_team(session, TEAM)
    return engine
