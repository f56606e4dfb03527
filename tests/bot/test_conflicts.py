"""Conflicts: of two answers to nearly the same question the newer counts, and staff can undo it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlmodel import col, select

from bot import conflicts, examples, feedback
from bot.embedder import LexicalEmbedder
from bot.memory import Memory
from bot.store.database import reading, transaction
from bot.store.schema import Conflict, ConflictStatus, Example, ExampleStatus, Feedback
from tests.bot.taught import TEAM, teach
from tests.stores import opened

PORT = "Which port does the web page use?"
PORT_TOO = "Hello, can you tell me please: which port does the web page use?"
PAGE_PORT = "Which port does the web page of the console use?"
WORDS = LexicalEmbedder()


def compare(engine: Engine, team_id: str = TEAM) -> set[int]:
    """Compare all that is due, as the bot does after each lesson."""
    new: set[int] = set()
    while found := conflicts.compare(engine, team_id, WORDS):
        with transaction(engine) as session:
            new |= conflicts.note(session, team_id, found)
    with transaction(engine) as session:
        conflicts.drop_settled(session, team_id)
    return new


def taught(engine: Engine, question: str, answer: str, **how: str) -> Example:
    """Approve an answer, and compare it."""
    example = teach(engine, Memory(engine, WORDS), question, answer, **how)  # type: ignore[arg-type]
    compare(engine)
    return example


def take_back(engine: Engine, example: Example) -> None:
    """Take an approval back, and compare what counts again."""
    with transaction(engine) as session:
        given = session.get_one(Feedback, example.feedback_id)
        feedback.withdraw(session, given, given.user, "taken back")
    compare(engine)


def states(engine: Engine) -> dict[str, str]:
    """The status of each answer."""
    with reading(engine) as session:
        return {one.answer: one.status.value for one in session.exec(select(Example))}


def found(engine: Engine) -> list[tuple[int, int, ConflictStatus]]:
    """The conflicts: newer, older, and what is done about it."""
    with reading(engine) as session:
        rows = session.exec(select(Conflict).order_by(col(Conflict.id)))
        return [(one.newer_id, one.older_id, one.status) for one in rows]


def decide(engine: Engine, newer: Example, verdict: ConflictStatus) -> None:
    """Settle all conflicts of an example, as a press does."""
    with transaction(engine) as session:
        for one in conflicts.of_newer(session, newer.id or 0):
            conflicts.decide(session, one, verdict, "U0STAFF")
    compare(engine)


def test_the_newer_answer_to_nearly_the_same_question_counts(store: Engine) -> None:
    """The older one is retired, with a reason that names the newer one."""
    old = taught(store, PORT, "Port 80.")
    new = taught(store, PORT_TOO, "Port 7411.")
    assert states(store) == {"Port 80.": "retired", "Port 7411.": "live"}
    assert found(store) == [(new.id, old.id, ConflictStatus.REPLACED)]
    with reading(store) as session:
        reason = session.get_one(Example, old.id).reason
    assert reason == f"example:{new.id} answers the same question"


def test_where_it_is_not_sure_both_count_and_staff_are_asked(store: Engine) -> None:
    """Between the two limits nothing is retired."""
    question = "Where is the configuration of the web console kept on the server?"
    old = taught(store, question, "In /etc/console.toml.")
    new = taught(store, question.replace("server", "laptop"), "In /home/console.toml.")
    assert set(states(store).values()) == {"live"}
    assert found(store) == [(new.id, old.id, ConflictStatus.POSSIBLE)]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Which port does error page 331 use?", "Port 80."),  # another code
        ("Where are the holiday forms?", "Port 80."),  # another question
        (PORT_TOO, "port 7411 it is."),  # the same answer
    ],
)
def test_what_does_not_contradict_is_left_alone(store: Engine, question: str, answer: str) -> None:
    """Other codes, other questions, and the same answer in other words are no conflict."""
    taught(store, "Which port does error page 208 use?", "Port 81.")
    taught(store, PORT, "It is port 7411.")
    taught(store, question, answer)
    assert set(states(store).values()) == {"live"}
    assert found(store) == []


def test_scopes_and_teams_are_walls(store: Engine) -> None:
    """What a private channel says retires nothing outside, and the other way round."""
    taught(store, PORT, "Port 80.")
    memory = Memory(store, WORDS)
    teach(store, memory, PORT_TOO, "Port 81.", scope="C0PRIV")
    teach(store, memory, PORT_TOO, "Port 82.", team_id="T0OTHER")
    compare(store)
    compare(store, "T0OTHER")
    assert (set(states(store).values()), found(store)) == ({"live"}, [])


def test_further_wordings_of_a_replaced_answer_go_with_it(store: Engine) -> None:
    """An answer that is out of date is so in each wording that is close enough."""
    taught(store, PORT, "Port 80.")
    taught(store, PAGE_PORT, "Port 80.")
    taught(store, PORT_TOO, "Port 7411.")
    with reading(store) as session:
        rows = session.exec(select(Example).order_by(col(Example.id)))
        assert [one.status.value for one in rows] == ["retired", "retired", "live"]


def test_keeping_both_puts_the_older_back_for_good(store: Engine) -> None:
    """One press undoes a wrong match, and the two never contradict each other again."""
    taught(store, PORT, "Port 80.")
    new = taught(store, PORT_TOO, "Port 7411.")
    decide(store, new, ConflictStatus.BOTH)
    assert set(states(store).values()) == {"live"}
    with transaction(store) as session:
        examples.hold(session, new.feedback_id or 0, "disputed")
        examples.free(session, new.feedback_id or 0, "settled")
    assert compare(store) == set()
    assert set(states(store).values()) == {"live"}


def test_putting_the_older_back_retires_the_newer(store: Engine) -> None:
    """The older word is right; should it be taken back, the newer counts after all."""
    old = taught(store, PORT, "Port 80.")
    new = taught(store, PORT_TOO, "Port 7411.")
    decide(store, new, ConflictStatus.OLDER)
    assert states(store) == {"Port 80.": "live", "Port 7411.": "retired"}
    take_back(store, old)
    assert states(store) == {"Port 80.": "revoked", "Port 7411.": "live"}


def test_staff_may_say_that_the_newer_is_right(store: Engine) -> None:
    """Where it was not sure, their word retires the older one."""
    question = "Where is the configuration of the web console kept on the server?"
    taught(store, question, "In /etc/console.toml.")
    new = taught(store, question.replace("server", "laptop"), "In /home/console.toml.")
    decide(store, new, ConflictStatus.NEWER)
    assert states(store) == {"In /etc/console.toml.": "retired", "In /home/console.toml.": "live"}


def test_taking_the_newer_back_ends_the_conflict(store: Engine) -> None:
    """The older one counts again, and nobody is asked any more."""
    taught(store, PORT, "Port 80.")
    new = taught(store, PORT_TOO, "Port 7411.")
    take_back(store, new)
    assert states(store) == {"Port 80.": "live", "Port 7411.": "revoked"}
    assert found(store) == []


def test_several_at_once_find_each_conflict_once(store: Engine) -> None:
    """Four that compare at the same time leave one conflict, and one answer that counts."""
    memory = Memory(store, WORDS)
    teach(store, memory, PORT, "Port 80.")
    teach(store, memory, PORT_TOO, "Port 7411.")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: compare(store), range(4)))
    assert len(found(store)) == 1
    assert states(store) == {"Port 80.": "retired", "Port 7411.": "live"}


def test_what_was_taken_back_meanwhile_retires_nothing(store: Engine) -> None:
    """Between finding a conflict and noting it the newer word may be gone."""
    memory = Memory(store, WORDS)
    teach(store, memory, PORT, "Port 80.")
    new = teach(store, memory, PORT_TOO, "Port 7411.")
    seen = conflicts.compare(store, TEAM, WORDS)
    assert seen is not None
    with transaction(store) as session:
        examples.revoke(session, new.feedback_id or 0, "taken back")
    with transaction(store) as session:
        assert conflicts.note(session, TEAM, seen) == set()
    assert states(store) == {"Port 80.": "live", "Port 7411.": "revoked"}


# Any order of teaching and taking back.

_WAYS = ("{}", "Hello! {}", "Please tell me: {}", "Hi, thanks, {}", "Can you tell me please, {}")
_FACTS = (PORT, "Who orders new keyboards?", "Where are the holiday forms kept?")


@contextmanager
def emptied(migrated: Path) -> Iterator[Engine]:
    """A store of its own for each case."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "mynah.db"
        shutil.copy(migrated, path)
        with opened(f"sqlite:///{path}") as engine:
            yield engine


