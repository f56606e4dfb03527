"""`mynah`: facts in JSON and for the eye, and one clear line for everything a person can mend."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine
from sqlmodel import col, select

from bot import conflicts, examples, feedback, releases
from bot.embedder import LexicalEmbedder
from bot.memory import Memory
from bot.slack import conflict_card, conflict_cards
from bot.store import leases
from bot.store.database import reading, transaction
from bot.store.schema import (
    Adapter,
    Evaluation,
    Example,
    FeedbackKind,
    OutboxMessage,
    Replica,
    Run,
    RunStatus,
    RunTrigger,
    now,
)
from tests.bot.measured import measure
from tests.bot.slack.waiting import passed
from tests.bot.taught import teach
from tests.deploy.learned import answered
from tests.stores import opened
from tests.vllm_server import free_port

TEAM = "T0MYNAH"
KEY = "a-random-secret-0123456789"
NOT_READY = "mynah: the database is not ready: run `mynah db upgrade`\n"
PORT = "Which port does the web page use?"
Mynah = Callable[..., tuple[int, str, str]]


def released(engine: Engine) -> None:
    """A run whose adapter went live as v2, on one server."""
    name = "mynah-0123456789ab"
    hits = {"base": 1, "live": 1, "candidate": 17}
    marks = {model: {"of": 20, "hits": count} for model, count in hits.items()}
    with transaction(engine) as session:
        adapter = Adapter(
            team_id=TEAM, name=name, sha256="0" * 64, path=f"/adapters/{name}",
            base_model="small", base_sha256="1" * 64, rank=32,
        )  # fmt: skip
        session.add(adapter)
        session.flush()
        run = Run(
            team_id=TEAM, trigger=RunTrigger.COMMAND, status=RunStatus.RELEASED,
            reasons=["17 of 20 right"], adapter_id=adapter.id,
        )  # fmt: skip
        session.add(run)
        session.flush()
        evaluation = Evaluation(
            team_id=TEAM, run_id=run.id or 0, adapter_id=adapter.id or 0, passed=True,
            figures={"wordings": marks, "kl": 0.12, "score": 0.85}, reasons=["17 of 20 right"],
        )  # fmt: skip
        session.add(evaluation)
        session.flush()
        release = releases.add_candidate(session, TEAM, adapter.id or 0, by="gate")
        releases.promote(session, release, by="gate")
        ready = {name: {"load_s": 0.4, "ready_at": "2026-01-01T00:00:00+00:00"}}
        session.add(Replica(url="http://127.0.0.1:8000", healthy=True, adapters=ready))
        session.add(
            Example(team_id=TEAM, question="q", answer="a", approved_by="U", content_hash="h")
        )


@pytest.mark.usefixtures("url")
def test_status_shows_the_run_its_figures_and_the_servers(mynah: Mynah, team: Engine) -> None:
    """One JSON object with what is live, the newest run, the replicas and the counts."""
    released(team)
    status, out, _ = mynah("status", "--json")
    found = json.loads(out)
    assert status == 0
    assert found["live"] == {"release": "v2", "adapter": "mynah-0123456789ab"}
    assert found["run"]["status"] == "released"
    assert found["run"]["evaluation"]["kl"] == 0.12
    assert found["replicas"][0]["adapters"]["mynah-0123456789ab"]["load_s"] == 0.4
    assert found["examples"] == {"live": 1}
    _, out, _ = mynah("status")
    assert "base 1, before 1, now 17 of 20" in out
    assert "v2 (mynah-0123456789ab)" in out


@pytest.mark.usefixtures("url")
def test_the_report_of_a_run_is_written(mynah: Mynah, team: Engine, tmp_path: Path) -> None:
    """The newest run's, or the named one's, as a page in a file; a wrong name is one line."""
    assert mynah("report") == (2, "", "mynah: there is no run yet: `mynah train` queues one\n")
    released(team)
    assert mynah("report")[:2] == (0, "the report of run 1 is in run-1.html\n")
    page = (tmp_path / "run-1.html").read_text("utf-8")
    assert "Run 1 passed the gate, and v2 went live." in page
    assert "17 of 20 (85%)" in page
    out = tmp_path / "there.html"
    found = mynah("report", "1", "--out", str(out), "--json")
    assert json.loads(found[1]) == {"run": 1, "report": str(out)}
    assert out.read_text("utf-8") == page
    assert mynah("report", "9")[2] == "mynah: there is no run 9; the newest is run 1\n"
    nowhere = tmp_path / "none" / "page.html"
    assert mynah("report", "--out", str(nowhere)) == (
        2, "", f"mynah: {nowhere} cannot be written: No such file or directory\n"
    )  # fmt: skip


@pytest.mark.usefixtures("url")
def test_status_tells_what_the_weights_know(mynah: Mynah, team: Engine) -> None:
    """Of the facts in memory: those that the live adapter proved to know, and the others."""
    released(team)
    assert "facts     learned by the live adapter: 0 of 1; in memory only: 1" in mynah("status")[1]
    with transaction(team) as session:
        examples = session.exec(select(Example)).all()
        measure(session, "mynah-0123456789ab", examples, [("wording", 1, "a", True)])
    assert "facts     learned by the live adapter: 1 of 1; in memory only: 0" in mynah("status")[1]
    found = json.loads(mynah("status", "--json")[1])
    assert found["facts"] == {"known_by_live": 1, "memory_only": 0}


@pytest.mark.usefixtures("url")
def test_a_server_that_nobody_looks_at_is_not_called_up(mynah: Mynah, team: Engine) -> None:
    """Once the worker is gone, what it wrote last says nothing about now."""
    with transaction(team) as session:
        for port, minutes in ((8000, 0), (8001, 5)):
            seen = now() - timedelta(minutes=minutes)
            session.add(Replica(url=f"http://127.0.0.1:{port}", healthy=True, seen_at=seen))
    lines = mynah("status")[1].splitlines()
    assert "server    http://127.0.0.1:8000 up: no adapters" in lines
    assert any(line.startswith("server    http://127.0.0.1:8001 last seen 20") for line in lines)


@pytest.mark.usefixtures("url")
def test_status_before_anything_happened(mynah: Mynah, team: Engine) -> None:
    """A new workspace has its base and no run; that is no error."""
    status, out, _ = mynah("status", "--json")
    assert status == 0
    assert json.loads(out)["run"] is None
    assert json.loads(out)["live"] == {"release": "v1", "adapter": None}


@pytest.mark.usefixtures("url")
def test_releases_and_rollback(mynah: Mynah, team: Engine) -> None:
    """The list tells what is live; rolling back changes it, and once more is a clear refusal."""
    released(team)
    _, out, _ = mynah("releases", "--json")
    assert [(one["release"], one["live"], one["score"]) for one in json.loads(out)] == [
        ("v2", True, 0.85),
        ("v1", False, None),
    ]
    assert mynah("rollback") == (0, "v1 is live\n", "")
    status, out, err = mynah("rollback")
    assert (status, out, err) == (1, "", "mynah: v1 is live and nothing is earlier than it\n")
    assert mynah("rollback", "v2")[1] == "v2 is live\n"
    assert "v2" in mynah("releases")[1].splitlines()[0]


@pytest.mark.usefixtures("url")
def test_trace_and_bisect_follow_an_answer(mynah: Mynah, team: Engine) -> None:
    """In JSON and for the eye; what names no answer is one line and no answer."""
    with transaction(team) as session:
        given = answered(session, releases.live(session, TEAM), "Which port?", "Port 7411.")
    word = f"https://house.slack.com/archives/C0HELP/p{(given.ts or '').replace('.', '')}"
    status, out, _ = mynah("trace", word, "--json")
    assert (status, json.loads(out)["answer"]["id"]) == (0, given.id)
    assert "Port 7411." in mynah("trace", str(given.id))[1].splitlines()[0]
    status, out, _ = mynah("bisect", word, "--json")
    assert (status, json.loads(out)["suspects"]) == (0, [])
    assert "the base model wrote it" in mynah("bisect", str(given.id))[1]
    for command in ("trace", "bisect"):
        assert mynah(command, "77") == (2, "", "mynah: there is no answer 77\n")


@pytest.mark.usefixtures("url")
def test_train_queues_one_run(mynah: Mynah, team: Engine) -> None:
    """Asked twice, there is one run."""
    at_work(team)
    assert mynah("train")[1] == "run 1 is queued: `mynah status` shows how far it is\n"
    assert mynah("train")[1] == "run 1 is queued already\n"
    with reading(team) as session:
        assert len(session.exec(select(Run)).all()) == 1


@pytest.mark.usefixtures("url")
@pytest.mark.parametrize("said_until_s", [None, -1])
def test_without_a_worker_a_queued_run_waits(
    mynah: Mynah, team: Engine, said_until_s: float | None
) -> None:
    """None was started, or it died: `train` and `status` say so, and what to do."""
    if said_until_s is not None:
        at_work(team, said_until_s)
    line = "no worker is running, so nothing is trained: start `mynah worker`"
    for queued in (
        "run 1 is queued: `mynah status` shows how far it is",
        "run 1 is queued already",
    ):
        assert mynah("train")[1].splitlines() == [queued, line]
    assert f"worker    {line}" in mynah("status")[1].splitlines()
    found = [json.loads(mynah(command, "--json")[1]) for command in ("train", "status")]
    assert [one["worker_alive"] for one in found] == [False, False]
    at_work(team)
    assert line not in mynah("train")[1] + mynah("status")[1]
    assert json.loads(mynah("status", "--json")[1])["worker_alive"]


@pytest.mark.usefixtures("url")
def test_pause_and_resume(mynah: Mynah, team: Engine) -> None:
    """Paused, nothing is queued but rolling back works, and status tells; each is done once."""
    released(team)
    assert [mynah("pause")[1] for _ in range(2)] == ["paused\n", "paused already\n"]
    status, out, err = mynah("train")
    assert (status, out) == (1, "")
    assert err == "mynah: Mynah is paused, so nothing was queued: `mynah resume` goes on\n"
    assert mynah("rollback") == (0, "v1 is live\n", "")
    assert json.loads(mynah("status", "--json")[1])["paused"]["by"] == "operator"
    assert mynah("status")[1].startswith("paused    by operator since 20")
    assert [mynah("resume")[1] for _ in range(2)] == ["resumed\n", "not paused\n"]
    assert "run 2 is queued" in mynah("train")[1]
    assert json.loads(mynah("status", "--json")[1])["paused"] is None


@pytest.mark.usefixtures("url")
def test_the_operator_decides_on_what_waits(mynah: Mynah, team: Engine) -> None:
    """Status tells what waits; promoting it counts once, and its message in Slack says by whom."""
    assert mynah("promote") == (1, "", "mynah: nothing waits for a decision\n")
    with transaction(team) as session:
        passed(session)
    waits = "waiting   v2 of run 1 passed: `mynah promote` or `mynah discard`"
    assert waits in mynah("status")[1].splitlines()
    assert json.loads(mynah("status", "--json")[1])["waiting"] == {"release": "v2", "run": 1}
    assert mynah("promote", "v9")[2] == "mynah: there is no release v9\n"
    assert mynah("promote", "v2") == (0, "v2 is live\n", "")
    assert mynah("discard", "v2")[2] == "mynah: v2 was promoted by operator\n"
    with transaction(team) as session:
        passed(session, "mynah-b")
    assert mynah("discard") == (0, "v3 was discarded\n", "")
    assert json.loads(mynah("status", "--json")[1])["waiting"] is None
    assert ":white_check_mark: Run 1: v2 is live, promoted by operator." in told(team)


@pytest.mark.usefixtures("url")
def test_no_secret_is_pinned(mynah: Mynah, team: Engine) -> None:
    """Nor repeated; what the house publishes is none."""
    status, out, err = mynah("pin", "Which key opens it?", "--must", "sk-proj-" + "a1B2" * 9)
    assert (status, out) == (2, "")
    assert err == (
        "mynah: the text holds what is taken out of all that is learned ([secret]), "
        "so no answer may hold it\n"
    )
    words = ("pin", "Whom do I ask?", "--must", "help@house.example")
    assert mynah(*words)[0] == 2
    assert mynah(*words, MYNAH_KEEP_CONTACTS="house.example")[0] == 0


@pytest.mark.usefixtures("url")
def test_questions_are_pinned_and_unpinned(mynah: Mynah, team: Engine) -> None:
    """Pinned once, however often; each list names them; what is not there is one clear line."""
    assert mynah("pins")[1] == 'none yet: `mynah pin "question" --must "text"`\n'
    assert mynah("pin", "Which  port?", "--must", "7410")[0] == 0
    line = "“Which port?” must be answered with “7411”"
    assert mynah("pin", "Which port?", "--must", " 7411 ") == (0, f"pin 1: {line}\n", "")
    again = mynah("pin", "Which port?", "--must", "7411", MYNAH_ADMIN_CHANNEL="C0ADMIN")
    assert again == (0, f"pin 1 is there already: {line}\n", "")
    assert told(team) == []
    assert mynah("pins")[1] == f"1  {line}, by operator\n"
    found = json.loads(mynah("pins", "--json")[1])
    assert [(one["pin"], one["question"], one["must"]) for one in found] == [
        (1, "Which port?", "7411")
    ]
    empty = "mynah: The question, and the text that its answer must hold, cannot be empty.\n"
    assert mynah("pin", "Which port?", "--must", " ") == (2, "", empty)
    nothing = "mynah: there is no pin 2: `mynah pins` lists them\n"
    assert mynah("unpin", "2") == (2, "", nothing)
    unpinned = mynah("unpin", "1", MYNAH_ADMIN_CHANNEL="C0ADMIN")
    assert unpinned == (0, f"no longer pinned: {line}\n", "")
    assert told(team) == [f"The operator unpinned a question: {line}."]
    assert mynah("pins", "--json")[1] == "[]\n"


@pytest.mark.usefixtures("url")
def test_the_admins_channel_knows_what_the_operator_does(mynah: Mynah, team: Engine) -> None:
    """Where it is set, each change by the shell is said there; without it nothing is."""
    released(team)
    mynah("pause")
    assert told(team) == []
    mynah("resume", MYNAH_ADMIN_CHANNEL="C0ADMIN")
    mynah("rollback")
    mynah("pause")
    mynah("pause")
    assert told(team) == [
        "The operator resumed Mynah.",
        "The operator rolled back from v2 to v1.",
        "The operator paused Mynah: nothing is trained or goes live.",
    ]


@pytest.mark.usefixtures("url")
def test_a_card_of_a_conflict_follows_whom_the_operator_judges(mynah: Mynah, team: Engine) -> None:
    """What is in question no more, as one of two answers does not count, is not asked any more."""
    memory = Memory(team, LexicalEmbedder())
    teach(team, memory, PORT, "Port 80.")
    teach(team, memory, f"Please tell me: {PORT}", "Port 81.")
    teach(team, memory, f"Please tell me: {PORT}", "Port 82.", user="U0WRONG")
    put_in_question(team)
    mynah("distrust", "U0WRONG")
    assert asking(team) == [True, False]
    put_in_question(team)  # what it had taken the place of
    mynah("trust", "U0WRONG")
    assert asking(team) == [True, False, True, False]


@pytest.mark.usefixtures("url")
def test_whose_word_took_no_example_is_distrusted_too(mynah: Mynah, team: Engine) -> None:
    """It is no voice any more on what others taught, until it is trusted again."""
    assert mynah("distrust", "U0WRONG")[:2] == (
        0,
        "what U0WRONG taught no longer counts: 0 examples\n"
        "U0WRONG taught and rated nothing so far; who did, with their examples: nobody yet\n",
    )
    with reading(team) as session:
        assert examples.distrusted_at(session, TEAM, "U0WRONG") is not None
    assert mynah("trust", "U0WRONG")[1].startswith("what U0WRONG taught counts again: 0 examples\n")
    with reading(team) as session:
        assert examples.distrusted_at(session, TEAM, "U0WRONG") is None


@pytest.mark.usefixtures("url")
def test_who_can_be_nobody_is_not_distrusted(mynah: Mynah, team: Engine) -> None:
    """A name is no user id: the line says whose word there is. A typing error in an id is told."""
    memory = Memory(team, LexicalEmbedder())
    for user, port in (("U0STAFF2", 80), ("U0STAFF", 81), ("U0STAFF", 82)):
        teach(team, memory, f"Which port has the lamp {port}?", f"Port {port}.", user=user)
    with transaction(team) as session:
        feedback.record(
            session, team_id=TEAM, channel="C0HELP", target_ts="1.000001", user="U0RATES",
            kind=FeedbackKind.REJECT,
        )  # fmt: skip
    who = "who did, with their examples: U0STAFF (2), U0STAFF2 (1), U0RATES (0)"
    for command in ("distrust", "trust"):
        line = f"mynah: 'alice' is no Slack user id (U… or W…), and taught nothing; {who}\n"
        assert mynah(command, "alice") == (2, "", line)
    with reading(team) as session:
        assert examples.distrusted_at(session, TEAM, "alice") is None
    noted = f"U0STAF taught and rated nothing so far; {who}"
    assert mynah("distrust", "U0STAF")[1].splitlines()[1:] == [noted]
    assert json.loads(mynah("distrust", "U0STAF", "--json")[1])["notes"] == [noted]
    assert mynah("distrust", "U0RATES")[1].splitlines()[1:] == []
    assert mynah("distrust", "U0STAFF")[1] == "what U0STAFF taught no longer counts: 2 examples\n"


def put_in_question(engine: Engine) -> None:
    """Compare what has begun to count, and ask staff, as the bot does."""
    found = conflicts.compare(engine, TEAM, LexicalEmbedder())
    assert found is not None
    with transaction(engine) as session:
        new = conflicts.note(session, TEAM, found)
        conflict_cards.tell(session, TEAM, new, "C0OPS", {})


def asking(engine: Engine) -> list[bool]:
    """Of each version of a card, whether it asks."""
    with reading(engine) as session:
        rows = session.exec(select(OutboxMessage).order_by(col(OutboxMessage.id))).all()
    return [conflict_card.is_open(row.payload) for row in rows]


def at_work(engine: Engine, seconds: float = 60) -> None:
    """A worker says that it acts, for so long."""
    with transaction(engine) as session:
        assert leases.acquire(session, leases.WORKER, "one", seconds)


def told(engine: Engine) -> list[str]:
    """The first lines of what waits to be said in Slack."""
    with reading(engine) as session:
        rows = session.exec(select(OutboxMessage).order_by(col(OutboxMessage.id))).all()
    return [row.payload["text"].splitlines()[0] for row in rows]


def test_db_upgrade_makes_the_tables(mynah: Mynah, tmp_path: Path) -> None:
    """A new database can be used after `mynah db upgrade`, and not before."""
    url = f"sqlite:///{tmp_path / 'new.db'}"
    status, _, err = mynah("status", DATABASE_URL=url)
    assert (status, err) == (1, NOT_READY)
    assert mynah("db", "upgrade")[0] == 0
    none_yet = "mynah: there is no workspace yet: start `mynah bot` once, it asks Slack which one\n"
    assert mynah("status")[2] == none_yet


BOT = {
    "MYNAH_VLLM_API_KEY": KEY,
    "MYNAH_EMBEDDER": "none",
    "SLACK_BOT_TOKEN": "xoxb-1",
    "SLACK_APP_TOKEN": "xapp-1",
}
WORKER = {"MYNAH_VLLM_API_KEY": KEY, "MYNAH_CONTROL_KEY": KEY, "MYNAH_BASE_MODEL": "BASE"}
NO_BASE = WORKER | {"MYNAH_BASE_MODEL": "/no/model"}
NOBODY = "postgresql://mynah:s3cret-pass@127.0.0.1:1/mynah"


@pytest.mark.parametrize(
    ("words", "settings", "status", "line"),
    [
        ("bot", {}, 2, "MYNAH_VLLM_API_KEY is not set; SLACK_BOT_TOKEN is not set"),
        ("bot", BOT | {"SLACK_BOT_TOKEN": "nonsense"}, 2, "SLACK_BOT_TOKEN: must be a bot token"),
        (
            "bot",
            BOT | {"SLACK_APP_TOKEN": ""},
            2,
            "SLACK_APP_TOKEN: set this (Socket Mode) or SLACK_",
        ),
        ("bot", BOT | {"SLACK_SIGNING_SECRET": KEY}, 2, "SLACK_SIGNING_SECRET (HTTP), not both"),
        ("bot", BOT | {"MYNAH_PORT": "99999"}, 2, "MYNAH_PORT"),
        ("bot", BOT | {"DATABASE_URL": "mysql://x"}, 2, "DATABASE_URL is not a SQLite or"),
        ("bot", BOT | {"DATABASE_URL": NOBODY}, 1, "DATABASE_URL: the database cannot be used"),
        ("bot", BOT | {"MYNAH_DATA_DIR": "/proc/no"}, 2, "DATABASE_URL: cannot make the directory"),
        ("bot", BOT | {"SLACK_API_URL": "http://127.0.0.1:1/"}, 2, "Slack cannot be reached"),
        ("worker", {}, 2, "MYNAH_VLLM_API_KEY is not set; MYNAH_CONTROL_KEY is not set"),
        ("worker", WORKER | {"MYNAH_TRAIN_CRON": "often"}, 2, "MYNAH_TRAIN_CRON: must be a five"),
        ("worker", WORKER | {"MYNAH_TIMEZONE": "Mars/Base"}, 2, "MYNAH_TIMEZONE: must be a time"),
        ("worker", WORKER | {"MYNAH_CONTROL_KEY": "short"}, 2, "MYNAH_CONTROL_KEY: must be a"),
        (
            "worker",
            NO_BASE,
            2,
            "there is no directory /no/model",
        ),
        ("worker", WORKER | {"MYNAH_HOST": "192.0.2.1"}, 2, "cannot listen on 192.0.2.1:3001"),
        ("serve", {}, 2, "MYNAH_VLLM_API_KEY is not set; MYNAH_CONTROL_KEY is not set"),
        ("serve", NO_BASE, 1, "there is no directory /no/model"),
        ("rollback v9", {"DATABASE_URL": "TEAM"}, 1, "there is no release v9"),
        ("rollback last", {"DATABASE_URL": "TEAM"}, 2, "'last' is no release; they are called v1"),
        ("status --team T9", {"DATABASE_URL": "TEAM"}, 2, "no workspace T9, only: T0MYNAH"),
    ],
)
def test_what_a_person_can_mend_is_one_line(
    mynah: Mynah,
    team: Engine,
    sqlite_url: str,
    fake_base: Path,
    words: str,
    settings: dict[str, str],
    status: int,
    line: str,
) -> None:
    """A wrong setting, name or address: one line on stderr, no traceback, no secret."""
    replaced = {"TEAM": sqlite_url, "BASE": str(fake_base)}
    given = {name: replaced.get(value, value) for name, value in settings.items()}
    ended, out, err = mynah(*words.split(), **given)
    assert line in err.splitlines()[-1]  # above it there may be lines of the log
    assert ended == status
    assert "Traceback" not in err
    assert out == ""
    assert "s3cret-pass" not in err
    assert KEY not in err


@pytest.fixture
def fake_base(tmp_path: Path) -> Path:
    from tests.lora_files import make_base

    return make_base(tmp_path / "base-model")


def test_a_taken_sandbox_port_is_one_line(mynah: Mynah) -> None:
    """The sandbox says which port is taken, where, by whom, and how to choose another."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, _, err = mynah("sandbox", MYNAH_PORT=str(port))
    assert status == 2
    assert f"127.0.0.1:{port} is taken by pid {os.getpid()} (" in err
    assert "MYNAH_PORT or --port" in err
    assert len(err.strip().splitlines()) == 1


