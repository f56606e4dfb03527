"""Storing an import: what is learned, refused, known or overruled, on both kinds of database."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import StatementError
from sqlmodel import col, select

from bot import conflicts, examples, feedback
from bot.embedder import LexicalEmbedder
from bot.importing import judging, storing
from bot.importing.judging import FORGOTTEN, Fate, Verdict
from bot.importing.pairs import Pair, pair
from bot.memory import Memory
from bot.store.database import reading, transaction
from bot.store.schema import (
    Audit,
    ConflictStatus,
    Example,
    ExampleSource,
    ExampleStatus,
    Feedback,
    FeedbackKind,
    Question,
    now,
)
from tests.bot.importing.exports import (
    ANSWER,
    QUESTION,
    answered,
    approved,
    read,
    said,
    ts,
    written,
)
from tests.bot.taught import TEAM, teach

LIVE, RETIRED = ExampleStatus.LIVE, ExampleStatus.RETIRED
EMBEDDER = LexicalEmbedder()


def silent(*_: Any) -> None:
    """Tells nobody."""


def bring_in(
    engine: Engine, pairs: Sequence[Pair], by: str = "U0ADMIN", *, again: bool = False
) -> list[Verdict]:
    """Import pairs as `mynah import` does; the same pairs are the same file."""
    items = judging.drafted(pairs, silent)
    sha256 = hashlib.sha256(repr(pairs).encode()).hexdigest()
    with reading(engine) as session:
        verdicts = judging.judge(session, TEAM, items, sha256=sha256, again=again)
        vectors = storing.embedded(verdicts, EMBEDDER, silent)
    with transaction(engine) as session:
        return storing.store(
            session, TEAM, items, by=by, origin={"file": "f", "sha256": sha256}, vectors=vectors,
            embedder=EMBEDDER.name, again=again,
        )  # fmt: skip


def fates(verdicts: Sequence[Verdict]) -> list[str]:
    return [str(one.fate) for one in verdicts]


def rows(engine: Engine) -> list[Example]:
    with reading(engine) as session:
        return list(session.exec(select(Example).order_by(col(Example.id))))


def standing(engine: Engine) -> list[tuple[str, ExampleStatus]]:
    """Every example's answer, with its status."""
    return [(one.answer, one.status) for one in rows(engine)]


def exported(path: Path, messages: Any = None) -> Sequence[Pair]:
    """What an export of one day in #help holds."""
    return read(written(path / "e.zip", {"help/1.json": [], "help/2023-11-14.json": messages or
                                         answered()})).pairs  # fmt: skip


def test_a_pair_becomes_a_live_example(store: Engine) -> None:
    """Redacted, embedded, with whose word it is; memory finds it at once."""
    memory = Memory(store, EMBEDDER)
    assert memory.search(TEAM, "C0HELP", QUESTION) is None
    [verdict] = bring_in(store, [pair("f, row 2", QUESTION, f"{ANSWER} Ask jane@example.com.")])
    [example] = rows(store)
    assert verdict.fate is Fate.LEARNED
    assert example.answer == f"{ANSWER} Ask [email]."
    assert (example.status, example.feedback_id) == (LIVE, None)
    assert example.approved_by == "import by U0ADMIN"
    assert example.embedder == EMBEDDER.name
    assert example.embedding == memory.embed_bytes(QUESTION)
    match = memory.search(TEAM, "C0HELP", QUESTION)
    assert match is not None
    assert match.example_id == example.id


def test_what_is_done_is_in_the_audit_table(store: Engine) -> None:
    """Each example, and the import with its file and counts."""
    bring_in(store, [pair("1", QUESTION, ANSWER), pair("2", "hello", ANSWER)])
    with reading(store) as session:
        found = list(session.exec(select(Audit).order_by(col(Audit.id))))
    assert {one.actor for one in found} == {"import by U0ADMIN"}
    assert [one.action for one in found] == ["example.live", "example.refused", "import"]
    assert found[-1].detail["file"] == "f"
    assert (found[-1].detail["learned"], found[-1].detail["refused"]) == (1, 1)


