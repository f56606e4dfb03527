"""Whether an answer says no more than what it was written from."""

from __future__ import annotations

import re

# What a house's own facts are made of: ports, versions, limits, prices, dates.
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_LISTED = re.compile(r"^\s*\d+[.)]\s", re.MULTILINE)  # the number of a list's item says nothing


def grounded(answer: str, *sources: str) -> bool:
    """Whether every number in the answer stands in one of the sources.

    A model that is given an approved answer to another question may write a number of its own. It
    is not to be shown as if somebody had verified it.
    """
    known = {number for source in sources for number in _NUMBER.findall(source)}
    return known.issuperset(_NUMBER.findall(_LISTED.sub("", answer)))
