"""How sure an answer is, in words. `Answer.confidence` says what the number is."""

from __future__ import annotations

import math

from bot.store.schema import AnswerMode

# Of a generated answer: the mean probability of its tokens, geometrically.
SURE, FAIRLY_SURE = 0.8, 0.5
NEARLY_THE_SAME = 0.9  # of a quoted one: the cosine between the two questions
_QUOTED = (AnswerMode.QUOTED, AnswerMode.QUOTED_AWAY)


def word(mode: AnswerMode, value: float | None) -> str:
    """One or two words for the line under an answer; empty where there is nothing to say."""
    if value is None or mode in (AnswerMode.CORRECTED, AnswerMode.UNSURE):
        return ""
    if mode in _QUOTED:
        return "sure" if value >= NEARLY_THE_SAME else "fairly sure"
    return _of_its_words(math.exp(value))


def explained(mode: AnswerMode, value: float | None, needed: float | None = None) -> str:
    """A sentence with the number, for a receipt.

    Args:
        needed: of a withheld answer, the value that it would have needed to be shown.
    """
    if value is None:
        return "not known"
    if mode in _QUOTED:
        same = "nearly the same question" if value >= NEARLY_THE_SAME else "a similar question"
        return f"{same} was answered before (similarity {value:.2f} of 1)"
    sure = math.exp(value)
    words = _of_its_words(sure)
    asked = "" if needed is None else f", where {min(math.exp(needed), 1):.0%} were needed"
    return (
        f"{words} of its words ({sure:.0%} on average for each{asked}; log-probability {value:.2f})"
    )


def recognised(mode: AnswerMode, logprob: float) -> str:
    """By whom an answer's example was recognised, with the number, for a receipt.

    Args:
        mode: the answer's.
        logprob: the example's `AnswerExample.recognised_logprob`.
    """
    # Weights are asked only about what memory alone would not quote.
    only = "; memory alone would not have quoted it" if mode is AnswerMode.QUOTED else ""
    return (
        f"by weights that were taught it ({math.exp(logprob):.0%} on average for each of its "
        f"words; log-probability {logprob:.2f}){only}"
    )


def _of_its_words(probability: float) -> str:
    if probability >= SURE:
        return "sure"
    return "fairly sure" if probability >= FAIRLY_SURE else "unsure"
