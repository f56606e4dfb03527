"""How much of what is learned may be one person's word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bot.mrkdwn import IMPORTED
from bot.store.schema import Example

FREE = 20  # so many examples of each person always count: a house with one teacher learns, too


def balanced(examples: Sequence[Example], most: float) -> tuple[list[Example], int]:
    """The examples without what is too much of one person's word, and how many were left out.

    Of each person at most `FREE` are kept, or the share `most` of all that are kept if that is
    more: the newest, in the order given. Nobody loses one that could have stayed.

    What came by a file is nobody's share: whoever imports answers for the house's own texts, and
    a FAQ of a thousand rows is not one person's thousand words. It counts for the whole.
    """
    said = [one for one in examples if not is_imported(one)]
    given = Counter(example.approved_by for example in said)
    files = len(examples) - len(said)
    limit = max(given.values(), default=0)
    # Every example that goes makes the whole smaller, and with it everybody's share of it.
    while limit > (allowed := _allowed(given, limit, most, files)):
        limit = allowed
    kept: Counter[str] = Counter()
    chosen = []
    for example in sorted(said, key=lambda one: one.id or 0, reverse=True):
        kept[example.approved_by] += 1
        if kept[example.approved_by] <= limit:
            chosen.append(example.id)
    wanted = set(chosen)
    kept_all = [one for one in examples if one.id in wanted or is_imported(one)]
    return kept_all, len(examples) - len(kept_all)


def is_imported(example: Example) -> bool:
    """Whether it came by a file, and not by anybody's mark in Slack."""
    return example.approved_by.startswith(IMPORTED)


def reason(most: float) -> str:
    """Why an example was left out, for the dataset's counts."""
    much = "half" if most == 0.5 else f"{most:.0%}"
    return f"more than {much} of what is learned would be one person's word"


def _allowed(given: Counter[str], limit: int, most: float, files: int) -> int:
    whole = files + sum(min(count, limit) for count in given.values())
    return max(FREE, int(most * whole + 1e-9))  # 0.1 * 30 is a hair less than 3
