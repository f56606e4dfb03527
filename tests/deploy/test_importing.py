"""`mynah import`: what it says, what it stores, and one clear line for what cannot be imported."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete, update
from sqlmodel import col, select

from bot.embedder import LexicalEmbedder
from bot.memory import Memory
from bot.mrkdwn import approver
from bot.store.database import reading, transaction
from bot.store.schema import Audit, Conflict, Example, ExampleStatus, OutboxMessage
from deploy.importing import Progress
from tests.bot.importing.exports import ANSWER, QUESTION, answered, written
from tests.bot.taught import teach

Mynah = Callable[..., tuple[int, str, str]]
CSV = """\
question,answer
Which port does it use?,"Port 7411.
Ask jane@example.com."
hello,Port 7411.
Who pays?,The house.
Who pays?,The guest.
"""


@pytest.fixture
def settled(
    mynah: Mynah, url: str, team: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A workspace with an admin and staff, and the folder of the files to import."""
    del mynah, url, team
    monkeypatch.setenv("MYNAH_EMBEDDER", "none")
    monkeypatch.setenv("MYNAH_ADMINS", "S0ADMINS,U0ADMIN")
    monkeypatch.setenv("MYNAH_STAFF", "U0STAFF,S0TEAM")
    return tmp_path


def stored(engine: Engine) -> list[Example]:
    with reading(engine) as session:
        return list(session.exec(select(Example).order_by(col(Example.id))))


def said(engine: Engine) -> list[OutboxMessage]:
    """What waits to be said in Slack."""
    with reading(engine) as session:
        return list(session.exec(select(OutboxMessage)))


def test_a_dry_run_shows_everything_and_stores_nothing(
    mynah: Mynah, settled: Path, engine: Engine
) -> None:
    """What would be learned, refused with reasons, and overruled; without personal data."""
    (settled / "faq.csv").write_text(CSV)
    status, out, err = mynah("import", "faq.csv", "--dry-run")
    assert (status, err) == (0, "")
    assert out == (
        "CSV: 4 answers read, imported by U0ADMIN (a dry run: nothing was stored)\n"
        "would learn   2\n"
        "  faq.csv, row 2 (line 2): Which port does it use? → Port 7411. Ask [email].\n"
        "  faq.csv, row 5 (line 6): Who pays? → The guest.\n"
        "… redacted    1\n"
        "  1 × [email] (the house's own stay where MYNAH_KEEP_CONTACTS names them)\n"
        "  faq.csv, row 2 (line 2): Port 7411. Ask [email].\n"
        "would retire  0\n"
        "refused       1\n"
        "  1 × the question is only a greeting, thanks or a yes or no\n"
        "  faq.csv, row 3 (line 4): hello → Port 7411. "
        "[the question is only a greeting, thanks or a yes or no]\n"
        "overruled     1\n"
        "  faq.csv, row 4 (line 5): Who pays? → The house. "
        "[faq.csv, row 5 (line 6) answers the same question]\n"
        "known already 0\n"
        "contradict    0\n"
    )
    assert stored(engine) == []
    with reading(engine) as session:
        assert "import" not in set(session.exec(select(Audit.action)))


def test_an_import_says_the_same_in_json(mynah: Mynah, settled: Path, engine: Engine) -> None:
    """And once more, that all of it is known."""
    (settled / "faq.csv").write_text(CSV)
    found = json.loads(mynah("import", "faq.csv", "--by", "U0BOSS", "--json")[1])
    assert found["counts"] == {
        "learned": 2, "refused": 1, "overruled": 1, "known": 0, "retired": 0, "conflicts": 0,
        "redacted": 1,
    }  # fmt: skip
    assert (found["kind"], found["by"], found["dry_run"]) == ("CSV", "U0BOSS", False)
    assert {one.approved_by for one in stored(engine)} == {"import by U0BOSS"}
    assert [one.embedder for one in stored(engine)] == ["lexical-1", None, "lexical-1"]
    again = json.loads(mynah("import", "faq.csv", "--json")[1])
    assert again["counts"]["known"] == 3
    assert len(stored(engine)) == 3


