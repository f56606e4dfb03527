"""Adapters that are in the store and on disk, as a run leaves them."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine
from sqlmodel import select

from bot import releases
from bot.store.database import transaction
from bot.store.schema import Adapter, Evaluation, Release, Run, RunStatus, RunTrigger
from serving.adapters import AdapterFile, publish
from serving.base import base_spec
from tests.fake_vllm import probe_of
from tests.lora_files import make_adapter
from tests.training.stage import TEAM


def published(base: Path, adapters_dir: Path, seed: int = 0) -> AdapterFile:
    """Random weights for a base, published."""
    staging = make_adapter(adapters_dir.parent / f"staging-{seed}", base, seed=seed)
    return publish(staging, adapters_dir, base_spec(base))


def candidate(engine: Engine, file: AdapterFile, *, probed: bool = True) -> Release:
    """A release with share 0 for it."""
    with transaction(engine) as session:
        releases.ensure_team(session, TEAM)
        adapter = Adapter(
            team_id=TEAM, name=file.name, sha256=file.sha256, path=str(file.path),
            base_model="base", base_sha256="0" * 64, rank=file.rank,
            probe=probe_of(file.path).stored() if probed else None,
        )  # fmt: skip
        session.add(adapter)
        session.flush()
        return releases.add_candidate(session, TEAM, adapter.id or 0, by="test")


def evaluated(engine: Engine, release: Release, *, passed: bool) -> None:
    """The gate has said something of it."""
    with transaction(engine) as session:
        run = Run(team_id=TEAM, trigger=RunTrigger.COMMAND, status=RunStatus.KEPT)
        session.add(run)
        session.flush()
        session.add(
            Evaluation(
                team_id=TEAM, run_id=run.id or 0, adapter_id=release.adapter_id or 0, passed=passed
            )
        )


def live(engine: Engine, file: AdapterFile) -> Release:
    """A release that passed, and answers all new threads."""
    release = candidate(engine, file)
    evaluated(engine, release, passed=True)
    with transaction(engine) as session:
        again = session.exec(select(Release).where(Release.id == release.id)).one()
        releases.promote(session, again, by="gate", reason="it passed")
    return release


def discarded(engine: Engine, release: Release) -> None:
    """It gives way."""
    with transaction(engine) as session:
        again = session.exec(select(Release).where(Release.id == release.id)).one()
        releases.discard(session, again, by="gate", reason="another one was better")
