"""What a backup is: a database, the files that it names, and a manifest with the hash of each.

The directory appears under its name when all of it is there, and not before.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import BaseModel, Field, ValidationError, field_validator

MANIFEST = "mynah-backup.json"
Kind = Literal["sqlite", "postgresql"]
DATABASE: dict[Kind, str] = {"sqlite": "mynah.db", "postgresql": "database.sql"}


class BadBackup(Exception):
    """A backup that cannot be made or used; the message is one line that says why."""


class Manifest(BaseModel):
    """What a backup holds."""

    kind: Kind
    db_schema: str = ""  # of the tables, on PostgreSQL
    revision: str  # of the database
    base: str | None = None  # the base model that was served, by name and fingerprint
    made_at: datetime
    files: dict[str, str] = Field(repr=False)  # path in the backup -> SHA-256
    lacking: list[str] = Field(default_factory=list)  # what the database names and was not there

    @field_validator("files")
    @classmethod
    def _stay_inside(cls, files: dict[str, str]) -> dict[str, str]:
        for name in files:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts:
                raise ValueError("a path leads out of the backup")
        return files

    def count(self, folder: str) -> int:
        """How many adapters or datasets it holds."""
        return len({name.split("/")[1] for name in self.files if name.startswith(f"{folder}/")})


def read(directory: Path) -> Manifest:
    """The manifest of a backup. Raises BadBackup."""
    file = directory / MANIFEST
    try:
        return Manifest.model_validate_json(file.read_bytes())
    except OSError as error:
        raise BadBackup(f"{directory} is no backup: it has no {MANIFEST}") from error
    except ValidationError as error:
        raise BadBackup(f"{file} is damaged") from error


def check(directory: Path) -> Manifest:
    """The manifest, after each file was read and compared with its hash.

    Raises:
        BadBackup: a file is missing, altered or cut off; the message names it.
    """
    manifest = read(directory)
    for name, sha256 in manifest.files.items():
        try:
            found = hash_of(directory / name)
        except OSError as error:
            raise BadBackup(f"{directory / name} cannot be read: {error.strerror}") from error
        if found != sha256:
            raise BadBackup(f"{directory / name} is not what was backed up: its hash differs")
    return manifest


@contextmanager
def appearing(directory: Path, mark: str) -> Iterator[Path]:
    """A directory to fill beside `directory`, that takes its name when all went well; else it is
    removed, but by kill -9 or a power cut.

    Raises:
        BadBackup: `directory` is there with something in it, or somebody fills it just now, or was
            cut off while filling it.
    """
    refuse_full(directory)
    if directory.is_mount():
        raise BadBackup(f"{directory} is a mount point: name a directory in it")
    beside = directory.parent / f"{directory.name}.{mark}"
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        beside.mkdir(mode=0o700)  # the database holds what people said, and tokens
    except FileExistsError:
        why = "this is under way already, or was cut off: if it was, remove that directory"
        raise BadBackup(f"{beside} is there: {why}") from None
    except OSError as error:
        raise BadBackup(f"{beside} cannot be made: {error.strerror}") from error
    try:
        yield beside
        flush_tree(beside)
        beside.rename(directory)  # an empty one is replaced
        _flush(directory.parent)
    except OSError as error:
        raise BadBackup(
            f"{error.filename2 or error.filename or directory}: {error.strerror}"
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def refuse_full(directory: Path) -> None:
    """Pass where nothing would be overwritten. Raises BadBackup."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise BadBackup(f"{directory} is not empty, and nothing is overwritten")


def copy(source: Path, target: Path) -> str:
    """Copy a file; return the SHA-256 of what was copied."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return hash_of(target)


def hash_of(file: Path) -> str:
    """The SHA-256 of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def flush_tree(directory: Path) -> None:
    """A power cut must not leave a name with empty files behind it."""
    for path in [directory, *directory.rglob("*")]:
        _flush(path)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
