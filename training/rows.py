"""The rows of a frozen dataset, as they lie in its JSON Lines file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

# "rejected": an answer that staff called wrong, without a right one. Nothing is measured on it.
Split = Literal["train", "held_out_wording", "held_out_question", "rejected"]


class Row(BaseModel):
    """One example in one split; rows of one `cluster` are wordings of the same question."""

    model_config = ConfigDict(frozen=True)

    example_id: int
    cluster: int
    split: Split
    question: str
    answer: str  # "" in a rejected row
    rejected: str | None = None
    # What sort of question it is, by name. Known when it is asked, and never frozen: with an age
    # in it, a dataset would be a new one each day.
    slices: Mapping[str, str] = Field(default_factory=dict, exclude=True)


def read(path: Path) -> list[Row]:
    """Read a dataset's rows in their order."""
    return [Row.model_validate_json(line) for line in path.read_text("utf-8").splitlines() if line]


def write(rows: Iterable[Row], path: Path) -> None:
    """Write rows, one JSON object a line."""
    path.write_text("".join(row.model_dump_json() + "\n" for row in rows), "utf-8")


def of_split(rows: Iterable[Row], split: Split) -> list[Row]:
    """The rows of one split, in order."""
    return [row for row in rows if row.split == split]
