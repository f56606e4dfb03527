"""One example by its number: `mynah trace` shows all of it, `revoke` takes it out, `restore` undoes
that; what was imported has no message to delete."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import col, select

from bot import examples, feedback, releases
from bot.embedder import LexicalEmbedder
from bot.memory import Memory
from bot.store.database import reading, transaction
from bot.store.schema import AnswerMode, Example, FeedbackKind, OutboxMessage
from tests.bot.taught import teach
from tests.deploy.learned import answered, trained
from tests.stores import TEAM

Mynah = Callable[..., tuple[int, str, str]]
PORT = "Which port does the web page use?"
FAQ = f"# {PORT}\nPort 7411.\n\n# Who pays for a guest of the house?\nThe guest.\n"
ADAPTER = "mynah-0123456789ab"
TAKEN = "taken back by the operator: the port has changed"
WHY = ("--why", "the port has changed")


@pytest.fixture
def imported(
    mynah: Mynah, url: str, team: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Engine:
    """Two examples from a file."""
    del url
    monkeypatch.setenv("MYNAH_EMBEDDER", "none")
    monkeypatch.setenv("MYNAH_ADMINS", "U0ADMIN")
    (tmp_path / "faq.md").write_text(FAQ)
    assert mynah("import", "faq.md")[0] == 0
    return team


def example(engine: Engine, number: int) -> Example:
    with reading(engine) as session:
        return session.get_one(Example, number)


def state(engine: Engine) -> dict[int, str]:
    """Where every example stands."""
    with reading(engine) as session:
        rows = session.exec(select(Example).order_by(col(Example.id)))
        return {one.id or 0: str(one.status) for one in rows}


def traced(mynah: Mynah, word: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(mynah("trace", word, "--json")[1])
    return found


def used(engine: Engine) -> int:
    """The first example was trained on, and an answer was quoted from it; the answer's id."""
    with transaction(engine) as session:
        one = session.get_one(Example, 1)
        release = trained(session, ADAPTER, [one])
        return answered(session, release, "port?", one.answer, AnswerMode.QUOTED, one).id or 0


def test_an_imported_example_is_traced_to_its_line(mynah: Mynah, imported: Engine) -> None:
    """How it came, what was done with it, what holds it, and which answers were made from it."""
    number = used(imported)
    found = traced(mynah, "example:1")["example"]
    assert found["imported"]["place"] == "faq.md, line 1"
    assert (found["imported"]["by"], len(found["imported"]["sha256"])) == ("U0ADMIN", 64)
    assert [(one["what"], one["by"]) for one in found["history"]] == [("live", "import by U0ADMIN")]
    assert [run["adapter"] for run in found["runs"]["first"]] == [ADAPTER]
    assert [one["answer"] for one in found["answers"]["newest"]] == [number]
    lines = mynah("trace", "example:1")[1].splitlines()
    assert lines[0] == f"example   1 “{PORT}”, by U0ADMIN, from faq.md, line 1"
    assert f"          {number} quoted “Port 7411.” to “port?”" in lines
    assert "answers   used in none" in mynah("trace", "example:2")[1].splitlines()


def test_what_was_imported_before_lines_were_noted_names_its_file(
    mynah: Mynah, imported: Engine
) -> None:
    """The file is on the record of the whole import."""
    from sqlalchemy import text

    with transaction(imported) as session:
        session.execute(text("UPDATE audit SET detail = '{}' WHERE subject LIKE 'example:%'"))
    assert traced(mynah, "example:1")["example"]["imported"]["place"] == "faq.md"


def test_an_example_from_slack_is_traced_too(mynah: Mynah, imported: Engine) -> None:
    """To its message and the rating; a file has nothing to do with it."""
    one = teach(imported, Memory(imported, LexicalEmbedder()), "Where is it?", "In the hall.")
    found = traced(mynah, f"example:{one.id}")["example"]
    assert found["imported"] is None
    assert found["feedback"]["by"] == "U0STAFF"
    assert f"from      {found['messages'][0]}" in mynah("trace", f"example:{one.id}")[1]


