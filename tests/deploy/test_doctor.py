"""`mynah doctor`: nothing to find in a house that is well, and each thing that breaks by itself."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from safetensors.numpy import load_file, save_file
from sqlalchemy import Engine
from sqlmodel import Session, col, select

from bot.embedder import LexicalEmbedder
from bot.memory import Memory
from bot.store.database import transaction
from bot.store.schema import Adapter, Example, InboxEvent, Lease, OutboxMessage, Status, now
from deploy import doctor
from deploy.checkups import machine, slack, store
from deploy.checkups.finding import Level, Said, fine
from deploy.checkups.patient import Patient, look
from deploy.checkups.process import Process
from serving import resting
from serving.adapters import WEIGHTS, AdapterFile, publish
from serving.base import base_spec
from serving.resting import Rest
from tests.bot.slack.house import House
from tests.bot.taught import teach
from tests.deploy.conftest import Mynah
from tests.deploy.learned import trained
from tests.fake_vllm import API_KEY, CONTROL_KEY, FakeVllm
from tests.lora_files import make_adapter, make_base
from tests.sandbox_server import Sandbox
from tests.stores import TEAM

SECRETS = ("xoxb-mynah", "xapp-mynah", API_KEY, CONTROL_KEY)
LONG_AGO = now() - timedelta(hours=2)


@dataclass
class Well:
    """A house in which everything is as it should be, and its settings."""

    house: House
    adapter: AdapterFile
    base: Path
    environment: dict[str, str] = field(default_factory=dict)

    def rows(self, change: Callable[[Session], object]) -> None:
        """Change the store."""
        with transaction(self.house.engine) as session:
            change(session)

    def sandbox(self, order: str, **body: Any) -> None:
        """Change the workspace: "seed" or "faults"."""
        url = f"{self.house.sandbox.url}/_control/{order}"
        assert httpx.post(url, json=body, trust_env=False).json()["ok"]


@pytest.fixture
def vllm(tmp_path: Path) -> Iterator[FakeVllm]:
    adapters = tmp_path / "adapters"
    adapters.mkdir()
    with FakeVllm(adapters_dir=adapters, base_dir=make_base(tmp_path / "base")) as running:
        yield running


@pytest.fixture
def well(
    mynah: Mynah, sandbox: Sandbox, vllm: FakeVllm, engine: Engine, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Well:  # fmt: skip
    """v2 is live on one server; a worker is active; two examples are known."""
    base = tmp_path / "base"
    spec = base_spec(base)
    made = publish(make_adapter(tmp_path / "made", base), tmp_path / "adapters", spec)
    vllm.adapters[made.name] = str(made.path)
    memory = Memory(engine, LexicalEmbedder())
    examples = [teach(engine, memory, f"What is the code {n}?", f"It is {n}.") for n in (1, 2)]
    with transaction(engine) as session:
        trained(session, made.name, examples, path=str(made.path))
        adapter = session.exec(select(Adapter)).one()
        adapter.sha256, adapter.base_sha256 = made.sha256, spec.sha256
        session.add(Lease(name="worker", owner="here:1", until=now() + timedelta(hours=1)))
    house = House(sandbox, vllm, engine, tmp_path)
    well = Well(house, made, base, house.environment)
    well.environment |= {"MYNAH_BASE_MODEL": str(base), "MYNAH_CONTROL_KEY": CONTROL_KEY}
    for name, value in well.environment.items():
        monkeypatch.setenv(name, value)
    return well


def findings(mynah: Mynah, *words: str, **settings: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit status, and all that is not fine; no secret is told."""
    status, out, err = mynah("doctor", *words, "--json", **settings)
    assert not [one for one in SECRETS if one in out + err]
    told = json.loads(out)
    assert told["healthy"] == (status == 0)
    return status, [one for one in told["findings"] if one["level"] in ("bad", "warning")]


