"""How much of what is learned may be one person's word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bot.store.schema import Example

FREE = 20  # so many examples of each person always count: a house with one teacher learns, too


def balanced(examples: Sequence[Example], most: float) -> tuple[list[Example], int]:
    """The examples without what is too much of one person's word, and how many were left out.

    Of each person at most `FREE` are kept, or the share `most` of all that are kept if that is
    more: the newest, in the order given. Nobody loses one that could have stayed.
    """
    given = Counter(example.approved_by for example in examples)
    limit = max(given.values(), default=0)
    # Every example that goes makes the whole smaller, and with it everybody's share of it.
    while limit > (allowed := _allowed(given, limit, most)):
        limit = allowed
    kept: Counter[str] = Counter()
    chosen = []
    for example in sorted(examples, key=lambda one: one.id or 0, reverse=True):
        kept[example.approved_by] += 1
        if kept[example.approved_by] <= limit:
            chosen.append(example.id)
    wanted = set(chosen)
    return [one for one in examples if one.id in wanted], len(examples) - len(wanted)


def reason(most: float) -> str:
    """Why an example was left out, for the dataset's counts."""
    much = "half" if most == 0.5 else f"{most:.0%}"
    return f"more than {much} of what is learned would be one person's word"


def _allowed(given: Counter[str], limit: int, most: float) -> int:
    whole = sum(min(count, limit) for count in given.values())
    return max(FREE, int(most * whole + 1e-9))  # 0.1 * 30 is a hair less than 3
