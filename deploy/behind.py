"""What happens behind the scenes, for the local Slack's page: read from the store, if there is one.

Whoever looks changes nothing: a store is neither made nor migrated here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from deploy.sandbox.personas import TEAM

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlmodel import Session

    from bot.store.schema import Evaluation, Run

Look = Callable[[], dict[str, Any] | None]


def looking(database_url: str) -> Look:
    """What looks into the store at `database_url`; it gives None while there is nothing to see."""
    engines: list[Engine] = []  # at most one, once there is a store

    def look() -> dict[str, Any] | None:
        from sqlalchemy.exc import SQLAlchemyError
        from sqlmodel import Session

        from bot.releases import ReleaseError

        try:
            if not engines and (found := _engine(database_url)) is not None:
                engines.append(found)
            for engine in engines:
                with Session(engine) as session:
                    return _facts(session)
        except (SQLAlchemyError, ReleaseError):
            pass  # its tables are not there yet, or of another version
        return None

    return look


def _engine(url: str) -> Engine | None:
    """For SQLite one that only reads, and only where the file is."""
    import sqlite3

    from sqlalchemy import NullPool, create_engine
    from sqlalchemy.engine import make_url

    from bot.store.database import open_engine

    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return open_engine(url)
    path = Path(parsed.database or "").resolve()
    if not path.is_file():
        return None
    address = f"file:{quote(str(path))}?mode=ro"
    return create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(address, uri=True, timeout=1),
        poolclass=NullPool,
    )


def _facts(session: Session) -> dict[str, Any] | None:
    from sqlmodel import col, func, select

    from bot import pausing, releases
    from bot.store import runs
    from bot.store.schema import Evaluation, Example, ExampleStatus, Run, Team

    known = session.exec(select(Team.team_id).order_by(Team.team_id)).all()
    if not known:
        return None
    team = TEAM if TEAM in known else known[0]  # the local Slack's own, else the first there is
    release = releases.live(session, team)
    adapter = releases.adapter_of(session, release)
    live = (Example.team_id == team) & (Example.status == ExampleStatus.LIVE)
    evaluations = (
        select(Evaluation)
        .join(Run, col(Run.id) == Evaluation.run_id)
        .where(Evaluation.team_id == team)
        # Of a run's candidates, the one that it chose.
        .where(col(Run.adapter_id).is_(None) | (Run.adapter_id == Evaluation.adapter_id))
    )
    newest = session.exec(evaluations.order_by(col(Evaluation.id).desc())).first()
    run = next(iter(runs.newest(session, team, 1)), None)
    return {
        "live": f"v{release.number} · {adapter.name if adapter else 'base'}",
        "memory": session.exec(select(func.count()).where(live)).one(),
        "run": _run(run) if run is not None and run.finished_at is None else None,
        "gate": _gate(newest) if newest is not None else None,
        "paused": pausing.standing(session, team) is not None,
    }


def _run(run: Run) -> dict[str, Any]:
    phase = run.phase or run.status.value
    return {"id": run.id, "phase": phase, "progress": round(run.progress, 3)}


def _gate(verdict: Evaluation) -> dict[str, Any]:
    """How the candidate did on wordings that it was not trained on: "17/20", "" where unknown."""
    marks = (verdict.figures.get("wordings") or {}).get("candidate") or {}
    score = f"{marks['hits']}/{marks['of']}" if {"hits", "of"} <= marks.keys() else ""
    told = {"passed": verdict.passed, "enough": verdict.enough}
    return {"run": verdict.run_id, **told, "score": score}
