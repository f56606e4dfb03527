"""Prometheus's own checker, where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

MISSING = "apt-get install prometheus"


def promtool(*arguments: str, told: str | None = None, at: Path | None = None) -> str:
    """Run promtool; what it prints. A test fails with that where it finds something.

    A machine without it skips, unless MYNAH_PROMTOOL=required.
    """
    found = shutil.which("promtool")
    if found is None:
        why = f"this needs promtool: {MISSING}"
        if os.environ.get("MYNAH_PROMTOOL") == "required":
            pytest.fail(why, pytrace=False)
        pytest.skip(why)
    done = subprocess.run(
        [found, *arguments], cwd=at, input=told, capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said
