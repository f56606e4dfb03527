"""Whatever the bytes are, a file is read or refused with one line; nothing else comes out."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.importing.pairs import BadFile, Contents
from bot.importing.reading import read
from tests.bot.importing.exports import HOUSE, answered, written

STARTS = st.sampled_from([b"", b"# ", b"{", b"question,answer\n", b"\xff\xfe", b"PK\x03\x04"])
TEXTS = st.text(st.sampled_from('#QA:?,;"{}[]\\\n\r\t ab*_`<!->=é\0'), max_size=80)


def read_bytes(content: bytes) -> Contents | None:
    """What a file of these bytes holds; None when it is refused in one line."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(content)
        try:
            return read(path, HOUSE, lambda *_: None)
        except BadFile as error:
            refused = str(error)
        assert refused.isprintable()
        return None


@given(STARTS, st.one_of(st.binary(max_size=80), TEXTS.map(str.encode)))
def test_any_bytes(start: bytes, rest: bytes) -> None:
    """Of each kind of file, or of none."""
    read_bytes(start + rest)


def whole() -> bytes:
    """A good export."""
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder) / "e.zip", {"help/2023-11-14.json": answered()})
        return path.read_bytes()


WHOLE = whole()
CHANGES = st.lists(
    st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=4
)


@settings(max_examples=300)
@given(CHANGES)
def test_any_damage_to_an_export(changes: list[tuple[int, int]]) -> None:
    """A changed byte in the zip's own tables, in what is packed, or where it does no harm."""
    content = bytearray(WHOLE)
    for at, byte in changes:
        content[at] = byte
    read_bytes(bytes(content))


def test_an_export_without_damage() -> None:
    """It is good, so that the damage is what was tried."""
    found = read_bytes(WHOLE)
    assert found is not None
    assert len(found.pairs) == 1
