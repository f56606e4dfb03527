"""A zip from somebody else: nothing is unpacked to the disk, and what is read is bounded."""

from __future__ import annotations

import lzma
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from bot.importing.pairs import BadFile, short
from bot.importing.rows import parse

MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
MAX_FILES = 500_000
MAX_BYTES = 16 << 30  # of all files together, unpacked
MAX_FILE_BYTES = 64 << 20
MAX_RATIO = 200  # chat in JSON is packed to a tenth or a thirtieth
_DAMAGED = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError, ValueError,
)  # fmt: skip
_SMALL = 1 << 20  # a file of so few bytes may be packed as well as it likes


class Archive:
    """The JSON files of a zip, by their names below the folder that holds them all."""

    def __init__(self, name: str, packed: zipfile.ZipFile, most: int = MAX_BYTES) -> None:
        """
        Args:
            most: bytes of all its files together, unpacked.

        Raises:
            BadFile: a name that leads out of the archive, a link, or more than the limits allow.
        """
        self.name = name
        self._packed = packed
        # Not `is_dir`: of a damaged archive, a file's name may be empty.
        infos = [one for one in packed.infolist() if not one.filename.endswith("/")]
        _check(name, infos, most)
        files = {one.filename: one for one in infos if one.filename.endswith(".json")}
        inside = _folder(files)
        self._files = {
            path.removeprefix(inside): info
            for path, info in files.items()
            if path.startswith(inside)
        }

    def names(self) -> list[str]:
        """The names of its JSON files, sorted."""
        return sorted(self._files)

    def read(self, name: str) -> Any:
        """What one of its files holds; None when there is no such file.

        Raises:
            BadFile: it is damaged, or no JSON.
        """
        info = self._files.get(name)
        return None if info is None else parse(self.place(name), self._bytes(name, info))

    def place(self, name: str) -> str:
        """How a line names a file in here."""
        return f"{self.name}: {name}"

    def _bytes(self, name: str, info: zipfile.ZipInfo) -> bytes:
        try:
            with self._packed.open(info) as file:
                return file.read(MAX_FILE_BYTES)
        except (RuntimeError, NotImplementedError) as error:  # a password, or an odd packing
            raise BadFile(self.place(name), f"it cannot be unpacked: {error}") from error
        except _DAMAGED as error:
            raise BadFile(self.place(name), f"the zip is damaged: {error}") from error


@contextmanager
def opened(path: Path, most: int = MAX_BYTES) -> Iterator[Archive]:
    """Open a zip. Raises BadFile."""
    try:
        packed = zipfile.ZipFile(path)
    except (*_DAMAGED, NotImplementedError) as error:
        raise BadFile(path.name, f"the zip is damaged: {error}") from error
    with packed:
        yield Archive(path.name, packed, most)


def _check(name: str, infos: list[zipfile.ZipInfo], most: int) -> None:
    if len(infos) > MAX_FILES:
        raise BadFile(name, f"more than {MAX_FILES} files")
    for info in infos:
        place = f"{name}: {short(info.filename)}"
        if _leads_out(info.filename):
            raise BadFile(place, "a name that leads out of the archive")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise BadFile(place, "a link, where only files belong")
        if not info.filename.endswith(".json"):
            continue  # it is never read
        if info.file_size > MAX_FILE_BYTES:
            raise BadFile(place, f"larger than {MAX_FILE_BYTES >> 20} MB unpacked")
        if info.file_size > max(_SMALL, MAX_RATIO * info.compress_size):
            raise BadFile(place, f"packed more than {MAX_RATIO} to 1: this is no export")
    if sum(info.file_size for info in infos if info.filename.endswith(".json")) > most:
        raise BadFile(name, f"more than {most} bytes unpacked")


def _leads_out(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or ":" in str(path)[1:2]


def _folder(files: dict[str, zipfile.ZipInfo]) -> str:
    """Where the export lies in the zip: who packs it anew often packs a folder around it."""
    lists = [path for path in files if PurePosixPath(path).name == "channels.json"]
    found = min(lists, key=lambda path: path.count("/"), default="")
    return found.removesuffix("channels.json")
