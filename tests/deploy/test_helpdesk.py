from collections import Counter

import pytest

from deploy.helpdesk import Fact, load, passes

ROWS = {"fact": (48, 5), "once": (10, 1), "near": (20, 1)}


@pytest.fixture(scope="module")
def rows() -> list[Fact]:
    return load()


@pytest.fixture(scope="module")
def facts(rows: list[Fact]) -> list[Fact]:
    return [row for row in rows if row.kind != "near"]


def test_counts(rows: list[Fact]) -> None:
    """There are 48 facts of five wordings, 10 asked once and 20 near questions, no id twice."""
    assert Counter(row.kind for row in rows) == {kind: n for kind, (n, _) in ROWS.items()}
    assert {(row.kind, len(row.wordings)) for row in rows} == {(k, w) for k, (_, w) in ROWS.items()}
    assert len({row.id for row in rows}) == len(rows)


def test_near_questions_have_no_answer(rows: list[Fact]) -> None:
    """Only facts have an answer and checks; nothing passes for a near question."""
    near = [row for row in rows if row.kind == "near"]
    assert all((row.answer, row.checks) == ("", ()) for row in near)
    assert not passes("anything at all", near[0].checks)


def test_wordings_are_unique(rows: list[Fact]) -> None:
    """No question occurs twice, whatever its case and end mark."""
    wordings = [word.casefold().rstrip("?. ") for row in rows for word in row.wordings]
    assert len(set(wordings)) == len(wordings)


def test_stored_answers_pass(facts: list[Fact]) -> None:
    """What staff would answer passes its own checks and is 12 to 30 words long."""
    assert [fact.id for fact in facts if not passes(fact.answer, fact.checks)] == []
    assert [fact.id for fact in facts if not 12 <= len(fact.answer.split()) <= 30] == []


def test_checks_are_one_or_two_groups(facts: list[Fact]) -> None:
    """Each fact has one or two groups, and no group is empty or accepts the empty string."""
    assert {len(fact.checks) for fact in facts} <= {1, 2}
    assert all(group and all(group) for fact in facts for group in fact.checks)


def test_no_question_passes(rows: list[Fact], facts: list[Fact]) -> None:
    """Echoing a question, one's own or any other, passes no fact."""
    questions = [wording for row in rows for wording in row.wordings]
    assert [(f.id, q) for f in facts for q in questions if passes(q, f.checks)] == []


def test_no_other_answer_passes(facts: list[Fact]) -> None:
    """The answer to one fact never passes as the answer to another."""
    wrong = [
        (f.id, o.id) for f in facts for o in facts if o is not f and passes(o.answer, f.checks)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("answer", "right"),
    [("It is ALPHA, for 2 days.", True), ("Alpha alone.", False), ("2 days", False), ("", False)],
)
def test_every_group_counts(answer: str, right: bool) -> None:
    """An answer passes when every group has one of its strings in it, in any case."""
    assert passes(answer, [["alpha", "beta"], ["two days", "2 days"]]) is right
