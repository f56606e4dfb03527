"""Questions and answers in rows: CSV with a header, and JSON Lines.

CSV: https://www.rfc-editor.org/rfc/rfc4180. The delimiter is the one with which the header names a
question and an answer. A cell such as ``=cmd|…`` is text like any other.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from bot.importing.pairs import BadFile, Contents, Pair, not_used, pair, short

_LONGEST_HEADER = 1_000_000  # characters
_LONGEST_CELL = 1 << 30  # files are smaller
_CSV_WORDS = {
    "unexpected end of data": "a quote that opens a cell is never closed",
    "expected after": 'a quote within a quoted cell has to stand twice: ""',
    "new-line character": "a line ends in the midst of a cell without quotes",
}
_KNOWN = {
    "question": "question",
    "answer": "answer",
    "rejected": "rejected",
    "channel": "scope",
    "scope": "scope",
    "approved_by": "approver",
}
_PARAPHRASES = "paraphrases"
_FIELDS = {*_KNOWN, _PARAPHRASES}  # of an object


def is_csv(text: str) -> bool:
    """Whether the first line is a header that names a question and an answer."""
    return _delimiter(_header_line(text)[0]) is not None


def read_csv(name: str, text: str) -> Contents:
    """Read CSV.

    Raises:
        BadFile: no such header, or a row that does not fit it.
    """
    line, skipped = _header_line(text)
    delimiter = _delimiter(line)
    if delimiter is None:
        raise BadFile(f"{name}, row 1", _lacking(line))
    body = io.StringIO(text, newline="")
    for _ in range(skipped):
        body.readline()
    reader = csv.reader(body, delimiter=delimiter, strict=True)
    with _cells_of_any_length():
        columns, unused = _columns(name, _next(f"{name}, row 1", reader) or [])
        pairs = list(_csv_pairs(name, reader, columns, skipped))
    # "chanel" is not the channel in which alone an answer counts.
    notes = not_used("columns", [short(one) for one in unused])
    if not pairs:
        raise BadFile(name, "there is no row below the header")
    return Contents("CSV", pairs, notes)


def read_jsonl(name: str, text: str) -> Contents:
    """Read JSON Lines: an object with "question" and "answer" a line; "paraphrases" are further
    wordings of the question.

    Raises:
        BadFile: a line that is no such object.
    """
    pairs: list[Pair] = []
    unused: dict[str, None] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            place = f"{name}, line {number}"
            found = _object(place, line)
            pairs += _of_object(place, found)
            unused |= dict.fromkeys(key for key in found if _normal(key) not in _FIELDS)
    return Contents("JSON Lines", pairs, not_used("fields", [short(one) for one in unused]))


def _header_line(text: str) -> tuple[str, int]:
    """The header, and how many lines come before it: Excel may name its delimiter first."""
    lines = io.StringIO(text, newline="")
    first = lines.readline(_LONGEST_HEADER)
    if first.startswith("sep=") and len(first.strip()) == 5:
        return lines.readline(_LONGEST_HEADER), 1
    return first, 0


def _delimiter(header: str) -> str | None:
    for delimiter in ",;\t|":
        try:
            cells = next(csv.reader([header], delimiter=delimiter), [])
        except csv.Error:
            continue
        if {"question", "answer"} <= {_normal(cell) for cell in cells}:
            return delimiter
    return None


def _lacking(header: str) -> str:
    """What a first line lacks that is no header."""
    cells = {_normal(cell.strip().strip('"')) for cell in re.split(r"[,;\t|]", header)}
    missing = [f'no "{one}"' for one in ("question", "answer") if one not in cells]
    what = " and ".join(missing) or "its columns with several delimiters"
    return f"the header names {what}: it reads {short(header.strip())}"


def _normal(cell: str) -> str:
    return cell.strip().casefold().replace(" ", "_")


def _columns(name: str, header: Sequence[str]) -> tuple[list[str | None], list[str]]:
    """What each column is, and the names of those that are nothing."""
    columns = [_KNOWN.get(_normal(cell)) for cell in header]
    for known in set(columns) - {None}:
        if columns.count(known) > 1:
            raise BadFile(f"{name}, row 1", f"two columns are the {known}")
    unused = [cell for cell, known in zip(header, columns, strict=True) if known is None and cell]
    return columns, unused


def _csv_pairs(
    name: str, reader: Any, columns: Sequence[str | None], skipped: int
) -> Iterator[Pair]:
    row = 1
    while True:
        row += 1
        place = f"{name}, row {row} (line {reader.line_num + skipped + 1})"
        cells = _next(place, reader)
        if cells is None:
            return
        if any(cells):
            yield _of_cells(place, cells, columns)


@contextmanager
def _cells_of_any_length() -> Iterator[None]:
    """What is too long is refused like any other answer; the rest of the file counts."""
    limit = csv.field_size_limit(_LONGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _next(place: str, reader: Any) -> list[str] | None:
    try:
        return next(reader, None)
    except csv.Error as error:
        words = str(error)
        known = (what for said, what in _CSV_WORDS.items() if said in words)
        raise BadFile(place, next(known, words)) from error


def _of_cells(place: str, cells: Sequence[str], columns: Sequence[str | None]) -> Pair:
    if len(cells) != len(columns):
        raise BadFile(place, f"{len(cells)} cells, but the header has {len(columns)}")
    found = {known: cell for known, cell in zip(columns, cells, strict=True) if known}
    return _pair(place, found)


def _of_object(place: str, found: Mapping[str, Any]) -> Iterator[Pair]:
    fields: dict[str, str] = {}
    for key, value in found.items():
        known = _KNOWN.get(_normal(key))
        if known is None or value is None:
            continue
        if known in fields:
            raise BadFile(place, f"two fields are the {known}")
        fields[known] = _text(place, value, key)
    for name in ("question", "answer"):
        if name not in fields:
            raise BadFile(place, f'there is no "{name}"')
    yield _pair(place, fields)
    for wording in _wordings(place, found):
        yield _pair(place, fields | {"question": wording})


def _object(place: str, line: str) -> Mapping[str, Any]:
    found = parse(place, line)
    if not isinstance(found, dict):
        raise BadFile(place, f"{_sort(found)} where an object belongs")
    return found


def parse(place: str, text: str | bytes) -> Any:
    """Read JSON as the standard has it. Raises BadFile."""
    try:
        return json.loads(text, parse_constant=_no_number)
    except RecursionError as error:
        raise BadFile(place, "it is nested too deeply") from error
    except json.JSONDecodeError as error:
        line = f"line {error.lineno} " if error.lineno > 1 else ""
        at = f"{line}column {error.colno}"
        raise BadFile(place, f"no JSON: {error.msg} at {at}") from error
    except ValueError as error:  # no UTF-8, NaN, or a number of thousands of digits
        raise BadFile(place, f"no JSON: {error}") from error


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")


def _text(place: str, value: Any, key: str) -> str:
    if not isinstance(value, str):
        raise BadFile(place, f'"{key}" is {_sort(value)} where text belongs')
    return value


def _wordings(place: str, found: Mapping[str, Any]) -> list[str]:
    wordings = next((value for key, value in found.items() if _normal(key) == _PARAPHRASES), None)
    wordings = wordings or []
    if not isinstance(wordings, list) or not all(isinstance(one, str) for one in wordings):
        raise BadFile(place, '"paraphrases" is no list of texts')
    return wordings


def _pair(place: str, fields: Mapping[str, str]) -> Pair:
    return pair(
        place, fields["question"], fields["answer"], rejected=fields.get("rejected"),
        scope=fields.get("scope", "").strip(), approver=fields.get("approver", "").strip(),
    )  # fmt: skip


def _sort(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    return names.get(type(value), "nothing" if value is None else "a number")
