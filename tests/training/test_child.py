"""The trainer's process gives way to those that answer people."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from training.child import NICE, one_gpu

REPORT = """
import os
from pathlib import Path
from training.child import settle_in
settle_in()
group = Path("/proc/self/autogroup")
print(os.nice(0), group.read_text().split()[-1] if group.exists() else "none")
"""


@pytest.mark.skipif(
    not Path("/proc/self/autogroup").exists(), reason="this kernel has no autogroups"
)
def test_the_trainer_is_of_low_priority_against_other_sessions_too() -> None:
    """Both its nice value and that of its session are lowered: either alone has no effect."""
    root = Path(__file__).resolve().parents[2]
    shown = subprocess.run(
        [sys.executable, "-c", REPORT],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        start_new_session=True,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert shown.stdout.split() == [str(NICE), str(NICE)]


@pytest.mark.parametrize(("seen", "given"), [(None, "0"), ("2,3", "2"), ("1", "1"), ("", "")])
def test_the_trainer_sees_one_gpu(
    seen: str | None, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of those that the worker sees; none where it sees none."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if seen is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", seen)
    assert one_gpu() == given