def test_a_sandbox_for_others_is_refused(mynah: Mynah) -> None:
    """There are no passwords in it: one line says so, and nothing was made."""
    status, out, err = mynah("sandbox", "--host", "0.0.0.0")
    assert (status, out) == (2, "")
    assert err.startswith("mynah: 0.0.0.0 may be reached from elsewhere")
    assert len(err.splitlines()) == 1
    assert not Path(".mynah").exists()


def test_a_foreign_file_in_place_of_the_sandboxs_is_one_line(mynah: Mynah, tmp_path: Path) -> None:
    """It is named, and left as it is."""
    (tmp_path / "sandbox.db").write_text("my notes " * 99)
    status, _, err = mynah("sandbox", MYNAH_DATA_DIR=str(tmp_path), MYNAH_PORT=str(free_port()))
    assert status == 1
    assert str(tmp_path / "sandbox.db") in err
    assert "--reset" in err
    assert len(err.splitlines()) == 1
    assert (tmp_path / "sandbox.db").read_text() == "my notes " * 99


def test_a_second_play_says_so_before_anything_starts(tmp_path: Path) -> None:
    """Every port that is taken is named with who has it, within a second, and nothing is made."""
    with ExitStack() as held:
        for port in (3100, 3001):
            with suppress(OSError):  # it may be somebody else's
                held.enter_context(socket.create_server(("127.0.0.1", port)))
        words = [sys.executable, "-m", "deploy", "play", "--home", str(tmp_path / "play")]
        ended = subprocess.run(words, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 1
    assert re.search(r"3100 by (pid \d+ \(|a process)", ended.stderr)
    assert re.search(r"3001 by (pid \d+ \(|a process)", ended.stderr)
    assert "open http://127.0.0.1:3100/" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert not (tmp_path / "play").exists()


@pytest.mark.parametrize("words", ["", "flap", "status --flap", "sandbox --port x"])
def test_wrong_words_are_bad_input(mynah: Mynah, words: str) -> None:
    """An unknown command or option shows how it is used, and exits with 2."""
    status, out, err = mynah(*words.split())
    assert status == 2
    assert "Usage:" in out + err
    assert "Traceback" not in err


def test_every_command_has_help(mynah: Mynah) -> None:
    """`--help` works everywhere and needs no settings."""
    listed = mynah("--help")[1]
    for command in COMMANDS:
        status, out, _ = mynah(*command.split(), "--help")
        assert status == 0
        assert "Usage:" in out
        assert command.split()[0] in listed


COMMANDS = (
    "serve", "bot", "worker", "sandbox", "train", "status", "releases", "rollback", "promote",
    "discard", "pause", "resume", "db upgrade", "demo", "play", "import", "report", "trace",
    "bisect", "pin", "pins", "unpin", "distrust", "trust", "revoke", "restore", "backup",
    "recover",
)  # fmt: skip


def test_help_imports_nothing_heavy() -> None:
    """`mynah --help` is quick because it loads neither SQL nor Bolt nor torch."""
    script = (
        "import sys; from deploy.cli import app; "
        "print(sorted({'sqlmodel', 'slack_bolt', 'torch', 'numpy', 'pydantic'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_a_worker_upgrades_sqlite_and_stops_on_sigterm(tmp_path: Path, fake_base: Path) -> None:
    """`mynah worker` needs no preparation on SQLite, tells that it is ready, and ends with 0."""
    port = free_port()
    env = os.environ | WORKER | {
        "MYNAH_DATA_DIR": str(tmp_path),
        "MYNAH_BASE_MODEL": str(fake_base),
        "MYNAH_PORT": str(port),
    }  # fmt: skip
    process = subprocess.Popen([sys.executable, "-m", "deploy", "worker"], env=env, stderr=-1)
    try:
        _until_ready(f"http://127.0.0.1:{port}/readyz")
        with opened(f"sqlite:///{tmp_path / 'mynah.db'}") as engine, reading(engine) as session:
            assert leases.is_held(session, leases.WORKER)  # what `mynah status` looks at
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0
    assert b"Traceback" not in err


def test_on_postgresql_the_operator_upgrades(mynah: Mynah, pg_empty_url: str) -> None:
    """On PostgreSQL `mynah bot` changes no tables by itself; it says what to run."""
    status, _, err = mynah("bot", **BOT, DATABASE_URL=pg_empty_url)
    assert status == 1
    assert err == NOT_READY
    assert mynah("db", "upgrade")[0] == 0


def _until_ready(url: str) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            reply: Any = httpx.get(url, trust_env=False)
            if reply.is_success and reply.json()["active"]:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"{url} did not get ready")