def test_a_house_that_is_well(well: Well, mynah: Mynah) -> None:
    """Each check looks, and finds nothing; the exit status says so."""
    assert findings(mynah) == (0, [])
    status, out, _ = mynah("doctor")
    looked = [line for line in out.splitlines() if line.startswith("ok ")]
    assert len(looked) == len(doctor.CHECKS) - 1  # SQLite has no clock
    assert out.endswith("Mynah is fine.\n")
    assert status == 0


def test_a_server_that_rests_is_well(well: Well, mynah: Mynah) -> None:
    """It is away for a training; that nobody who trains is on this machine is a doubt."""
    well.house.vllm.down()
    alone = {"MYNAH_TRAIN_ALONE": "on", "MYNAH_DATA_DIR": str(well.house.directory)}
    until = now() + timedelta(hours=1)
    device = asyncio.run(resting.alone(well.house.directory, Rest("run 7 trains", until)))
    assert findings(mynah, **alone) == (0, [])
    assert "resting: run 7 trains, until" in mynah("doctor", **alone)[1]
    elsewhere = findings(mynah, **alone, MYNAH_VLLM_URLS="http://gpu2.example:8000")
    assert [one["check"] for one in elsewhere[1]] == ["vllm"]
    assert "may be another machine" in elsewhere[1][0]["found"]
    device.close()
    assert findings(mynah, **alone)[0] == 1


def test_nothing_is_changed(well: Well, mynah: Mynah) -> None:
    """Not a file, a row, a message, or an adapter on a server."""

    def state() -> Any:
        files = {
            str(path): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in well.house.directory.rglob("*")
            if path.is_file() and not path.name.endswith(("-wal", "-shm"))
        }
        slack = asyncio.run(well.house.sandbox.state(parts="messages"))
        return files, slack["messages"], dict(well.house.vllm.adapters), list(well.house.vllm.asked)

    before = state()
    findings(mynah)
    assert state() == before


def test_an_empty_directory_stays_empty(mynah: Mynah, tmp_path: Path) -> None:
    """Without settings each missing one is a line, and nothing is made on the way."""
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    status, found = findings(mynah, MYNAH_DATA_DIR=str(tmp_path / "empty" / "data"))
    assert status == 1
    lines = [one["found"] for one in found if one["check"] == "settings"]
    assert lines == [
        "MYNAH_VLLM_API_KEY is not set",
        "SLACK_BOT_TOKEN is not set",
        "SLACK_APP_TOKEN: set this (Socket Mode) or SLACK_SIGNING_SECRET (HTTP), not both",
        "MYNAH_CONTROL_KEY is not set",
    ]
    assert sorted(tmp_path.rglob("*")) == before


def test_only_what_runs_here_is_asked_for(well: Well, mynah: Mynah) -> None:
    """A machine that only serves needs neither Slack nor a database."""
    gone = {"SLACK_BOT_TOKEN": "", "DATABASE_URL": "sqlite:////nowhere/mynah.db"}
    assert findings(mynah, "serve", **gone) == (0, [])
    status, found = findings(mynah, **gone)
    assert status == 1
    assert {one["check"] for one in found} == {"settings", "database"}


def _adapter(change: Callable[[Adapter], None]) -> Callable[[Session], None]:
    def do(session: Session) -> None:
        adapter = session.exec(select(Adapter)).one()
        change(adapter)
        session.add(adapter)

    return do


def _newer(session: Session) -> None:
    session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = 'future'")


def _older(session: Session) -> None:
    session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")


def _stale_lease(session: Session) -> None:
    lease = session.exec(select(Lease)).one()
    lease.until = LONG_AGO
    session.add(lease)


def _stuck(session: Session) -> None:
    session.add(
        InboxEvent(
            team_id=TEAM, event_id="e", kind="event", lane="l", received_at=LONG_AGO,
            error="error 3: KeyError",
        )
    )  # fmt: skip
    # For this one nobody waits.
    session.add(
        InboxEvent(team_id=TEAM, event_id="s", kind="shadow", lane="s", received_at=LONG_AGO)
    )