def test_the_same_again_adds_nothing(store: Engine) -> None:
    """Not an example, not a line in the audit table: also of what was refused."""
    pairs = [
        pair("1", QUESTION, ANSWER),
        pair("2", "hello", ANSWER),
        pair("3", "How long a text?", "x" * 20_000),
        pair("4", "How long a text is it?", "x" * 20_000),
    ]
    assert fates(bring_in(store, pairs)) == ["learned", "refused", "refused", "refused"]
    assert fates(bring_in(store, pairs)) == ["known"] * 4
    assert len(rows(store)) == 4
    with reading(store) as session:
        counts = Counter(session.exec(select(Audit.action)))
    assert counts["import"] == 1


def test_one_answer_twice_in_a_file_is_one(store: Engine) -> None:
    """And it is said which row has it already."""
    verdicts = bring_in(store, [pair("row 2", QUESTION, ANSWER), pair("row 9", QUESTION, ANSWER)])
    assert fates(verdicts) == ["learned", "known"]
    assert verdicts[1].why == "the same as row 2"


def test_a_changed_answer_retires_the_older_one(store: Engine) -> None:
    """As a newer word of staff does."""
    bring_in(store, [pair("1", QUESTION, "7411.")])
    [verdict] = bring_in(store, [pair("1", QUESTION.upper(), "7412.")])
    assert verdict.retires == (rows(store)[0].id,)
    assert standing(store) == [("7411.", RETIRED), ("7412.", LIVE)]


def test_an_older_file_again_brings_nothing_back_by_itself(store: Engine) -> None:
    """What a newer file replaced stays so, until it is asked for or the older one is changed."""
    old = [pair("1", QUESTION, "7411.")]
    bring_in(store, old)
    bring_in(store, [pair("1", QUESTION, "7412.")])
    [verdict] = bring_in(store, old)
    assert verdict.fate is Fate.OVERRULED
    assert (
        verdict.why == f"example:{rows(store)[1].id} took its place since; --again brings it back"
    )
    assert standing(store) == [("7411.", RETIRED), ("7412.", LIVE)]
    assert fates(bring_in(store, old, again=True)) == ["learned"]
    assert standing(store) == [("7411.", RETIRED), ("7412.", RETIRED), ("7411.", LIVE)]


def test_a_changed_file_may_say_again_what_was_replaced(store: Engine) -> None:
    """Somebody has put it there anew: it is the newer word."""
    bring_in(store, [pair("1", QUESTION, "7411.")])
    bring_in(store, [pair("1", QUESTION, "7412.")])
    more = pair("2", "Who orders keyboards?", "The house.")
    assert fates(bring_in(store, [pair("1", QUESTION, "7411."), more])) == ["learned", "learned"]
    assert standing(store)[:3] == [("7411.", RETIRED), ("7412.", RETIRED), ("7411.", LIVE)]


def test_an_old_file_does_not_undo_what_staff_said_since(store: Engine) -> None:
    """A FAQ is imported again when rows are added; what was corrected in Slack meanwhile stays."""
    bring_in(store, [pair("1", QUESTION, "7411.")])
    teach(store, Memory(store, EMBEDDER), QUESTION, "7412.")
    for again in (False, True):
        [verdict] = bring_in(store, [pair("1", QUESTION, "7411.")], again=again)
        assert verdict.why == f"example:{rows(store)[1].id} took its place since"
    assert standing(store) == [("7411.", RETIRED), ("7412.", LIVE)]


NEARLY = f"please tell me: {QUESTION}"


def compare(engine: Engine) -> None:
    """Find what contradicts itself, as after each import and lesson."""
    while found := conflicts.compare(engine, TEAM, EMBEDDER):
        with transaction(engine) as session:
            conflicts.note(session, TEAM, found)


def test_what_a_file_itself_replaced_does_not_come_back_as_it_grows(store: Engine) -> None:
    """Of two rows that answer nearly one question the later counts, also when others are added."""
    rows_of_file = [pair("1", QUESTION, "7411."), pair("2", NEARLY, "7412.")]
    bring_in(store, rows_of_file)
    compare(store)
    assert standing(store) == [("7411.", RETIRED), ("7412.", LIVE)]
    more = pair("3", "Who orders keyboards?", "The house.")
    assert fates(bring_in(store, [*rows_of_file, more])) == ["overruled", "known", "learned"]


