"""The small base model appears whole or not at all."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.base_model import NAME, small_base_model


def test_a_converted_model_is_used_again(tmp_path: Path) -> None:
    """What lies in the cache is returned at once, without converting."""
    (tmp_path / NAME).mkdir()
    said: list[str] = []
    assert small_base_model(said.append, cache=tmp_path) == tmp_path / NAME
    assert said == []


@pytest.mark.slow
def test_a_killed_conversion_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    """kill -9 in the middle: the model's directory is not there, and the next run converts it."""
    code = (
        "from pathlib import Path; from deploy.base_model import small_base_model;"
        f"small_base_model(cache=Path({str(tmp_path)!r}))"
    )
    root = Path(__file__).resolve().parents[2]
    child = subprocess.Popen([sys.executable, "-c", code], cwd=root, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(f".{NAME}-*/tokenizer*")):
        assert time.monotonic() < deadline
        assert child.poll() is None
        time.sleep(0.05)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert not (tmp_path / NAME).exists()
