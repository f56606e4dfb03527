"""Files: announced by name and length, uploaded, then completed and shared."""

from __future__ import annotations

import itertools
import mimetypes
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from pydantic import ConfigDict

from deploy.sandbox.state import numbers_after


@dataclass
class File:
    """One file; it can be shared once its content has come."""

    __pydantic_config__ = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    id: str
    name: str
    length: int
    user: str
    created: int
    title: str = ""
    content: bytes | None = None
    complete: bool = False
    shares: dict[str, str] = field(default_factory=dict)  # channel → the ts of its message

    def as_json(self, base_url: str) -> dict[str, Any]:
        """The file object."""
        link = f"{base_url}/files/{self.id}/{self.name}"
        kind = PurePosixPath(self.name).suffix.removeprefix(".") or "text"
        return {
            "id": self.id,
            "created": self.created,
            "timestamp": self.created,
            "name": self.name,
            "title": self.title or self.name,
            "mimetype": mimetypes.guess_type(self.name)[0] or "text/plain",
            "filetype": kind,
            "pretty_type": kind.upper(),
            "user": self.user,
            "size": self.length,
            "mode": "hosted",
            "is_external": False,
            "is_public": False,
            "url_private": link,
            "url_private_download": f"{link}?download=1",
            "permalink": link,
        }


@dataclass
class Files:
    """Every file, and where uploads go."""

    # Is told whose content came, or was shared.
    changed: Callable[[File], None] = lambda _file: None
    by_id: dict[str, File] = field(default_factory=dict)
    _uploads: dict[str, File] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def restore(self, files: Iterable[File]) -> None:
        """Put back what was there before a restart."""
        self.by_id.update((file.id, file) for file in files)
        self._numbers = numbers_after(self.by_id)

    def announce(self, name: str, length: int, user: str, now: int) -> tuple[File, str]:
        """A new file, and the path to which its content goes."""
        file = File(f"F0{next(self._numbers):08d}", name, length, user, now)
        key = secrets.token_hex(12)
        self.by_id[file.id] = self._uploads[key] = file
        return file, f"/upload/{key}"

    def take(self, key: str, content: bytes) -> bool:
        """Take the content of a file; False when nobody announced it, or not with this length."""
        file = self._uploads.get(key)
        if file is None or len(content) != file.length:
            return False
        del self._uploads[key]
        file.content = content
        self.changed(file)
        return True

    def complete(self, file: File, title: str) -> None:
        """Its owner finished the upload."""
        file.complete, file.title = True, title
        self.changed(file)

    def share(self, file: File, channel: str, ts: str) -> None:
        """A message of the channel shows it."""
        file.shares[channel] = ts
        self.changed(file)