def test_bisect_names_the_line_to_mend(mynah: Mynah, imported: Engine) -> None:
    """An imported answer has no message: it is mended in its file, or taken out by its number."""
    number = used(imported)
    out = mynah("bisect", str(number))[1]
    assert "suspect   example 1" in out
    assert "from faq.md, line 1" in out
    assert "delete the message" not in out
    [correct, mend, revoke] = [line for line in out.splitlines() if line.startswith("to do")]
    assert "correct it in Slack" in correct
    assert "mend faq.md, line 1 and `mynah import`" in mend
    assert "`mynah revoke 1 --why " in revoke
    mynah("revoke", "1", *WHY)
    out = mynah("bisect", str(number))[1]
    assert [line for line in out.splitlines() if line.startswith("to do")] == [
        "to do     what it came from counts no more"
    ]


def test_a_mended_file_takes_the_place_of_what_it_said(
    mynah: Mynah, imported: Engine, tmp_path: Path
) -> None:
    """As `bisect` says: imported again, the new answer to the same question counts."""
    (tmp_path / "faq.md").write_text(FAQ.replace("7411", "9000"))
    assert mynah("import", "faq.md")[0] == 0
    assert state(imported) == {1: "retired", 2: "live", 3: "live"}
    assert traced(mynah, "example:3")["example"]["imported"]["place"] == "faq.md, line 1"


def test_one_example_is_taken_out_and_given_back(mynah: Mynah, imported: Engine) -> None:
    """Its file does not bring it back, the reason is kept, and both are said to the admins."""
    used(imported)
    taken = mynah("revoke", "1", *WHY, MYNAH_ADMIN_CHANNEL="C0ADMIN")
    assert taken[:2] == (
        0,
        "example 1 counts no more: `mynah restore 1` undoes it\n"
        f"until the next run or a rollback these have learned it: {ADAPTER}\n",
    )
    assert state(imported) == {1: "revoked", 2: "live"}
    assert f"[revoked: {TAKEN}]" in mynah("trace", "example:1")[1].splitlines()[0]
    assert "revoked by operator: the port has changed" in mynah("trace", "example:1")[1]
    assert mynah("import", "faq.md")[0] == 0
    assert state(imported) == {1: "revoked", 2: "live"}
    assert mynah("revoke", "1", *WHY) == (
        1, "", f"mynah: example 1 does not count: revoked, {TAKEN}\n"
    )  # fmt: skip
    assert mynah("restore", "example:1") == (0, "example 1 counts again\n", "")
    assert state(imported) == {1: "live", 2: "live"}
    assert "restored by operator" in mynah("trace", "example:1")[1]
    assert mynah("restore", "1")[::2] == (
        1, "mynah: example 1 was not taken back by `mynah revoke`\n"
    )  # fmt: skip
    with reading(imported) as session:
        told = [row.payload["text"] for row in session.exec(select(OutboxMessage))]
    assert told == [
        "The operator took example 1 back: the port has changed.",
        "The operator gave example 1 back.",
    ]


def test_what_it_had_replaced_counts_again(mynah: Mynah, imported: Engine, tmp_path: Path) -> None:
    """And what says the very same is named: it still counts."""
    (tmp_path / "faq.md").write_text(FAQ.replace("7411", "9000"))
    mynah("import", "faq.md")
    assert "counts again in its place: example 1" in mynah("revoke", "3", *WHY)[1].splitlines()
    assert state(imported) == {1: "live", 2: "live", 3: "revoked"}
    assert mynah("restore", "3")[1] == "example 3 counts again\n"
    assert state(imported) == {1: "retired", 2: "live", 3: "live"}
    twin = teach(imported, Memory(imported, LexicalEmbedder()), PORT, "Port 9000.")
    said = mynah("revoke", "3", *WHY)[1].splitlines()
    assert f"says the same, and still counts: example {twin.id}" in said