def _given_up(session: Session) -> None:
    row = OutboxMessage(
        team_id=TEAM, key="k", channel="C", lane="l", status=Status.FAILED, finished_at=now()
    )
    session.add(row)


def _vectors(value: bytes | None, embedder: str | None = None) -> Callable[[Session], None]:
    def do(session: Session) -> None:
        one = session.exec(select(Example).order_by(col(Example.id))).first()
        assert one is not None
        one.embedding = value
        one.embedder = embedder or one.embedder
        session.add(one)

    return do


def _overwrite(well: Well) -> None:
    file = well.adapter.path / WEIGHTS
    tensors = load_file(file)
    name = next(iter(tensors))
    save_file(tensors | {name: tensors[name] * 2}, file)


@dataclass(frozen=True)
class Case:
    """What is broken, and what is said of it, and of nothing else."""

    check: str
    found: str
    mend: str
    level: str = "bad"
    settings: dict[str, str] = field(default_factory=dict)
    break_: Callable[[Well], object] = lambda _: None


CASES = {
    "a setting that is wrong": Case(
        "settings", "MYNAH_TRAIN_CRON: must be a five-field", "README",
        settings={"MYNAH_TRAIN_CRON": "at night"},
    ),
    "a token that Slack does not know": Case(
        "slack token", "Slack says invalid_auth", "SLACK_BOT_TOKEN",
        settings={"SLACK_BOT_TOKEN": "xoxb-nobody"},
    ),
    "Slack is away": Case(
        "slack token", "Slack says nothing", "proxy",
        settings={"SLACK_API_URL": "http://127.0.0.1:9/api/"},
    ),
    "a scope is missing": Case(
        "slack token", "the app lacks files:write, reactions:read", "slack-manifest.yaml",
        break_=lambda well: well.sandbox(
            "seed",
            bot_scopes=sorted(slack._wanted_scopes() - {"files:write", "reactions:read"}),
        ),
    ),
    "an app token of another app": Case(
        "slack delivery", "Slack opens no socket: invalid_auth", "connections:write",
        settings={"SLACK_APP_TOKEN": "xapp-nobody"},
    ),
    "a channel that the bot was not invited to": Case(
        "channels", "MYNAH_ADMIN_CHANNEL: the bot is not in C0ELSE", "/invite",
        settings={"MYNAH_ADMIN_CHANNEL": "C0ELSE"},
        break_=lambda well: well.sandbox(
            "seed", channels=[{"id": "C0ELSE", "name": "else", "members": ["U0ADMIN"]}]
        ),
    ),
    "a private channel that it cannot see": Case(
        "channels", "MYNAH_REVIEW_CHANNEL: the bot sees no channel C0NONE", "/invite",
        settings={"MYNAH_REVIEW_CHANNEL": "C0NONE"},
    ),
    "no admin channel": Case(
        "channels", "nobody hears", "set it", "warning", settings={"MYNAH_ADMIN_CHANNEL": ""}
    ),
    "staff whom nobody knows": Case(
        "staff and admins", "MYNAH_STAFF: Slack says user_not_found of U0NOBODY", "user id",
        settings={"MYNAH_STAFF": "U0STAFF,U0NOBODY"},
    ),
    "a group that nobody knows": Case(
        "staff and admins", "MYNAH_STAFF: Slack says no_such_subteam of S0NONE", "user-group id",
        settings={"MYNAH_STAFF": "S0NONE"},
    ),
    "a guest as an admin": Case(
        "staff and admins", "MYNAH_ADMINS: U0GUEST is a guest", "user id",
        settings={"MYNAH_ADMINS": "U0GUEST"},
    ),
    "nobody may teach": Case(
        "staff and admins", "nobody may teach", "set it", "warning", settings={"MYNAH_STAFF": ""}
    ),
    "no server": Case(
        "vllm", "ConnectError", "mynah serve", break_=lambda well: well.house.vllm.down()
    ),
    "another key": Case(
        "vllm", "does not take the key", "MYNAH_VLLM_API_KEY",
        settings={"MYNAH_VLLM_API_KEY": "another-key-0123456789"},
    ),
    "no base model": Case(
        "base model", "there is no directory /nowhere/at/all", "MYNAH_BASE_MODEL",
        settings={"MYNAH_BASE_MODEL": "/nowhere/at/all"},
    ),
    "an adapter that is not loaded": Case(
        "adapters loaded", "has no mynah-", "mynah worker",
        break_=lambda well: well.house.vllm.adapters.clear(),
    ),
    "an adapter from elsewhere": Case(
        "adapters loaded", "from /old/place, not", "mynah worker",
        break_=lambda well: well.house.vllm.adapters.update({well.adapter.name: "/old/place"}),
    ),
    "an adapter that was altered": Case(
        "adapter files", "it hashes to", "backup", break_=_overwrite
    ),
    "an adapter that is gone": Case(
        "adapter files", "cannot read", "backup",
        break_=lambda well: shutil.rmtree(well.adapter.path),
    ),
    "no worker": Case(
        "worker", "none since", "mynah worker", break_=lambda well: well.rows(_stale_lease)
    ),
    "a queue that is stuck": Case(
        "queues", "inbox: 1 open, the oldest for 2 hours (error 3: KeyError)", "mynah bot",
        break_=lambda well: well.rows(_stuck),
    ),
    "rows that were given up": Case(
        "queues", "outbox: 1 given up within a day", "log", "warning",
        break_=lambda well: well.rows(_given_up),
    ),
    "vectors of another embedder": Case(
        "memory", "1 of 2 examples have no vector of lexical-1", "nothing has to be done",
        "warning", break_=lambda well: well.rows(_vectors(None, "another")),
    ),
    "a vector that is cut off": Case(
        "memory", "1 examples have a vector of another length", "backup",
        break_=lambda well: well.rows(_vectors(b"1234")),
    ),
    "an embedder that is not there": Case(
        "embedder", "MYNAH_EMBEDDER: there is no /nowhere", "`none` needs nothing",
        settings={"MYNAH_EMBEDDER": "/nowhere"},
    ),
    "an older database": Case(
        "database", "the database is not ready", "mynah db upgrade",
        break_=lambda well: well.rows(_older),
    ),
    "a newer database": Case(
        "database", "made by a newer Mynah", "mynah db upgrade",
        break_=lambda well: well.rows(_newer),
    ),
    "a database that is away": Case(
        "database", "the database cannot be used", "DATABASE_URL",
        settings={"DATABASE_URL": "postgresql://mynah:hidden-9@127.0.0.1:9/mynah"},
    ),
}  # fmt: skip
# Of these the rest of the house hears, too.
FOLLOWS = {"an embedder that is not there": {"memory"}, "Slack is away": {"slack delivery"}}