lessons = st.lists(
    st.tuples(st.sampled_from(_FACTS), st.sampled_from(_WAYS), st.integers(1, 3)), max_size=6
)
slow_cases = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def _teach_all(engine: Engine, what: Sequence[tuple[str, str, int]]) -> list[Example]:
    return [
        taught(engine, way.format(fact), f"It is number {number}.") for fact, way, number in what
    ]


def _standing(engine: Engine) -> dict[int, str]:
    with reading(engine) as session:
        rows = session.exec(select(Example).where(Example.status != ExampleStatus.REVOKED))
        return {one.id or 0: one.status.value for one in rows}


@slow_cases
@given(before=lessons, after=lessons, data=st.data())
def test_taking_all_back_restores_what_was(
    migrated_file: Path, before: list[tuple[str, str, int]], after: list[tuple[str, str, int]],
    data: st.DataObject,
) -> None:  # fmt: skip
    """Whatever was taught, and in whichever order it is taken back, what stood before stands."""
    with emptied(migrated_file) as engine:
        _teach_all(engine, before)
        stood = _standing(engine)
        more = _teach_all(engine, after)
        for example in data.draw(st.permutations(more)):
            take_back(engine, example)
        assert _standing(engine) == stood


@slow_cases
@given(what=lessons, data=st.data())
def test_the_newest_word_on_a_fact_counts_in_any_order_of_arrival(
    migrated_file: Path, what: list[tuple[str, str, int]], data: st.DataObject
) -> None:
    """What is live contradicts nothing, and says what was said last of each fact."""
    with emptied(migrated_file) as engine:
        memory = Memory(engine, WORDS)
        made = [teach(engine, memory, way.format(fact), f"It is number {number}.")
                for fact, way, number in what]  # fmt: skip
        with transaction(engine) as session:  # none was compared yet, and the exact rule undone
            for one in made:
                session.get_one(Example, one.id).status = ExampleStatus.HELD
        for one in data.draw(st.permutations(made)):
            with transaction(engine) as session:
                examples.free(session, one.feedback_id or 0, "now")
            compare(engine)
        last = {fact: number for fact, _, number in what}
        with reading(engine) as session:
            live = session.exec(select(Example).where(Example.status == ExampleStatus.LIVE)).all()
        assert {one.answer for one in live} == {f"It is number {n}." for n in last.values()}
        for fact, number in last.items():
            of_fact = [one for one in live if fact in one.question]
            assert {one.answer for one in of_fact} == {f"It is number {number}."}
