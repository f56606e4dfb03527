"""Whether an answer says no more than what it was written from, and whether it says that."""

from __future__ import annotations

import re
from collections.abc import Iterator

# What a house's own facts are made of: ports, versions, limits, prices, dates.
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_LISTED = re.compile(r"^\s*\d+[.)]\s", re.MULTILINE)  # the number of a list's item says nothing
# A word with the marks that hold commands, paths, versions and addresses together.
_WORD = re.compile(r"[~./@-]*\w+(?:[./:@,+=~-]+\w+)*")
_CODE = re.compile(r"\d|_|\w[./@=:]\w|^[~./-]+\w|\w[A-Z]")
_NOT = re.compile(r"\b(?:no|not|never|none|nobody|nothing|cannot|without)\b|n['’]t\b", re.I)
# Of 864 answers by 18 adapters to the demo's held-out wordings, of which 590 passed the demo's own
# checks, `says` took 570, and none of the 274 wrong ones.
MOST = 0.6  # of what carries the fact: an answer may leave out what stands beside it
RARE = 4  # letters at least of a plain word that can carry a fact


def grounded(answer: str, *sources: str) -> bool:
    """Whether every number in the answer stands in one of the sources.

    A model that is given an approved answer to another question may write a number of its own. It
    is not to be shown as if somebody had verified it.
    """
    known = {number for source in sources for number in _NUMBER.findall(source)}
    return known.issuperset(_NUMBER.findall(_LISTED.sub("", answer)))


def says(answer: str, approved: str, *asked: str) -> bool:
    """Whether an answer that was written without the approved one says what that says.

    It names no number, command or name that is not there, has most of those that are (or, without
    any, most of the words), and denies just where the approved one does. In doubt it does not say
    it: being wrong so costs a second try, being wrong the other way a wrong answer.

    Args:
        asked: the questions; what stands in them is neither told nor invented.
    """
    answer, known = _LISTED.sub("", answer), set().union(*map(_words, asked))
    told = _telling(approved) - known
    said = _words(answer)
    if not _telling(answer) <= _words(approved) | known:
        return False
    if bool(_NOT.search(answer)) is not bool(_NOT.search(approved)):
        return False
    carries = told or {word for word in _words(approved) - known if len(word) >= RARE}
    return bool(carries) and len(carries & said) >= MOST * len(carries)


def _words(text: str) -> set[str]:
    """Each word in lower case; of "14GB" also the number."""
    words = {word.group().casefold() for word in _WORD.finditer(text)}
    return words | {found.group() for word in words if (found := re.match(r"\d+(?=[a-z]+$)", word))}


def _telling(text: str) -> set[str]:
    """Numbers, what looks like code, and names inside a sentence, in lower case."""
    return {word.casefold() for word in _told(text)}


def _told(text: str) -> Iterator[str]:
    for word in _WORD.finditer(text):
        before = text[: word.start()].rstrip(" \t*_`\"'“(")
        names = word.group()[0].isupper() and before and before[-1] not in ".:;!?\n-•"
        if names or _CODE.search(word.group()):
            yield word.group()
