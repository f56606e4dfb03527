"""A FAQ in Markdown: which headings are questions, and what answers them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.importing.faq import read_faq
from bot.importing.pairs import BadFile

WORDS = st.lists(st.text("abcdefghij", min_size=1, max_size=8), min_size=1, max_size=6)
PHRASES = WORDS.map(" ".join)
PAIRS = st.lists(st.tuples(PHRASES, st.lists(PHRASES, min_size=1, max_size=3)), min_size=1)

FORMS = [
    ("Q: {}", "A: {}"),
    ("**Q: {}**", "A: {}"),
    ("**Q:** {}", "**A:** {}"),
    ("**Q**: {}", "**A**: {}"),
    ("Question 7: {}", "Answer: {}"),
]


def found(text: str) -> list[tuple[str, str]]:
    return [(one.question, one.answer) for one in read_faq("faq.md", text).pairs]


@given(PAIRS, st.integers(1, 6))
def test_headings_written_are_pairs_read(pairs: list[tuple[str, list[str]]], level: int) -> None:
    """Each heading with the paragraphs beneath it, at whichever level."""
    text = "\n\n".join(
        f"{'#' * level} {question}?\n\n" + "\n\n".join(answer) for question, answer in pairs
    )
    assert found(text) == [(f"{one}?", "\n\n".join(answer)) for one, answer in pairs]


@given(PAIRS, st.sampled_from(FORMS))
def test_q_and_a_written_are_pairs_read(
    pairs: list[tuple[str, list[str]]], form: tuple[str, str]
) -> None:
    """In each of the usual forms, with answers of several paragraphs."""
    text = "\n\n".join(
        f"{form[0].format(question)}\n\n{form[1].format(answer[0])}\n\n" + "\n\n".join(answer[1:])
        for question, answer in pairs
    )
    assert found(text) == [(one, "\n\n".join(answer)) for one, answer in pairs]


PAGE = """\
---
title: Not a heading
---
# Help desk

Welcome to the help desk.

## Installing

### How do I install `fern`?

Run this:

```sh
# not a heading
Q: not a question
fern install
```

<!-- internal: ask Jane -->
Then restart.

### Which ports does it use?
7411 & <8080>.

## How do I reset my password?

#### On the web
Press *Forgot*.

#### On the phone
Call us.

Billing
-------
Q: Who pays?
A: The house.
It always does.

Q: Who asks?

## See also
"""


def test_a_page_as_people_write_it() -> None:
    """Titles divide, code and comments say nothing, an asking heading is answered by all below."""
    assert found(PAGE) == [
        (
            "How do I install fern?",
            "Run this:\n\n```sh\n# not a heading\nQ: not a question\nfern install\n```\n\n"
            "Then restart.",
        ),
        ("Which ports does it use?", "7411 &amp; &lt;8080&gt;."),
        (
            "How do I reset my password?",
            "#### On the web\nPress *Forgot*.\n\n#### On the phone\nCall us.",
        ),
        ("Who pays?", "The house.\nIt always does."),
        ("Who asks?", ""),
    ]


def test_text_that_answers_nothing_is_named() -> None:
    """Beneath a title, before a Q: and above all headings; under a question it is its answer."""
    contents = read_faq("faq.md", f"Words.\n\n{PAGE.split('---')[2].strip()}\n")
    place = "text that answers no question is not used: faq.md, line "
    assert contents.notes == [f"{place}1, faq.md, line 3 'Help desk'"]
    text = "# Guests\nThey are welcome.\n\nQ: Who pays?\nA: The house.\n"
    assert read_faq("faq.md", text).notes == [f"{place}1 'Guests'"]
    assert found(text) == [("Who pays?", "The house.")]
    assert found(text.replace("Guests", "May I bring guests?")) == [
        ("May I bring guests?", "They are welcome."), ("Who pays?", "The house."),
    ]  # fmt: skip
    assert read_faq("faq.md", "# Help\n## Who pays?\nThe house.\n").notes == []


def test_places_are_the_lines_of_the_file() -> None:
    """Counted with the front matter, and whichever way lines end."""
    for end in ("\n", "\r\n", "\r"):
        [first, *_] = read_faq("faq.md", PAGE.replace("\n", end)).pairs
        assert first.place == "faq.md, line 10"


def test_an_asking_heading_above_others_keeps_its_own_words() -> None:
    """Where questions stand beneath a question, each has its own answer."""
    assert found("# What is it?\nA bird.\n## Why a bird?\nIt speaks.\n") == [
        ("What is it?", "A bird."), ("Why a bird?", "It speaks."),
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["Just words.\n", "# Title\n", "> # quoted?\n> words\n"])
def test_no_question_is_a_clear_line(text: str) -> None:
    """A page without any is refused, not taken for an empty one."""
    with pytest.raises(BadFile, match=r"^faq\.md: no headings with text beneath"):
        read_faq("faq.md", text)
