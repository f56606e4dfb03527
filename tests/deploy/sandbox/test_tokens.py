"""The tokens by which one drives the local Slack are written down where a developer looks."""

from __future__ import annotations

import re
from pathlib import Path

from deploy.sandbox.personas import workspace

GUIDE = Path(__file__).parents[3] / "CONTRIBUTING.md"


def test_every_token_of_the_sandbox_is_written_down() -> None:
    """And no other: whoever types one of them is somebody there."""
    written = set(re.findall(r"`(xox[bp]-\w+|xapp-\w+)`", GUIDE.read_text("utf-8")))
    assert written == set(workspace().tokens)
