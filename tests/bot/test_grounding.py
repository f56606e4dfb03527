"""What may be shown as written from an approved answer."""

from __future__ import annotations

import pytest

from bot.grounding import grounded

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
