"""Removing the files of adapters that nothing wants and no server can name any more.

vLLM reads an evicted adapter from disk again and dies when its files are gone. So they go long
after the last server has forgotten the name, and only while every server says what it has.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine
from sqlmodel import Session, col, exists, select

from bot import audit, releases
from bot.store import rollouts
from bot.store.database import reading, transaction
from bot.store.schema import Adapter, Evaluation, Release, Run, Trial, now
from serving.adapters import NAME

log = logging.getLogger("mynah.tidying")
GRACE = timedelta(days=7)  # since it was last of use to anybody
UNFINISHED = timedelta(days=1)  # a publishing that was killed; it takes seconds
GONE = ".gone-"
REMOVED = audit.FILES_REMOVED


def tidy(engine: Engine, adapters_dir: Path, named: Collection[str]) -> list[str]:
    """Remove what nothing wants; the names of what went.

    Kept are: what replicas should hold, what ever was live (one can roll back to it), what passed
    its evaluation (an admin may promote it), and what a run still works with. Half-written
    directories go after a day.

    Args:
        named: the adapters that a server has, of all servers.
    """
    if not adapters_dir.is_dir():
        return []
    removed = []
    for entry in sorted(adapters_dir.iterdir()):
        since = datetime.fromtimestamp(entry.lstat().st_mtime, UTC)
        if entry.name.startswith((".mynah-", GONE)):
            if entry.name.startswith(GONE) or since < now() - UNFINISHED:
                shutil.rmtree(entry, ignore_errors=True)
            continue
        if not NAME.fullmatch(entry.name) or entry.name in named or since > now() - GRACE:
            continue
        if _let_go(engine, entry.name):
            _remove(entry)
            removed.append(entry.name)
    return removed


def _let_go(engine: Engine, name: str) -> bool:
    """Whether nothing wants it; if so, that is written down where it was published for."""
    with reading(engine) as session:
        if _is_wanted(session, name):
            return False
    with transaction(engine) as session:
        if _is_wanted(session, name):
            return False
        adapter = session.exec(select(Adapter).where(Adapter.name == name)).first()
        if adapter is not None:
            subject = f"adapter:{name}"
            audit.record(session, adapter.team_id, "mynah", REMOVED, subject)
    return True


def _is_wanted(session: Session, name: str) -> bool:
    adapter = session.exec(select(Adapter).where(Adapter.name == name)).first()
    if adapter is None:
        return False  # published, and never written down: the run that did it publishes it again
    if name in {one.name for one in releases.desired_adapters(session)}:
        return True
    latest = [adapter.created_at]
    for release in session.exec(select(Release).where(Release.adapter_id == adapter.id)).all():
        if rollouts.was_live(session, release):
            return True
        if (at := rollouts.last_used(session, release)) is not None:
            latest.append(at)
    return (
        max(latest) > now() - GRACE or _has_passed(session, adapter) or _in_work(session, adapter)
    )


def _has_passed(session: Session, adapter: Adapter) -> bool:
    rows = select(Evaluation).where(Evaluation.adapter_id == adapter.id)
    newest = session.exec(rows.order_by(col(Evaluation.id).desc())).first()
    return newest is not None and newest.passed


def _in_work(session: Session, adapter: Adapter) -> bool:
    """Whether a run that has not ended trained it: its next recipe may go on from it."""
    open_run = exists().where(
        col(Trial.run_id) == Run.id,
        col(Trial.adapter_id) == adapter.id,
        col(Run.finished_at).is_(None),
    )
    return session.exec(select(Adapter.id).where(open_run)).first() is not None


def _remove(directory: Path) -> None:
    """At once, as far as anybody can see who looks for the name."""
    gone = directory.with_name(f"{GONE}{directory.name}")
    shutil.rmtree(gone, ignore_errors=True)
    directory.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)
    log.info("removed the files of %s: nothing wants them", directory.name)
