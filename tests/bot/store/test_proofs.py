"""What an adapter has proved to know, by the evaluation of it."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, event
from sqlmodel import col, select

from bot.store import proofs
from bot.store.database import reading, transaction
from bot.store.proofs import NOTHING, Change, Taught
from bot.store.schema import Adapter, Example, ExampleStatus
from tests.bot.measured import Marks, measure
from tests.bot.released import candidate, promoted
from tests.stores import TEAM

A, B, C = "It is on floor 1.", "It is on floor 2.", "It is on floor 3."
OURS = "mynah-ours"


def taught(engine: Engine, *answers: str, team_id: str = TEAM) -> list[Example]:
    """An example for each answer."""
    with transaction(engine) as session:
        made = [
            Example(
                team_id=team_id, question=f"Where is {number}?", answer=answer, approved_by="U9",
                content_hash=f"{number}",
            )
            for number, answer in enumerate(answers)
        ]  # fmt: skip
        session.add_all(made)
    return made


def covered(engine: Engine, examples: list[Example], name: str | None = OURS) -> list[str]:
    """The answers of those examples that the adapter has proved to know."""
    with reading(engine) as session:
        proof = proofs.of_adapter(session, name)
    return [one.answer for one in examples if proof.knows(one.id or 0, one.answer)]


@pytest.mark.parametrize(
    ("marks", "known"),
    [
        ([("wording", 1, A, True), ("known", 1, A, True)], [A]),
        ([("wording", 1, A, False), ("known", 1, A, True)], []),
        ([("wording", 1, A, True), ("wording", 1, A, False)], []),
        ([("known", 1, A, True), ("known", 2, B, False)], [A]),
        ([("known", 1, A, True), ("known", 1, B, False)], []),  # the house has two answers
        ([("known", 1, A, True), ("known", 1, B, True)], [A, B]),
        ([("question", 1, A, True), ("pin", 2, B, True)], []),
        ([], []),
    ],
)
def test_a_fact_is_known_when_nothing_about_it_was_wrong(
    store: Engine, marks: Marks, known: list[str]
) -> None:
    """And something was asked. What is no trained fact, or was asked by hand, proves nothing."""
    examples = taught(store, A, B, C)
    with transaction(store) as session:
        candidate(session, OURS)
        measure(session, OURS, examples, marks)
    assert covered(store, examples) == known
    assert covered(store, examples, "mynah-other") == covered(store, examples, None) == []


@pytest.mark.parametrize(
    ("split", "known"), [("train", [A]), ("held_out_wording", [A]), ("held_out_question", [])]
)
def test_an_example_is_known_where_its_fact_was_trained(
    store: Engine, split: str, known: list[str]
) -> None:
    """Its wording may be held out; a new example with the same words is nobody's proof."""
    [inside] = taught(store, A)
    with transaction(store) as session:
        candidate(session, OURS)
        measure(session, OURS, [inside], [("wording", 1, A, True)], split=split)
    [outside] = taught(store, A)
    assert covered(store, [inside]) == known
    assert covered(store, [outside]) == []


def test_an_adapter_is_told_from_the_one_that_it_replaced(store: Engine) -> None:
    """What it learned and what it forgot, of what is in memory still."""
    examples = taught(store, A, B, C, "It is on floor 4.")
    *live, gone = examples
    with transaction(store) as session:
        session.get_one(Example, gone.id).status = ExampleStatus.REVOKED
        for name, known in (("mynah-one", (A, B, gone.answer)), (OURS, (B, C))):
            promoted(session, name)
            marks = [
                ("known", at, one.answer, one.answer in known) for at, one in enumerate(examples)
            ]
            measure(session, name, examples, marks)
        named = select(Adapter).order_by(col(Adapter.id))
        one, ours = (proofs.change(session, adapter) for adapter in session.exec(named).all())
    assert one == Change(facts=3, known=2, before=None, learned=2, forgotten=())
    forgotten = (Taught(live[0].id or 0, live[0].question),)
    assert ours == Change(facts=3, known=2, before="mynah-one", learned=1, forgotten=forgotten)


def test_facts_are_of_one_workspace(store: Engine) -> None:
    """And an answer to many questions is one fact."""
    taught(store, A, A, B)
    taught(store, C, team_id="T0OTHER")
    with reading(store) as session:
        found = proofs.facts(session, TEAM)
    assert {answer: len(asked) for answer, asked in found.items()} == {A: 2, B: 1}
    assert proofs.known(found, NOTHING) == set()


def test_facts_are_counted_without_reading_them(store: Engine) -> None:
    """However many answers were asked for: one that is gone, one that is there twice and one that
    was not trained count as they are."""
    answers = [f"It is on floor {number}." for number in range(503)]
    examples = taught(store, *answers, answers[0])
    with transaction(store) as session:
        session.get_one(Example, examples[1].id).status = ExampleStatus.REVOKED
        candidate(session, OURS)
        marks = [("known", at, answer, True) for at, answer in enumerate(answers)]
        measure(session, OURS, examples[:-2], marks)
    taught(store, "It is in the hall.")
    said: list[str] = []
    with reading(store) as session:
        proof = proofs.of_adapter(session, OURS)
        event.listen(store, "before_cursor_execute", lambda *call: said.append(call[2]))
        counted = proofs.count(session, TEAM, proof)
        assert not any("question" in statement for statement in said)
        found = proofs.facts(session, TEAM)
    assert counted == (len(found), len(proofs.known(found, proof))) == (503, 501)
