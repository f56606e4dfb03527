"""Which adapters' files go, and which stay for ever."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlmodel import select

from bot import releases
from bot.store.database import reading, transaction
from bot.store.schema import Adapter, Audit, Release, Rollout, RolloutAction, Run, RunTrigger, Trial
from serving.adapters import AdapterFile, publish, validate
from serving.base import base_spec
from tests.lora_files import make_base
from tests.training.published import candidate, discarded, evaluated, live, published
from tests.training.stage import TEAM
from training.tidying import GRACE, UNFINISHED, tidy

Use = Callable[[Engine, AdapterFile], None]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return make_base(tmp_path / "base")


@pytest.fixture
def adapters_dir(tmp_path: Path) -> Path:
    (tmp_path / "adapters").mkdir()
    return tmp_path / "adapters"


@pytest.fixture
def file(base: Path, adapters_dir: Path) -> AdapterFile:
    return published(base, adapters_dir)


def age(engine: Engine, adapters_dir: Path, by: timedelta = GRACE) -> None:
    """Everything happened long ago."""
    with transaction(engine) as session:
        for adapter in session.exec(select(Adapter)).all():
            adapter.created_at -= by + timedelta(minutes=1)
        for rollout in session.exec(select(Rollout)).all():
            rollout.at -= by + timedelta(minutes=1)
    then = time.time() - by.total_seconds() - 60
    for entry in adapters_dir.iterdir():
        os.utime(entry, (then, then))


def _discarded(engine: Engine, file: AdapterFile) -> None:
    release = candidate(engine, file)
    evaluated(engine, release, passed=False)
    discarded(engine, release)


def _never_written_down(engine: Engine, file: AdapterFile) -> None:
    pass


@pytest.mark.parametrize("use", [_discarded, _never_written_down])
def test_what_nothing_wants_goes_in_the_end(
    store: Engine, adapters_dir: Path, file: AdapterFile, use: Use
) -> None:
    """A candidate that did not pass, and one that nobody wrote down: not before the time is over,
    and not while a server still knows the name. It is written down where it was known."""
    use(store, file)
    assert tidy(store, adapters_dir, set()) == []
    age(store, adapters_dir)
    assert tidy(store, adapters_dir, {file.name}) == []
    assert file.path.is_dir()
    assert tidy(store, adapters_dir, {"mynah-000000000000"}) == [file.name]
    assert list(adapters_dir.iterdir()) == []
    with reading(store) as session:
        actions = [row.action for row in session.exec(select(Audit)) if "files" in row.action]
    assert actions == (["adapter.files_removed"] if use is _discarded else [])


def _once_live(engine: Engine, file: AdapterFile) -> None:
    """Rolled back from, and measured again since, without success."""
    release = live(engine, file)
    with transaction(engine) as session:
        releases.roll_back(session, TEAM, by="U0ADMIN")
    evaluated(engine, release, passed=False)


def _passed(engine: Engine, file: AdapterFile) -> None:
    release = candidate(engine, file)
    evaluated(engine, release, passed=True)
    discarded(engine, release)


def _in_work(engine: Engine, file: AdapterFile) -> None:
    release = candidate(engine, file)
    discarded(engine, release)
    with transaction(engine) as session:
        run = Run(team_id=TEAM, trigger=RunTrigger.COMMAND)
        session.add(run)
        session.flush()
        adapter = session.exec(select(Release).where(Release.id == release.id)).one().adapter_id
        session.add(Trial(team_id=TEAM, run_id=run.id or 0, name="sft", adapter_id=adapter))


def _open(engine: Engine, file: AdapterFile) -> None:
    candidate(engine, file)


def _shadow(engine: Engine, file: AdapterFile) -> None:
    _discarded(engine, file)
    with transaction(engine) as session:
        releases.start_shadow(session, TEAM, 2, by="U0ADMIN")


@pytest.mark.parametrize("use", [_once_live, _passed, _in_work, _open, _shadow])
def test_what_somebody_may_want_stays(
    engine: Engine, adapters_dir: Path, file: AdapterFile, base: Path, use: Use
) -> None:
    """What one can roll back to or promote, what a run goes on from, an open candidate, and
    the shadow."""
    use(engine, file)
    age(engine, adapters_dir)
    assert tidy(engine, adapters_dir, set()) == []
    assert validate(file.path, base_spec(base)) == file


def test_what_is_published_again_is_new_again(
    engine: Engine, adapters_dir: Path, file: AdapterFile, base: Path
) -> None:
    """A run that comes to the very same weights finds them there, and they stay as long as new
    ones; the same holds for what was let answer again since."""
    age(engine, adapters_dir)
    publish(file.path, adapters_dir, base_spec(base))
    assert tidy(engine, adapters_dir, set()) == []
    _discarded(engine, file)
    age(engine, adapters_dir)
    with transaction(engine) as session:
        release = session.exec(select(Release).where(Release.adapter_id != None)).one()  # noqa: E711
        session.add(
            Rollout(
                team_id=TEAM, release_id=release.id or 0, share=0, by="gate",
                action=RolloutAction.DISCARD,
            )
        )  # fmt: skip
    assert tidy(engine, adapters_dir, set()) == []


def test_half_written_directories_go(engine: Engine, adapters_dir: Path) -> None:
    """A publishing or a removal that was killed; one that is under way, and what is not ours, are
    left alone."""
    killed, gone = adapters_dir / ".mynah-0123456789ab-x1", adapters_dir / ".gone-mynah-1"
    other = adapters_dir / "notes"
    for directory in (killed, gone, other):
        directory.mkdir()
        (directory / "file").write_text("half")
    assert tidy(engine, adapters_dir, set()) == []
    assert {entry.name for entry in adapters_dir.iterdir()} == {killed.name, other.name}
    age(engine, adapters_dir, UNFINISHED)
    tidy(engine, adapters_dir, set())
    age(engine, adapters_dir)
    tidy(engine, adapters_dir, set())
    assert list(adapters_dir.iterdir()) == [other]
    assert tidy(engine, adapters_dir / "never-made", set()) == []
