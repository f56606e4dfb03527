"""What the page shows of what happens behind the scenes; nothing while there is no store."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Engine

from bot import pausing, releases
from bot.store.database import open_engine, transaction
from bot.store.schema import Example, ExampleStatus, Run, RunStatus, RunTrigger
from deploy.behind import looking
from deploy.migrate import upgrade
from tests.deploy.test_cli import TEAM, released


def _url(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


def test_before_the_first_run(engine: Engine) -> None:
    """The base answers, and what was learned counts; what was refused does not."""
    with transaction(engine) as session:
        releases.ensure_team(session, TEAM)
        for number, status in enumerate((ExampleStatus.LIVE, ExampleStatus.REFUSED)):
            session.add(
                Example(
                    team_id=TEAM, question="q", answer="a", approved_by="U",
                    content_hash=str(number), status=status,
                )
            )  # fmt: skip
    assert looking(_url(engine))() == {
        "live": "v1 · base", "memory": 1, "run": None, "gate": None, "paused": False,
    }  # fmt: skip


def test_a_run_its_verdict_and_a_pause(engine: Engine) -> None:
    """What runs now with how far it is, the last verdict, what is live; each look is a new one."""
    with transaction(engine) as session:
        releases.ensure_team(session, TEAM)
    look = looking(_url(engine))
    released(engine)
    found = look()
    assert found is not None
    assert found["live"] == "v2 · mynah-0123456789ab"
    assert found["gate"] == {"run": 1, "passed": True, "enough": True, "score": "17/20"}
    with transaction(engine) as session:
        run = Run(
            team_id=TEAM, trigger=RunTrigger.COMMAND, status=RunStatus.RUNNING,
            phase="training", progress=0.4,
        )  # fmt: skip
        session.add(run)
        pausing.pause(session, TEAM, by="U0ADMIN")
    found = look()
    assert found is not None
    assert found["run"] == {"id": 2, "phase": "training", "progress": 0.4}
    assert found["paused"]


def test_looking_makes_no_store(tmp_path: Path) -> None:
    """No file comes of it; once there is one, the same look sees it."""
    path = tmp_path / "mynah.db"
    look = looking(f"sqlite:///{path}")
    assert look() is None
    assert not list(tmp_path.iterdir())
    upgrade(f"sqlite:///{path}")
    engine = open_engine(f"sqlite:///{path}")
    assert look() is None
    with transaction(engine) as session:
        releases.ensure_team(session, TEAM)
    engine.dispose()
    assert (look() or {})["live"] == "v1 · base"


@pytest.mark.parametrize("tables", ["", "CREATE TABLE team (team_id TEXT)", "not a database"])
def test_a_store_of_another_version_shows_nothing_and_stays(tmp_path: Path, tables: str) -> None:
    """Tables that are missing, older, or none at all: nothing to see, and not a byte is changed."""
    path = tmp_path / "mynah.db"
    if tables.startswith("not"):
        path.write_text(tables * 100)
    else:
        with sqlite3.connect(path) as other:
            other.execute(tables or "CREATE TABLE recipe (name TEXT)")
            if tables:
                other.execute("INSERT INTO team VALUES ('T0MYNAH')")
        other.close()
    before = path.read_bytes()
    assert looking(f"sqlite:///{path}")() is None
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["mynah.db"]
