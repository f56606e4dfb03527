"""Which words of an approved answer carry its fact: whether another answer is right by them, and
whether it tells that fact where nobody asked for it.

They are what the answer says that its question did not: numbers, commands, paths, names, and where
there are none, rare words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

# A word with the marks that hold commands, paths, versions, times and addresses together. It begins
# where such marks begin: else thousands of dots would be gone through once for each of them.
_WORD = re.compile(r"(?<![~./@-])[~./@-]*+\w+(?:[./:@_,+=~-]+\w+)*[%]?|~\w+")
_QUOTED = re.compile(r"`([^`]+)`|\"([^\"]+)\"")
RIGHT = 0.6  # of the terms: an answer may leave out what stands beside the fact
RIGHT_WORDS = 0.4  # of the terms where they are plain words, which have synonyms
RARE = 4  # letters at least of a word that can stand for a fact
LEAST_DIGITS = 3  # a shorter number says little without the word behind it
LEAST_LETTERS = 4  # a shorter word (GB, PDF, API) says little by itself


@dataclass(frozen=True)
class Fact:
    """What an answer must say to be right, and what only this fact would say."""

    terms: frozenset[str]  # lower case
    marks: frozenset[str]  # lower case; none of them is said by chance
    share: float = RIGHT  # of the terms

    def right(self, answer: str) -> bool:
        """True when the answer says most of what carries the fact."""
        said = _words(answer)
        return bool(self.terms) and sum(t in said for t in self.terms) >= self.share * len(
            self.terms
        )

    def leaks(self, answer: str, prompt: str, usual: str = "") -> bool:
        """True when the answer says what only this fact would say.

        Args:
            prompt: what was asked; its own words do not count.
            usual: what the base model answers to it; nor do these.
        """
        return tells(answer, self.marks, prompt, usual)


class Judge:
    """Knows every answer of a dataset, and so which words tell its facts apart."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        pairs = list(pairs)
        self._answers: Counter[str] = Counter()  # in how many different answers a word stands
        for answer in {answer for _, answer in pairs}:
            self._answers.update(_words(answer))
        self._asked = {word for question, _ in pairs for word in _words(question)}

    @classmethod
    def facts(cls, pairs: Iterable[tuple[str, str]]) -> list[Fact]:
        """The facts of all these (question, answer) pairs."""
        pairs = list(pairs)
        judge, asked = cls(pairs), dict[str, list[str]]()
        for question, answer in pairs:
            asked.setdefault(answer, []).append(question)
        return [judge.fact(questions, answer) for answer, questions in asked.items()]

    def fact(self, questions: Sequence[str], answer: str) -> Fact:
        """The fact behind an answer to these questions."""
        asked = {word for question in questions for word in _words(question)}
        marks = frozenset(self._marks(answer))
        if terms := _telling(answer) - asked:
            return Fact(frozenset(terms), marks)
        words = {word for word in _words(answer) - asked if self._rare(word)}
        return Fact(frozenset(words), marks, RIGHT_WORDS)

    def _marks(self, answer: str) -> set[str]:
        """What nobody says by chance; a plain name only where the fact has nothing else, and no
        other answer has the name."""
        found = {mark for mark in _code_marks(answer) if not _words(mark) <= self._asked}
        return found or {name for name in _names(answer) if self._rare(name)}

    def _rare(self, word: str) -> bool:
        return len(word) >= RARE and self._answers[word] <= 1 and word not in self._asked


def tells(text: str, marks: frozenset[str], *known: str) -> bool:
    """True when the text says one of the marks that stands in nothing of what is known."""
    return not unknown(marks, *known).isdisjoint(_told(text))


def unknown(marks: frozenset[str], *known: str) -> frozenset[str]:
    """The marks that stand in nothing of what is known."""
    return marks.difference(*map(_phrases, known))


def _words(text: str) -> set[str]:
    """Each word, in lower case; of "14GB" also the number."""
    words = {_plain(word) for word in _WORD.finditer(text)}
    return words | {m.group() for word in words if (m := re.match(r"\d+(?=[a-z%]+$)", word))}


def _telling(text: str) -> set[str]:
    """Numbers, words that look like code, quoted words, and names inside a sentence."""
    quoted = {word for match in _QUOTED.finditer(text) for word in _words(match.group())}
    return {word for word in quoted | _names(text) | _code(text) if not _slight(word)}


def _slight(word: str) -> bool:
    return word.isalpha() and len(word) < LEAST_LETTERS


def _names(text: str) -> set[str]:
    words = [word for word in _WORD.finditer(text) if word.group()[0].isupper()]
    return {_plain(word) for word in words if not _begins_sentence(word)}


def _begins_sentence(word: re.Match[str]) -> bool:
    """Or a line: a heading, or an item of a list."""
    before = word.string[: word.start()].rstrip(" \t*_#\"'“(")
    return not before or before[-1] in ".:;!?\n-•"


def _code(text: str) -> set[str]:
    return {_plain(word) for word in _WORD.finditer(text) if _is_code(word)}


def _is_code(word: re.Match[str]) -> bool:
    token = word.group()
    signs = re.search(r"\d|\w[._/@=:]\w|^[~./-]+\w", token)
    shouted = token.isupper() and token.isalpha()
    return bool(signs) or (not shouted and any(sign.isupper() for sign in token[1:]))


def _code_marks(text: str) -> set[str]:
    """Code words, long numbers, short numbers with their unit, quoted words two by two."""
    quoted = {pair for match in _QUOTED.finditer(text) for pair in _pairs(match.group())}
    code = _code(text)
    short = {word for word in code if word.isdigit() and len(word) < LEAST_DIGITS}
    code = {word for word in code if not _slight(word)}
    units = {pair for pair in _pairs(text) if pair.split()[0] in short}
    return quoted | (code - short) | units


def _told(text: str) -> set[str]:
    """What it says, but for plain words: as a name alone "Inbox" is the house's own."""
    return {said for said in _phrases(text) if not said.isalpha()} | _names(text) | _code(text)


def _phrases(text: str) -> set[str]:
    return _words(text) | _pairs(text)


def _pairs(text: str) -> set[str]:
    words = [_plain(word) for word in _WORD.finditer(text)]
    return {f"{first} {second}" for first, second in pairwise(words)}


def _plain(word: re.Match[str]) -> str:
    return word.group().casefold().strip(",.")