def test_giving_back_overrules_nobody(mynah: Mynah, imported: Engine) -> None:
    """Not who took the approval back since, nor a newer answer, nor that somebody is distrusted."""
    memory = Memory(imported, LexicalEmbedder())
    ours = teach(imported, memory, "Where is the lamp?", "In the hall of the house.")
    mynah("revoke", str(ours.id), *WHY)
    with transaction(imported) as session:
        ts = traced(mynah, f"example:{ours.id}")["example"]["messages"][0].split(":")[1]
        feedback.revoke(
            session, team_id=TEAM, channel="C0HELP", target_ts=ts, user="U0STAFF",
            kind=FeedbackKind.APPROVE,
        )  # fmt: skip
    stays = f"example {ours.id} stays out: U0STAFF took the approval back since"
    assert mynah("restore", str(ours.id)) == (1, "", f"mynah: {stays}\n")
    mynah("revoke", "1", *WHY)
    newer = teach(imported, memory, PORT, "Port 9000.")
    line = f"example 1 does not count, retired: example:{newer.id} answers the same question\n"
    assert mynah("restore", "1")[1] == line
    mynah("revoke", "2", *WHY)
    with transaction(imported) as session:
        examples.distrust(session, TEAM, "U0ADMIN", "operator")
    assert mynah("restore", "2")[1].startswith("example 2 does not count, held: an admin took")
    mynah("trust", "U0ADMIN")
    assert example(imported, 2).status == "live"


def test_an_import_by_somebody_distrusted_says_so(
    mynah: Mynah, imported: Engine, tmp_path: Path
) -> None:
    """What was taken back stays out, though the file has it again; what is new counts, as it would
    in Slack."""
    assert "distrusted" not in mynah("import", "faq.md")[1]
    mynah("distrust", "U0ADMIN")
    (tmp_path / "more.md").write_text(f"{FAQ}\n# Where is the lamp?\nIn the hall of the house.\n")
    for words in (["--dry-run"], []):
        out = mynah("import", "more.md", *words)[1]
        assert re.search(r"^  U0ADMIN is distrusted since 20.*`mynah trust U0ADMIN`", out, re.M)
    assert state(imported) == {1: "held", 2: "held", 3: "live"}
    assert "distrusted" not in mynah("import", "more.md", "--by", "U0BOSS")[1]
    mynah("trust", "U0ADMIN")
    assert "distrusted" not in mynah("import", "more.md")[1]
    assert state(imported) == {1: "live", 2: "live", 3: "live"}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("revoke 77 --why wrong", "there is no example 77"),
        ("revoke ABC --why wrong", "'ABC' is no example: each has a number"),
        ("restore example:77", "there is no example 77"),
        ("trace example:77", "there is no example 77"),
        ("trace example:x", "'example:x' is no example"),
    ],
)
def test_what_is_no_example_is_one_line(
    mynah: Mynah, imported: Engine, words: str, line: str
) -> None:
    """And nothing is changed."""
    status, out, err = mynah(*words.split())
    assert (status, out) == (2, "")
    assert err.startswith(f"mynah: {line}")
    assert len(err.splitlines()) == 1
    assert state(imported) == {1: "live", 2: "live"}


def test_a_reason_has_to_be_given(mynah: Mynah, imported: Engine) -> None:
    """Whoever traces the example later wants to know it."""
    assert mynah("revoke", "1", "--why", " ")[2].startswith("mynah: --why: say why")
    assert mynah("revoke", "1")[0] == 2
    assert state(imported) == {1: "live", 2: "live"}


@pytest.mark.usefixtures("imported")
def test_another_workspaces_example_is_unknown(mynah: Mynah, team: Engine) -> None:
    """It is neither traced nor taken out."""
    with transaction(team) as session:
        releases.ensure_team(session, "T0OTHER")
    for words in (["trace", "example:1"], ["revoke", "1", *WHY], ["restore", "1"]):
        assert mynah(*words, "--team", "T0OTHER")[2] == "mynah: there is no example 1\n"
    assert state(team) == {1: "live", 2: "live"}
