"""Make the environment in `.venv` from the pinned lock, with plain pip. Standard library only.

Run by `make`; a second run with the same lock does nothing.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements-cpu.lock"
STAMP = VENV / "ready"
LOG = VENV / "setup.log"
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"  # PyTorch's own index of CPU wheels


def main() -> None:
    """Install what the lock names, then the project itself, unless that was done before."""
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever runs it may not have read the README
        sys.exit(
            f"Mynah needs Python 3.11 or newer; this is {sys.version.split()[0]}. "
            "Name another with: make PYTHON=python3.11 …"
        )
    fingerprint = hashlib.sha256(LOCK.read_bytes() + (ROOT / "pyproject.toml").read_bytes())
    if STAMP.exists() and STAMP.read_text() == fingerprint.hexdigest():
        return
    pins = [line for line in LOCK.read_text().splitlines() if line and not line.startswith("#")]
    say(f"Making the environment in {VENV} ({len(pins)} packages, 3.6 GB, a few minutes once) …")
    if not (VENV / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    LOG.write_text("")
    torch = next(pin for pin in pins if pin.startswith("torch=="))
    install_torch(torch)
    if not pip(["--no-deps", *(pin for pin in pins if pin != torch)], of=len(pins)):
        sys.exit(f"Installing the packages failed: {last_error()} (all of it: {LOG})")
    if not pip(["--no-deps", "--no-build-isolation", "-e", str(ROOT)]):
        sys.exit(f"Installing Mynah itself failed: {last_error()} (all of it: {LOG})")
    STAMP.write_text(fingerprint.hexdigest())
    say("Environment ready.")


def install_torch(pin: str) -> None:
    """Install the CPU build of PyTorch from pip's own sources, else from PyTorch's index."""
    say(f"  PyTorch for the CPU ({pin})")
    if pip(["--no-deps", pin]) or pip(["--no-deps", "--index-url", TORCH_INDEX, pin]):
        return
    sys.exit(
        f"No CPU build of PyTorch found: neither pip's configured sources nor {TORCH_INDEX} has "
        f"{pin} for Python {sys.version_info.major}.{sys.version_info.minor}. Download that wheel "
        "on a connected machine and run again with PIP_FIND_LINKS=/folder/with/the/wheel."
    )


def pip(arguments: list[str], of: int = 0) -> bool:
    """Run `pip install`, showing a count of packages; True when it succeeded."""
    command = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--no-input", *arguments]
    seen = 0
    with (
        LOG.open("a") as log,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as child,
    ):
        assert child.stdout is not None
        for line in child.stdout:
            log.write(line)
            seen += line.startswith("Collecting")
            if of and line.startswith("Collecting") and seen % 40 == 0:
                say(f"  {seen} of {of} packages found")
            if line.startswith("Installing collected packages"):
                say("  unpacking") if of else None
    return child.returncode == 0


def last_error() -> str:
    """The last line in the log that pip marked as an error."""
    errors = [line for line in LOG.read_text().splitlines() if line.startswith("ERROR")]
    return errors[-1] if errors else "pip said nothing more"


def say(text: str) -> None:
    """Print one line of progress at once."""
    print(text, flush=True)


if __name__ == "__main__":
    main()