@pytest.mark.parametrize("name", CASES)
def test_what_is_broken_is_named(name: str, well: Well, mynah: Mynah) -> None:
    """It alone, with what to do about it; what hangs on it is not looked at."""
    case = CASES[name]
    case.break_(well)
    status, found = findings(mynah, **case.settings)
    assert {one["check"] for one in found} == {case.check} | FOLLOWS.get(name, set())
    one = next(one for one in found if one["check"] == case.check)
    assert one["level"] == case.level
    assert case.found in one["found"]
    assert case.mend in one["mend"]
    assert status == (1 if case.level == "bad" else 0)
    assert "hidden-9" not in json.dumps(found)


def test_another_base_model_is_named(well: Well, mynah: Mynah, tmp_path: Path) -> None:
    """With the adapters that were trained on the one before, whose files do not fit either."""
    other = make_base(tmp_path / "other", seed=1)
    _, found = findings(mynah, MYNAH_BASE_MODEL=str(other))
    assert {one["check"] for one in found} == {"base model", "adapter files"}
    one = next(one for one in found if one["check"] == "base model")
    assert well.adapter.name in one["found"]
    assert "mynah rollback v1" in one["mend"]


def test_disk_and_memory(monkeypatch: pytest.MonkeyPatch, well: Well) -> None:
    """By how much there is: too little to go on, little, or enough."""
    patient = look(list(Process))
    for low, poor, check in (
        ("DISK_LOW", "DISK_BAD", machine.disk),
        ("MEMORY_LOW", "MEMORY_BAD", machine.memory),
    ):
        assert check(patient)[0].level is Level.OK
        monkeypatch.setattr(machine, low, 1e18)
        assert check(patient)[0].level is Level.WARNING
        monkeypatch.setattr(machine, poor, 1e18)
        assert check(patient)[0].level is Level.BAD


