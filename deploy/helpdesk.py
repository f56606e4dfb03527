"""The help desk of an invented product: what the demo teaches Mynah, and how answers are marked.

No base model can know these facts, so whatever it gets right it has learned here.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

Kind = Literal["fact", "once", "near"]


@dataclass(frozen=True)
class Fact:
    """One thing that the help desk is asked.

    fact: five wordings, the last of them held out of training.
    once: one wording, asked a single time.
    near: one wording that no fact answers; `answer` is empty and there are no checks, and a reply
    that passes the checks of any fact is a leak.
    """

    kind: Kind
    id: str
    wordings: tuple[str, ...]
    answer: str
    checks: tuple[tuple[str, ...], ...]


def load() -> list[Fact]:
    """Every row of helpdesk.jsonl, in its order: 48 facts, 10 asked once, 20 near."""
    text = files("deploy").joinpath("helpdesk.jsonl").read_text(encoding="utf-8")
    return [_fact(line) for line in text.splitlines()]


def passes(answer: str, checks: Sequence[Sequence[str]]) -> bool:
    """True when each group of `checks` has at least one of its strings in `answer`, in any case.

    Without checks nothing passes: a question that no fact answers has no right answer.
    """
    said = answer.casefold()
    return bool(checks) and all(
        any(accepted.casefold() in said for accepted in group) for group in checks
    )


def _fact(line: str) -> Fact:
    row = json.loads(line)
    return Fact(
        kind=row["kind"],
        id=row["id"],
        wordings=tuple(row["wordings"]),
        answer=row.get("answer", ""),
        checks=tuple(tuple(group) for group in row.get("checks", ())),
    )
