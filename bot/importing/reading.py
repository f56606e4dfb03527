"""Reading a file of any kind that can be imported; what it is, its content says."""

from __future__ import annotations

import codecs
from pathlib import Path

from bot.importing import archive
from bot.importing.faq import read_faq
from bot.importing.pairs import BadFile, Contents, Tell
from bot.importing.rows import is_csv, read_csv, read_jsonl
from bot.importing.slack_export import House, read_export

MAX_TEXT_BYTES = 64 << 20
_ROWS = (".csv", ".tsv")
_LINES = (".jsonl", ".ndjson", ".json")


def read(path: Path, house: House, tell: Tell) -> Contents:
    """Read a Slack export, a FAQ in Markdown, CSV or JSON Lines.

    Raises:
        BadFile: one line with the place and what is wrong there.
    """
    try:
        if not path.is_file():
            what = "a folder: give the export's zip, or one file" if path.is_dir() else "no file"
            raise BadFile(str(path), f"this is {what}")
        with path.open("rb") as file:
            is_zip = file.read(4) in archive.MAGIC
        if not is_zip:
            return _read_text(path.name, path.suffix.lower(), text_of(path))
    except OSError as error:
        raise BadFile(str(path), f"it cannot be read: {error.strerror}") from error
    with archive.opened(path) as opened:
        return read_export(opened, house, tell)


def text_of(path: Path) -> str:
    """A file's text, in UTF-8 or, as Excel writes it, in UTF-16 with a byte order mark."""
    with path.open("rb") as file:
        content = file.read(MAX_TEXT_BYTES + 1)
    if len(content) > MAX_TEXT_BYTES:
        raise BadFile(path.name, f"larger than {MAX_TEXT_BYTES >> 20} MB: import it in parts")
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        what = f"byte 0x{content[error.start]:02x} is no UTF-8: save the file as UTF-8"
        raise BadFile(f"{path.name}, line {line}", what) from error


def _read_text(name: str, suffix: str, text: str) -> Contents:
    if not text.strip():
        raise BadFile(name, "the file is empty")
    if text.lstrip().startswith("{") or suffix in _LINES:
        return read_jsonl(name, text)
    if suffix in _ROWS or is_csv(text):
        return read_csv(name, text)
    return read_faq(name, text)