def test_what_will_be_retired_is_shown(mynah: Mynah, settled: Path, engine: Engine) -> None:
    """With what takes its place, before and afterwards."""
    (settled / "faq.md").write_text("# Who pays?\nThe house.\n")
    mynah("import", "faq.md")
    (settled / "faq.md").write_text("# Who pays?\nThe guest.\n")
    shown = "  example:1: Who pays? → The house. [faq.md, line 1 answers the same question]\n"
    assert f"would retire  1\n{shown}" in mynah("import", "faq.md", "--dry-run")[1]
    assert f"retired       1\n{shown}" in mynah("import", "faq.md")[1]
    assert [one.status for one in stored(engine)] == [ExampleStatus.RETIRED, ExampleStatus.LIVE]


CONFLICT = """\
question,answer
How many chairs does the hall have?,Fifty chairs.
"please tell me, how many chairs does the hall have?",Sixty chairs.
"""
SHOWN = """\
contradict    1
  faq.csv, row 3 (line 3): please tell me, how many chairs does the ha… → Sixty chairs.
    takes the place of faq.csv, row 2 (line 2): How many chairs does the hall have? → Fifty chairs.
"""


def test_rows_that_contradict_each_other_are_shown_and_put_up_for_review(
    mynah: Mynah, settled: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is stored, and afterwards: the later row counts, and staff get a card."""
    monkeypatch.setenv("MYNAH_REVIEW_CHANNEL", "C0REVIEW")
    (settled / "faq.csv").write_text(CONFLICT)
    assert mynah("import", "faq.csv", "--dry-run")[1].endswith(SHOWN)
    assert (stored(engine), said(engine)) == ([], [])
    assert mynah("import", "faq.csv")[1].endswith(SHOWN)
    assert [one.status for one in stored(engine)] == [ExampleStatus.RETIRED, ExampleStatus.LIVE]
    [card] = said(engine)
    assert card.channel == "C0REVIEW"
    assert all(number in str(card.payload) for number in ("Fifty", "Sixty"))
    assert mynah("import", "faq.csv")[1].endswith("contradict    0\n")
    assert len(said(engine)) == 1


def test_what_contradicts_what_is_there_is_shown(
    mynah: Mynah, settled: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever way it came; in JSON, too."""
    monkeypatch.setenv("MYNAH_ADMIN_CHANNEL", "C0ADMIN")
    teach(engine, Memory(engine, LexicalEmbedder()), "How many chairs does the hall have?", "50.")
    row = {"question": "Hello, how many chairs does the hall have?", "answer": "60."}
    (settled / "faq.jsonl").write_text(json.dumps(row))
    foreseen = json.loads(mynah("import", "faq.jsonl", "--dry-run", "--json")[1])
    found = json.loads(mynah("import", "faq.jsonl", "--json")[1])
    [one] = found["answers"]["conflicts"]
    assert foreseen["answers"]["conflicts"] == [one]
    assert one == {
        "newer": row | {"place": "faq.jsonl, line 1"},
        "older": {
            "place": "example:1", "question": "How many chairs does the hall have?",
            "answer": "50.",
        },
        "replaced": True,
    }  # fmt: skip
    assert [one.status for one in stored(engine)] == [ExampleStatus.RETIRED, ExampleStatus.LIVE]


def test_what_is_foreseen_is_what_comes(
    mynah: Mynah, settled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where one takes another's place that took a third's, or the very same question's."""
    monkeypatch.setenv("MYNAH_REVIEW_CHANNEL", "C0REVIEW")
    asked = "how many chairs does the hall have?"
    (settled / "old.csv").write_text(f"question,answer\n{asked},Forty.\n")
    mynah("import", "old.csv")
    rows = [f"{asked},Fifty.", f"hello {asked},Sixty.", f"please {asked},Seventy."]
    (settled / "new.csv").write_text("\n".join(["question,answer", *rows]))
    foreseen, found = (
        json.loads(mynah("import", "new.csv", "--json", *words)[1])["answers"]["conflicts"]
        for words in (["--dry-run"], [])
    )
    assert foreseen == found
    places = [(one["newer"]["place"], one["older"]["place"]) for one in found]
    assert places == [
        ("new.csv, row 3 (line 3)", "new.csv, row 2 (line 2)"),
        ("new.csv, row 4 (line 4)", "new.csv, row 3 (line 3)"),
    ]


def test_where_nobody_can_be_told_nothing_is_replaced(
    mynah: Mynah, settled: Path, engine: Engine
) -> None:
    """Both count, and who imports is told that nobody is asked."""
    (settled / "faq.csv").write_text(CONFLICT)
    for words in (["--dry-run"], []):
        out = mynah("import", "faq.csv", *words)[1]
        assert "    counts beside faq.csv, row 2 (line 2): " in out
        assert "nobody is told of what contradicts itself: MYNAH_REVIEW_CHANNEL names" in out
    assert {one.status for one in stored(engine)} == {ExampleStatus.LIVE}


def test_an_import_that_was_stopped_is_compared_by_the_next(
    mynah: Mynah, settled: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if nothing is new in it."""
    monkeypatch.setenv("MYNAH_REVIEW_CHANNEL", "C0REVIEW")
    (settled / "faq.csv").write_text(CONFLICT)
    mynah("import", "faq.csv")
    with transaction(engine) as session:
        session.execute(delete(Conflict))
        never = update(Example).values(compared_at=None, status=ExampleStatus.LIVE)
        session.execute(never)
    mynah("import", "faq.csv")
    assert [one.status for one in stored(engine)] == [ExampleStatus.RETIRED, ExampleStatus.LIVE]


def test_an_export_is_as_old_as_its_marks(
    mynah: Mynah, settled: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was said after them counts, though the export comes later."""
    monkeypatch.setenv("MYNAH_REVIEW_CHANNEL", "C0REVIEW")
    rows = [{"question": f"please tell me: {QUESTION}", "answer": "It has no port."}]
    (settled / "faq.jsonl").write_text(json.dumps(rows[0]))
    mynah("import", "faq.jsonl")
    written(settled / "export.zip", {"help/2023-11-14.json": answered()})
    message = "export.zip: help/2023-11-14.json, message 1700000001.000100"
    place = f"    takes the place of {message}: {QUESTION}"
    for words in (["--dry-run"], []):
        assert place in mynah("import", "export.zip", *words)[1]
    assert [one.status for one in stored(engine)] == [ExampleStatus.LIVE, ExampleStatus.RETIRED]


def test_what_a_file_replaced_comes_back_when_it_is_asked_for(
    mynah: Mynah, settled: Path, engine: Engine
) -> None:
    """Not by importing the older file by mistake."""
    for number, answer in enumerate(("The house.", "The guest."), 1):
        (settled / f"{number}.md").write_text(f"# Who pays?\n{answer}\n")
        mynah("import", f"{number}.md")
    out = mynah("import", "1.md")[1]
    assert "[example:2 took its place since; --again brings it back]" in out
    assert [one.status for one in stored(engine)] == [ExampleStatus.RETIRED, ExampleStatus.LIVE]
    mynah("import", "1.md", "--again")
    assert [one.answer for one in stored(engine) if one.status is ExampleStatus.LIVE] == [
        "The house."
    ]


def test_what_is_taken_out_is_counted_and_the_houses_own_stays(
    mynah: Mynah, settled: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By kind, and each with the words around it."""
    row = {
        "question": "Whom do I write to?",
        "answer": "Write to help@house.example, or in the night, when nobody is there, to "
        "jane@home.example or joe@home.example, and the PIN is 4711.",
    }
    (settled / "faq.jsonl").write_text(json.dumps(row))
    out = mynah("import", "faq.jsonl", "--dry-run")[1]
    assert "redacted    1\n" in out
    assert "  1 × [email] (the house's own stay where MYNAH_KEEP_CONTACTS names them)\n" in out
    monkeypatch.setenv("MYNAH_KEEP_CONTACTS", "house.example")
    found = json.loads(mynah("import", "faq.jsonl", "--json")[1])
    assert found["redacted"] == {"[email]": 1, "[secret]": 1}
    assert [one.answer for one in stored(engine)] == [
        "Write to help@house.example, or in the night, when nobody is there, to "
        "[email] or [email], and the PIN is [secret]."
    ]
    monkeypatch.setenv("MYNAH_KEEP_CONTACTS", "home.example,house.example")
    out = mynah("import", "faq.jsonl", "--dry-run")[1]
    shown = "…ple or joe@home.example, and the PIN is [secret]."
    assert f"  1 × [secret]\n  faq.jsonl, line 1: {shown}\n" in out


def test_a_long_list_is_cut_for_the_eye_and_whole_in_json(mynah: Mynah, settled: Path) -> None:
    """And it says how many more there are."""
    things = ("keyboards", "chairs", "plants", "lamps", "badges")
    lines = [f"Who orders the {thing}?,The {thing} people." for thing in things]
    (settled / "faq.csv").write_text("\n".join(["question,answer", *lines]))
    out = mynah("import", "faq.csv", "--dry-run")[1]
    assert "plants" in out
    assert "lamps" not in out
    assert "  … and 2 more: --json shows all\n" in out
    found = json.loads(mynah("import", "faq.csv", "--dry-run", "--json")[1])
    assert len(found["answers"]["learned"]) == found["counts"]["learned"] == 5


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("faq", b"# Who pays the bill?\n\nThe house.\n", "Markdown"),
        ("faq.txt", b"Q: Who pays the bill?\nA: The house.\n", "Markdown"),
        ("faq", b"\xef\xbb\xbfquestion,answer\nWho pays the bill?,The house.\n", "CSV"),
        ("faq.txt", "answer\tquestion\nThe house.\tWho pays the bill?\n".encode("utf-16"), "CSV"),
        ("faq", b'{"question": "Who pays the bill?", "answer": "The house."}', "JSON Lines"),
        ("faq.bin", None, "Slack export"),
    ],
)
def test_what_a_file_is_its_content_says(
    mynah: Mynah, settled: Path, engine: Engine, name: str, content: bytes | None, kind: str
) -> None:
    """Whatever it is called, and whether or not it begins with a byte-order mark."""
    if content is None:
        written(settled / name, {"help/2023-11-14.json": answered()})
    else:
        (settled / name).write_bytes(content)
    status, out, _ = mynah("import", name)
    assert status == 0
    assert out.startswith(f"{kind}: 1 answers read")
    expected = ANSWER if content is None else "The house."
    assert [one.answer for one in stored(engine)] == [expected]


def test_an_export_counts_what_it_passes_over(mynah: Mynah, settled: Path) -> None:
    """And says that user groups cannot be looked up."""
    written(settled / "export.zip", {"help/2023-11-14.json": answered()})
    out = mynah("import", "export.zip")[1]
    assert "an export does not tell who is in S0TEAM" in out
    assert f"message 1700000001.000100: {QUESTION} → {ANSWER}\n" in out


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("none.csv", None, "none.csv: this is no file"),
        (".", None, ".: this is a folder: give the export's zip, or one file"),
        ("a.csv", b"", "a.csv: the file is empty"),
        ("a.csv", b"question,answer\na\n", "a.csv, row 2 (line 2): 1 cells, but the header has 2"),
        (
            "a.csv",
            b"x,y\n",
            'a.csv, row 1: the header names no "question" and no "answer": it reads \'x,y\'',
        ),
        ("a.csv", b"question,answer\n", "a.csv: there is no row below the header"),
        (
            "a.md",
            b"# Q\n\xe9\n",
            "a.md, line 2: byte 0xe9 is no UTF-8: save the file as UTF-8",
        ),
        ("a.md", b"words\n", "a.md: no headings with text beneath and no lines that begin with Q:"),
        ("a.json", b"[]", "a.json, line 1: a list where an object belongs"),
        ("a.zip", b"PK\x03\x04", "a.zip: the zip is damaged: File is not a zip file"),
    ],
)
def test_what_cannot_be_imported_is_one_line(
    mynah: Mynah, settled: Path, engine: Engine, name: str, content: bytes | None, line: str
) -> None:
    """With the place; and nothing is stored."""
    if content is not None:
        (settled / name).write_bytes(content)
    assert mynah("import", name) == (2, "", f"mynah: {line}\n")
    assert stored(engine) == []


def test_a_file_that_is_too_large_is_not_read(mynah: Mynah, settled: Path) -> None:
    """Nor anything that has no end."""
    with (settled / "large.csv").open("wb") as file:
        file.truncate((64 << 20) + 1)
    assert mynah("import", "large.csv")[2].startswith("mynah: large.csv: larger than 64 MB")
    assert mynah("import", "/dev/zero")[2] == "mynah: /dev/zero: this is no file\n"


@pytest.mark.parametrize("name", ["faq.csv", "faq.jsonl", "faq.md"])
def test_an_answer_that_is_too_long_is_refused_by_itself(
    mynah: Mynah, settled: Path, engine: Engine, name: str
) -> None:
    """In each kind of file, with its question; of which nothing is kept, and the rest counts."""
    rows = [("What says jane@home.example?", "long " * 30_000), ("Who pays?", "The house.")]
    text = {
        "faq.csv": "question,answer\n" + "\n".join(",".join(row) for row in rows),
        "faq.jsonl": "\n".join(json.dumps({"question": q, "answer": a}) for q, a in rows),
        "faq.md": "\n".join(f"# {question}\n{answer}" for question, answer in rows),
    }[name]
    (settled / name).write_text(text)
    found = json.loads(mynah("import", name, "--json")[1])
    [refused] = found["answers"]["refused"]
    assert (refused["question"], refused["answer"]) == ("What says [email]?", "")
    assert refused["why"] == "the answer is longer than 12000 characters"
    assert [(one.question, one.answer) for one in stored(engine)] == [
        ("", ""), ("Who pays?", "The house."),
    ]  # fmt: skip


def test_a_file_of_too_many_answers_is_to_be_split(mynah: Mynah, settled: Path) -> None:
    """As all of it is stored at once, and others wait meanwhile."""
    (settled / "many.csv").write_text("question,answer\n" + "Who pays?,The house.\n" * 50_001)
    line = "mynah: many.csv: more than 50000 answers: import it in parts\n"
    assert mynah("import", "many.csv") == (2, "", line)


def test_somebodys_word_it_has_to_be(
    mynah: Mynah, settled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person's: a user group answers for nothing."""
    (settled / "faq.csv").write_text(CSV)
    assert mynah("import", "faq.csv", "--by", "jane") == (
        2, "", "mynah: --by: 'jane' is no Slack user id (U… or W…)\n",
    )  # fmt: skip
    monkeypatch.setenv("MYNAH_ADMINS", "S0ADMINS")
    assert mynah("import", "faq.csv")[2].startswith("mynah: whose word is it? Name a person")


def test_an_answer_by_an_import_is_shown_as_one() -> None:
    """With a mention that Slack understands."""
    assert approver("U0STAFF") == "<@U0STAFF>"
    assert approver("import by U0ADMIN") == "<@U0ADMIN> (imported)"


@pytest.mark.parametrize(
    ("terminal", "said"),
    [
        (False, "checking 5 of 9\n"),
        (True, "".join(f"\r\x1b[Kchecking {done} of 9" for done in range(1, 10))),
    ],
)
def test_progress_is_shown_in_place_or_every_few_seconds(terminal: bool, said: str) -> None:
    """A log is not flooded; a terminal's line is left clean."""
    stream = io.StringIO()
    stream.isatty = lambda: terminal  # type: ignore[method-assign]
    at = 0.0
    tell = Progress(stream, lambda: at)
    for done in range(1, 10):
        at = float(done)
        tell("checking", done, 9)
    tell.end()
    assert stream.getvalue() == said + ("\r\x1b[K" if terminal else "")
