"""The environment is made from the lock, or one line says why not."""

import subprocess
import sys
from pathlib import Path

import pytest

SETUP = Path(__file__).resolve().parents[2] / "deploy" / "setup_env.py"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A checkout with the set-up script and a lock that nobody can install."""
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "setup_env.py").write_text(SETUP.read_text())
    (tmp_path / "pyproject.toml").write_text("[project]\nname='x'\nversion='0'\n")
    (tmp_path / "requirements-cpu.lock").write_text("# pins\ntorch==0.0.1+cpu\n")
    return tmp_path


def run(clone: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(clone / "deploy" / "setup_env.py")]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)


def test_says_what_to_do_when_no_source_has_the_cpu_build_of_torch(clone: Path) -> None:
    """Neither pip's sources nor PyTorch's index has it: one line names the pin and the way out."""
    offline = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": "/dev/null", "PATH": "/usr/bin:/bin"}
    result = run(clone, **offline)
    assert result.returncode == 1
    [line] = result.stderr.strip().splitlines()
    assert "torch==0.0.1+cpu" in line
    assert "PIP_FIND_LINKS" in line
    assert not (clone / ".venv" / "ready").exists()


def test_does_nothing_when_the_lock_was_installed_before(clone: Path) -> None:
    """A second run with the same lock installs nothing and says nothing."""
    import hashlib

    pins = (clone / "requirements-cpu.lock").read_bytes()
    project = (clone / "pyproject.toml").read_bytes()
    (clone / ".venv").mkdir()
    (clone / ".venv" / "ready").write_text(hashlib.sha256(pins + project).hexdigest())
    result = run(clone)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert sorted(path.name for path in (clone / ".venv").iterdir()) == ["ready"]
