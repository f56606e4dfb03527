"""What the demo's people do: staff read what they approve."""

from __future__ import annotations

import pytest

from deploy import helpdesk
from deploy.demo import reads_right

FACT = next(one for one in helpdesk.load() if one.kind == "fact")


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        (FACT.answer, True),
        (f"{FACT.answer} […]", False),  # it would teach nothing, and the demo wait for it
        ("I do not know.", False),
    ],
)
def test_staff_read_what_they_approve(answer: str, right: bool) -> None:
    """The approved answer is; what was cut in the middle, or says nothing of it, is corrected."""
    assert reads_right(FACT, FACT.wordings[0], answer) is right