def test_what_staff_said_in_other_words_is_not_undone_by_a_file_that_grew(store: Engine) -> None:
    """They answered nearly the same question since, in Slack."""
    bring_in(store, [pair("1", QUESTION, "7411.")])
    teach(store, Memory(store, EMBEDDER), NEARLY, "7412.")
    compare(store)
    more = pair("2", "Who orders keyboards?", "The house.")
    changed = [pair("1", QUESTION, "7411."), more]
    assert fates(bring_in(store, changed)) == ["overruled", "learned"]


def test_staff_have_the_last_word_on_what_contradicts_itself(store: Engine) -> None:
    """The answer that they put aside does not come back by a file that has it still."""
    bring_in(store, [pair("1", QUESTION, "7411.")])
    bring_in(store, [pair("1", NEARLY, "7412.")])
    compare(store)
    with transaction(store) as session:
        [one] = conflicts.of_newer(session, rows(store)[1].id or 0)
        conflicts.decide(session, one, ConflictStatus.OLDER, "U0STAFF")
    assert standing(store) == [("7411.", LIVE), ("7412.", RETIRED)]
    changed = [pair("1", NEARLY, "7412."), pair("2", "Who orders keyboards?", "The house.")]
    assert fates(bring_in(store, changed, again=True)) == ["overruled", "learned"]


def test_of_two_answers_in_a_file_the_later_counts(store: Engine) -> None:
    """However often it is imported."""
    pairs = [pair("row 2", QUESTION, "7411."), pair("row 3", QUESTION, "7412.")]
    verdicts = bring_in(store, pairs)
    assert fates(verdicts) == ["overruled", "learned"]
    assert verdicts[0].why == "row 3 answers the same question"
    assert fates(bring_in(store, pairs)) == ["overruled", "known"]
    assert standing(store) == [("7412.", LIVE)]


def test_a_channels_answer_leaves_the_workspaces_alone(store: Engine) -> None:
    """One question may have another answer in one channel."""
    bring_in(store, [pair("1", QUESTION, "7411."), pair("2", QUESTION, "7412.", scope="C0PRIV")])
    assert standing(store) == [("7411.", LIVE), ("7412.", LIVE)]
    assert [one.scope for one in rows(store)] == [None, "C0PRIV"]


def test_rows_may_name_whose_word_they_are(store: Engine) -> None:
    """Else it is the importer's."""
    bring_in(store, [pair("1", QUESTION, ANSWER, approver="U0STAFF")])
    assert rows(store)[0].approved_by == "import by U0STAFF"


def test_other_workspaces_know_nothing_of_it(store: Engine) -> None:
    """An example of theirs is neither known nor retired."""
    teach(store, Memory(store, EMBEDDER), QUESTION, "7412.", team_id="T9OTHER")
    bring_in(store, [pair("1", QUESTION, "7411.")])
    assert standing(store) == [("7412.", LIVE), ("7411.", LIVE)]


def test_nothing_is_half_imported(store: Engine) -> None:
    """What fails at the very end, where the import itself is written down, leaves no row behind."""
    items = judging.drafted([pair("1", QUESTION, ANSWER)], silent)
    origin: dict[str, Any] = {"file": object(), "sha256": "0"}  # no JSON
    with pytest.raises((StatementError, TypeError)), transaction(store) as session:
        storing.store(
            session, TEAM, items, by="U0ADMIN", origin=origin, vectors={}, embedder="none"
        )
    assert rows(store) == []


