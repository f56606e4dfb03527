"""The memory bench: what it asks, what it counts, and that the figures hold."""

from __future__ import annotations

import pytest

from bot.embedder import LexicalEmbedder
from deploy.bench.memory import (
    FAQ,
    Bench,
    Case,
    cosine,
    faq_cases,
    first_day_cases,
    helpdesk_cases,
    measure,
    quoting,
    retrieval,
)

TAUGHT = (
    ("Which port has the web page?", "Port 7411."),
    ("Where are the log files kept?", "In /srv/journal."),
)


def test_a_fact_that_is_left_out_is_nowhere_in_memory() -> None:
    """Neither the wording asked nor another one of its fact is taught then."""
    cases = list(helpdesk_cases(4))
    held = {case.question: case for case in cases if case.kind == "held"}
    out = [case for case in cases if case.kind == "out" and case.question in held]
    assert len(held) == len(out) == 48 * 5
    for case in out:
        right = held[case.question].right
        assert right not in {answer for _, answer in case.taught}
        assert len(held[case.question].taught) - len(case.taught) == 4


def test_a_held_out_wording_is_not_taught() -> None:
    """Memory finds it by other words of the same fact."""
    for case in [*helpdesk_cases(1), *first_day_cases()]:
        assert case.question not in dict(case.taught)
        assert case.right is None or case.right in {answer for _, answer in case.taught}


def test_right_and_wrong_quotes_are_told_apart() -> None:
    """A quote counts as wrong when another answer came first, and always when nothing is right."""
    cases = [
        Case("held", "web page port?", "Port 7411.", TAUGHT),
        Case("held", "web page port, please?", "In /srv/journal.", TAUGHT),
        Case("out", "the web page port, what?", None, TAUGHT[1:]),
        Case("near", "Who waters the garden?", None, TAUGHT),
    ]
    found = Bench(LexicalEmbedder()).ask(cases, cosine)
    assert [one.place for one in found] == [1, 2, 0, 0]
    assert retrieval(found) == {"recall_at_1": 0.5, "mrr": 0.75}
    assert quoting(found, lambda one: one.similarity > 0.5) == {
        "right": 0.5, "wrong": 0.5, "not_taken": 0.0, "out": 0.0, "near": 0.0,
    }  # fmt: skip
    assert quoting(found, lambda _: True)["out"] == 1.0


@pytest.mark.skipif(not FAQ.exists(), reason="the shared FAQ is not here")
def test_the_real_faq_is_asked_in_other_peoples_words() -> None:
    """Two wordings a question that is taught, five of each that is not."""
    kinds = [case.kind for case in faq_cases(6)]
    assert [kinds.count(kind) for kind in ("held", "out", "near")] == [140, 140, 60]


@pytest.mark.slow
def test_a_question_that_nobody_has_answered_is_seldom_quoted_to() -> None:
    """With each fact left out in turn, one question in twenty at most gets another fact's answer;
    and the right note reaches the model where many wordings are known."""
    for name, found in measure()["sets"].items():
        quoted, prompted = found["quoted"]["mynah"], found["prompted"]["mynah"]
        for away in found["away"].values():  # while no model answers
            assert away["out"] <= 0.075, name
            assert away["wrong"] <= 0.025, name
        assert quoted["out"] <= 0.05, name
        assert quoted["wrong"] <= 0.01, name
        assert quoted["right"] >= (0.65 if prompted["right"] >= 0.95 else 0.5), name
        assert prompted["out"] <= 0.4, name
