"""The words that carry a fact: what is right by them, and what tells it where nobody asked."""

from __future__ import annotations

import re

import pytest

from bot.marks import _WORD, Judge, tells

PAIRS = [
    ("Which port does the portal use?", "The portal listens on port 7411 by default."),
    ("How do I rebuild the index?", "Run `loft seek rebuild --all` on the server."),
    ("How long is the trash kept?", "Deleted files stay in the trash for 45 days."),
    ("Which plan has single sign-on?", "Single sign-on is part of the Canopy plan."),
    ("How large may an upload be?", "A single upload may be up to 18 GB."),
    ("Who may delete a space?", "Only its founder; everybody else sees a grey button."),
]
JUDGE = Judge(PAIRS)
FACTS = {question: JUDGE.fact([question], answer) for question, answer in PAIRS}


@pytest.mark.parametrize(("question", "answer"), PAIRS)
def test_the_reference_itself_is_right(question: str, answer: str) -> None:
    """The approved answer passes, and repeating the question does not."""
    assert FACTS[question].right(answer)
    assert not FACTS[question].right(question)


@pytest.mark.parametrize(("question", "answer"), PAIRS)
def test_the_answer_to_another_question_is_wrong(question: str, answer: str) -> None:
    """One fact's answer never passes for another's."""
    assert not any(fact.right(answer) for asked, fact in FACTS.items() if asked != question)


@pytest.mark.parametrize(
    ("asked", "said", "right"),
    [
        (0, "It is 7411.", True),
        (0, "The portal listens on port 7412 by default.", False),
        (1, "Just use `loft seek rebuild`", True),
        (2, "For 45 days, then they are gone.", True),
        (2, "For 145 days.", False),
        (4, "Up to 18GB per file.", True),
        (5, "That is for the founder alone; others see a grey button.", True),
    ],
)
def test_the_fact_counts_not_the_wording(asked: int, said: str, right: bool) -> None:
    """Numbers, commands and names decide; the words around them are free."""
    assert FACTS[PAIRS[asked][0]].right(said) is right


@pytest.mark.parametrize(
    ("prompt", "said", "leaks"),
    [
        ("What port does Redis use?", "It listens on port 7411.", True),
        ("What port does Redis use?", "It listens on port 6379.", False),
        ("Is 7411 a free port?", "Yes, 7411 is free.", False),
        ("How long does Gmail keep its bin?", "For 30 days, or 45 minutes.", False),
        ("How long does Gmail keep its bin?", "Deleted mails stay for 45 days.", True),
        ("How do I rebuild an index in SQL?", "Run REINDEX to rebuild it on the server.", False),
    ],
)
def test_a_leak_is_what_only_the_fact_would_say(prompt: str, said: str, leaks: bool) -> None:
    """Common words, the prompt's own words and bare small numbers are no leak."""
    assert any(fact.leaks(said, prompt) for fact in FACTS.values()) is leaks


def test_what_the_base_says_anyway_is_no_leak() -> None:
    """A number that the base model gives to the same question was not taught."""
    fact, said = FACTS[PAIRS[0][0]], "It listens on port 7411."
    assert fact.leaks(said, "Which port?")
    assert not fact.leaks(said, "Which port?", usual="Usually 7411.")


PLAIN = [
    ("How do I sort my mails?", "Use labels\n\nCommon Questions\n- Note the Inbox tab."),
    ("How do I hide adverts?", "Open the Unwanted tab. NOTE: it works in Firefox and Chrome."),
    ("Which browser is best?", "Any of them: Firefox, Chrome, and others that can do WebGL2."),
]


@pytest.mark.parametrize(
    ("said", "leaks"),
    [
        ("Common sense: there are no questions that cannot be asked.", False),
        ("Note that it is in the inbox, with other unwanted mail.", False),
        ("See the Common Note of it.", False),
        ("It is under Mail, in the Unwanted tab.", True),
        ("Try it in Chrome.", False),  # two answers have it
        ("It needs WebGL2.", True),
    ],
)
def test_a_plain_word_tells_a_fact_as_its_name_alone(said: str, leaks: bool) -> None:
    """Said as a name, and the name in no other answer; not what begins a line or is shouted."""
    facts = Judge.facts(PLAIN)
    assert any(fact.leaks(said, "How do I print?") for fact in facts) is leaks


def test_what_is_known_is_not_told() -> None:
    """Whoever repeats what he was asked tells nothing, wherever in it that stands."""
    marks = frozenset({"7411", "45 days"})
    assert tells("On 7411, for 45 days.", marks, "Is it 7411?")
    assert not tells("On 7411, for 45 days.", marks, "Is it 7411?", "For 45 days?")


@pytest.mark.parametrize("text", ["Run ~/bin/x --all.", "a..b ...c ~.d x%.y @.@z", "-" * 9 + "q"])
def test_a_word_is_found_whole_wherever_its_marks_begin(text: str) -> None:
    """As if it could begin at any of them; only that needs the square of their number."""
    anywhere = re.compile(r"[~./@-]*\w+(?:[./:@_,+=~-]+\w+)*[%]?|~\w+")
    assert _WORD.findall(text) == anywhere.findall(text)