def test_a_mark_in_an_export_is_that_persons_feedback(store: Engine, tmp_path: Path) -> None:
    """With the messages that it came from: deleting one of them in Slack forgets it."""
    bring_in(store, exported(tmp_path))
    [example] = rows(store)
    assert (example.question, example.answer) == (QUESTION, ANSWER)
    assert example.approved_by == "U0STAFF"
    with reading(store) as session:
        [given] = session.exec(select(Feedback))
        sources = sorted(session.exec(select(ExampleSource.channel, ExampleSource.ts)))
        actors = set(session.exec(select(Audit.actor)))
    assert (given.user, given.kind, given.target_ts) == ("U0STAFF", FeedbackKind.APPROVE, ts(1))
    assert example.feedback_id == given.id
    assert sources == [("C0HELP", ts(0)), ("C0HELP", ts(1))]
    assert actors == {"import by U0ADMIN"}
    with transaction(store) as session:
        assert len(examples.forget_message(session, TEAM, "C0HELP", ts(1))) == 1
    assert fates(bring_in(store, exported(tmp_path))) == ["known"]
    assert [one.question for one in rows(store)] == [""]


def test_taking_the_reaction_away_in_slack_takes_it_back(store: Engine, tmp_path: Path) -> None:
    """And an export from before does not bring it back."""
    bring_in(store, exported(tmp_path))
    with transaction(store) as session:
        taken = feedback.revoke(
            session, team_id=TEAM, channel="C0HELP", target_ts=ts(1), user="U0STAFF",
            kind=FeedbackKind.APPROVE,
        )  # fmt: skip
        assert taken is not None
    assert [one.status for one in rows(store)] == [ExampleStatus.REVOKED]
    assert fates(bring_in(store, exported(tmp_path))) == ["known"]


def test_what_was_learned_live_is_not_doubled(store: Engine, tmp_path: Path) -> None:
    """Nor is what was imported when the person reacts again, which Slack tells the bot of."""
    live: dict[str, Any] = {
        "team_id": TEAM, "channel": "C0HELP", "target_ts": ts(1), "user": "U0STAFF",
        "kind": FeedbackKind.APPROVE,
    }  # fmt: skip
    with transaction(store) as session:
        given, _ = feedback.record(session, **live)
        examples.add(
            session, examples.draft(QUESTION, ANSWER), team_id=TEAM, feedback_id=given.id or 0,
            approved_by="U0STAFF", sources=[("C0HELP", ts(0)), ("C0HELP", ts(1))],
        )  # fmt: skip
    assert fates(bring_in(store, exported(tmp_path))) == ["known"]
    with transaction(store) as session:
        assert feedback.record(session, **live)[1] is False


def test_what_was_deleted_in_slack_stays_forgotten(store: Engine, tmp_path: Path) -> None:
    """A question that its asker deleted is in older exports still."""
    with transaction(store) as session:
        asked = Question(team_id=TEAM, channel="C0HELP", thread_ts=ts(0), ts=ts(0), user="U0ASKER")
        asked.deleted_at = now()
        session.add(asked)
    [verdict] = bring_in(store, exported(tmp_path))
    assert (verdict.fate, verdict.why) == (Fate.FORGOTTEN, FORGOTTEN)
    assert rows(store) == []


def test_an_old_export_does_not_overrule_a_newer_word(store: Engine, tmp_path: Path) -> None:
    """What counts is when it was said, not when it was imported; a newer export overrules."""
    teach(store, Memory(store, EMBEDDER), QUESTION, "Between the two.")  # at 1700000000.…
    old = [
        said(-9, "U0ASKER", QUESTION, thread=-9),
        said(-8, "U0HELPER", "Long ago.", thread=-9, **approved("U0STAFF")),
    ]
    assert fates(bring_in(store, exported(tmp_path, old))) == ["overruled"]
    new = [
        said(900, "U0ASKER", QUESTION, thread=900),
        said(901, "U0HELPER", "Of late.", thread=900, **approved("U0STAFF")),
    ]
    assert fates(bring_in(store, exported(tmp_path, [*old, *new]))) == ["overruled", "learned"]
    assert standing(store) == [("Between the two.", RETIRED), ("Of late.", LIVE)]


def test_two_of_the_staff_teach_as_they_do_in_slack(store: Engine, tmp_path: Path) -> None:
    """Each has an example, so that one of them can take the word back."""
    [one] = exported(tmp_path)
    assert one.mark is not None
    other = type(one)(**{**vars(one), "mark": type(one.mark)(**{**vars(one.mark), "user": "U0X"})})
    assert fates(bring_in(store, [one, other])) == ["learned", "learned"]
    assert fates(bring_in(store, [one, other])) == ["known", "known"]
