"""What may be shown as written from an approved answer."""

from __future__ import annotations

import pytest

from bot.grounding import grounded, says

APPROVED = "The page listens on port 7411, since version 5.2 (until 17:30)."


@pytest.mark.parametrize(
    ("answer", "holds"),
    [
        ("It uses port 7411.", True),
        ("Since 5.2 it is 7411, until 17:30!", True),
        ("It has no port.", True),
        ("Two steps:\n1. Open it.\n 2) Use 7411.", True),
        ("1. Use 8080.", False),
        ("It uses port 8080.", False),
        ("It uses port 741.", False),
        ("Since version 5.", False),
    ],
)
def test_every_number_has_a_source(answer: str, holds: bool) -> None:
    """A number that is in no source, also a part of one, is the model's own."""
    assert grounded(answer, "which port?", APPROVED) is holds


REBUILD = "Run `loft seek rebuild --all` on the Harbor server, never twice."
FOUNDER = "Only its founder may; everybody else sees a grey button."


@pytest.mark.parametrize(
    ("approved", "answer", "holds"),
    [
        (APPROVED, "It listens on 7411, since 5.2, until 17:30.", True),
        (APPROVED, "Port 7411 since 5.2.", True),  # most of it
        (APPROVED, "Port 7411.", False),
        (APPROVED, "Port 7411 since 5.2, and 8080 before.", False),
        (APPROVED, "Port 7411 since 5.2, on the Gateway.", False),
        (APPROVED, "It does not listen on 7411 since 5.2 until 17:30.", False),
        (APPROVED, "I am not sure.", False),
        (APPROVED, "1. Port 7411\n2. Since 5.2", True),
        (REBUILD, "On the Harbor server run `loft seek rebuild --all`, but never twice.", True),
        (REBUILD, "On the Harbor server run `loft seek rebuild --all` twice.", False),
        (REBUILD, "Run `loft seek purge` on the Meadow server, never twice.", False),
        (FOUNDER, "Only the founder; everybody else sees a grey button.", True),
        (FOUNDER, "Every member may.", False),
        ("Yes.", "Yes.", False),  # it says too little to tell
    ],
)
def test_an_answer_says_what_was_approved(approved: str, answer: str, holds: bool) -> None:
    """It has most of what carries the fact, nothing of its own, and denies just where that does."""
    assert says(answer, approved, "which port has the page?") is holds


def test_what_was_asked_is_neither_told_nor_invented() -> None:
    """The words of the questions count on neither side."""
    asked = "Does the Harbor listen on port 7411?"
    assert says("Yes, the Harbor does since 5.2, on 7411.", "Since 5.2.", asked)
    assert not says("The Harbor has port 7411.", "On port 7411 since 5.2.", asked)
