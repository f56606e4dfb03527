"""This machine: settings, disk, memory, packages, and the embedder."""

from __future__ import annotations

import re
import shutil
import sys
import threading
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from deploy.checkups.finding import Level, NotLooked, Said, bad, fine, otherwise, warning
from deploy.checkups.patient import Patient

GB = 1e9
DISK_BAD, DISK_LOW = 1 * GB, 5 * GB
MEMORY_BAD, MEMORY_LOW = 0.5 * GB, 2 * GB
PYTHON = (3, 11)
LOCK = Path(__file__).parents[2] / "requirements-cpu.lock"
LOADS_S = 9.0  # torch alone takes seconds
NAMED = 5  # packages, before "and so many more"


def settings(patient: Patient) -> Sequence[Said]:
    """Each process's settings, by the rules that it starts by."""
    where = "set it in the environment or in `.env`; the README's table says what it means"
    names = ", ".join(patient.processes)
    return otherwise((bad(one, where) for one in patient.complaints), f"{names}: all there")


def disk(patient: Patient) -> Sequence[Said]:
    """Room for runs, adapters and SQLite's file."""
    settings = patient.store or patient.serving
    if settings is None:
        raise NotLooked("settings")
    path = settings.data_dir.resolve()
    if path.exists() and not path.is_dir():
        return [bad(f"{path} is no directory", "move it, or set MYNAH_DATA_DIR to another place")]
    there = next(one for one in (path, *path.parents) if one.exists())
    free = shutil.disk_usage(there).free
    found = f"{free / GB:.1f} GB free at {path}"
    mend = "make room: runs/ of runs that are over and logs/ may go; or move MYNAH_DATA_DIR"
    if free < DISK_BAD:
        return [bad(found, mend)]
    return [warning(found, mend)] if free < DISK_LOW else fine(found)


def memory(_: Patient) -> Sequence[Said]:
    """Room for the processes to come."""
    free = psutil.virtual_memory().available
    found = f"{free / GB:.1f} GB of memory available"
    mend = "end what takes it; a smaller base model needs less"
    if free < MEMORY_BAD:
        return [bad(found, mend)]
    return [warning(found, mend)] if free < MEMORY_LOW else fine(found)


def packages(_: Patient, lock: Path = LOCK) -> Sequence[Said]:
    """Python, and the versions that are installed, against those that Mynah is tested with."""
    if sys.version_info[:2] < PYTHON:
        return [bad(f"Python {sys.version.split()[0]}", "install Python 3.11 or newer")]
    if not lock.exists():
        raise NotLooked("this is no checkout: there is no lock to compare with")
    others = [f"{name} {have} (tested: {pin})" for name, pin, have in _others(lock)]
    if not others:
        return fine(f"Python {sys.version.split()[0]}, all packages as in {lock.name}")
    more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
    mend = f"`make setup` installs what {lock.name} says, if Mynah behaves strangely"
    return [warning(", ".join(others[:NAMED]) + more, mend)]


def embedder(patient: Patient) -> Sequence[Said]:
    """What memory is searched with."""
    if patient.bot is None:
        raise NotLooked("settings")
    spec = patient.bot.embedder
    if spec.startswith(("/", ".", "~")) and not Path(spec).expanduser().exists():
        return [_no_embedder(f"there is no {spec}")]
    said: list[Said] = []
    loading = threading.Thread(target=lambda: said.append(_loaded(spec)), daemon=True)
    loading.start()
    loading.join(LOADS_S)
    slow = f"{spec} is not loaded within {LOADS_S:g} s"
    return said or [warning(slow, "nothing, if this machine is busy: a bot waits for it")]


def _loaded(spec: str) -> Said:
    from bot.embedder import BadEmbedder, open_embedder

    try:
        rows = open_embedder(spec).embed(["Is anybody there?"])
    except BadEmbedder as error:
        return _no_embedder(str(error))
    return Said(Level.OK, f"{spec} gives vectors of {rows.shape[1]} numbers")


def _no_embedder(why: str) -> Said:
    mend = "install it, or set MYNAH_EMBEDDER to another one; `none` needs nothing"
    return bad(f"MYNAH_EMBEDDER: {why}", mend)


def _others(lock: Path) -> Iterator[tuple[str, str, str]]:
    """Installed packages of another version: name, the lock's version, and theirs."""
    for name, pin in re.findall(r"^([\w.-]+)==(\S+)$", lock.read_text("utf-8"), re.M):
        try:
            have = version(name)
        except PackageNotFoundError:
            continue  # an extra that is not used here
        if have != pin:
            yield name, pin, have
