"""`mynah play` starts again only where it is told to, and removes nothing that is not its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.local import SetFailed
from deploy.play import forget


@pytest.mark.parametrize("kept", [["mynah.db", "sandbox.db"], ["logs"], []])
def test_what_earlier_sets_left_goes(tmp_path: Path, kept: list[str]) -> None:
    """Mynah's store and the local Slack's state go together; so does a set that never came up."""
    home = tmp_path / "play"
    home.mkdir()
    for name in kept:
        (home / name).write_text("")
    forget(home)
    assert not home.exists()
    forget(home)


def test_a_directory_of_somebody_elses_stays(tmp_path: Path) -> None:
    """A wrong `--home` costs nobody anything."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "thesis.txt").write_text("three years")
    with pytest.raises(SetFailed, match="not removed"):
        forget(tmp_path)
    assert (tmp_path / "thesis.txt").exists()