def test_other_versions_are_named(tmp_path: Path) -> None:
    """Those that are installed and differ from the lock."""
    lock = tmp_path / "lock"
    lock.write_text("# pins\nhttpx==0.0.1\nnobody-has-this==1\n")
    [said] = machine.packages(Patient(list(Process)), lock)
    assert said.level is Level.WARNING
    assert said.found.startswith("httpx 0.")
    assert "(tested: 0.0.1)" in said.found


@pytest.mark.parametrize(("seconds", "level"), [(0.5, "ok"), (-40, "bad"), (40, "bad")])
def test_clocks_that_differ(seconds: float, level: str) -> None:
    """In whichever direction."""
    [said] = store.skewed(seconds, 30, "Slack's")
    assert said.level == level
    assert ("ahead of" if seconds > 0 else "behind") in said.found


class _LateSlack(BaseHTTPRequestHandler):
    """Answers `auth.test` as if it were ten minutes ago."""

    def do_POST(self) -> None:
        body = json.dumps({"ok": True, "team_id": TEAM, "user_id": "U0MYNAH"}).encode()
        self.send_response_only(200)
        self.send_header("Date", format_datetime(now() - timedelta(minutes=10), usegmt=True))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


def test_slacks_clock_is_compared(well: Well, mynah: Mynah) -> None:
    """By the time that its answers tell."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _LateSlack) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        _, found = findings(
            mynah, "bot", SLACK_API_URL=f"http://127.0.0.1:{server.server_port}/api/"
        )
        server.shutdown()
    one = next(one for one in found if one["check"] == "slack clock")
    assert "ahead of Slack's clock" in one["found"]
    assert "NTP" in one["mend"]


def test_postgresql_is_looked_at(well: Well, mynah: Mynah, pg_url: str) -> None:
    """The same checks read PostgreSQL, and its clock."""
    _, found = findings(mynah, DATABASE_URL=pg_url)
    assert {one["check"] for one in found} == {"worker"}  # nothing else is in there
    _, out, _ = mynah("doctor")
    assert "the database's clock" in out


def test_what_hangs_is_left_behind() -> None:
    """A check that does not come back is one finding, and the command ends all the same."""
    over = threading.Event()

    def hangs(_: Patient) -> Sequence[Said]:
        over.wait(60)
        return []

    async def waits(_: Patient) -> Sequence[Said]:
        await asyncio.sleep(60)
        return []

    def breaks(_: Patient) -> Sequence[Said]:
        raise KeyError("a secret")

    def well(_: Patient) -> Sequence[Said]:
        return fine("all is well")

    checks: dict[str, Any] = {"hangs": hangs, "waits": waits, "breaks": breaks, "well": well}
    found = doctor.examine(list(Process), checks=checks, within_s=0.2)
    over.set()
    assert [(one.check, one.level) for one in found] == [
        ("hangs", Level.BAD), ("waits", Level.BAD), ("breaks", Level.BAD), ("well", Level.OK),
    ]  # fmt: skip
    assert "no answer within 0.2 s" in found[0].found
    assert "a secret" not in doctor.lines(found)
