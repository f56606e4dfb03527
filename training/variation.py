"""Questions worded anew: the same fact should be found however it is asked for.

Plain and without a model. What a row becomes is a function of the generator that is passed in, so
a run that was interrupted draws the same words again.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

LEAD_INS = (
    "Hi,", "Hello!", "Hey,", "hey team,", "Hi all,", "Good morning,", "Quick question:",
    "quick one:", "Question:", "Please help:", "Can somebody tell me:", "Does anyone know:",
    "I was wondering,", "Sorry to bother you,", "Another one:", "Asking for a colleague:",
    "A user asks:", "A customer wants to know:", "Just checking:", "Help please,", "So,", "ok so",
    "We have a question.", "I need to know this today:", "Thanks in advance:", "um,",
)  # fmt: skip
DROP = 0.12  # of the words
LOWER = 0.3
NO_MARK = 0.3
LEAD = 0.4
ANOTHER = 0.25


def vary(question: str, others: Sequence[str], rng: random.Random, *, share: float) -> str:
    """Word `question` anew with probability `share`; else return it unchanged.

    Args:
        question: the question as it was asked.
        others: other wordings of the same question, from trained rows only.
        rng: the source of every choice.
        share: how often anything changes at all, 0 to 1.
    """
    if rng.random() >= share:
        return question
    text = _drop_words(question, rng)
    if others and rng.random() < ANOTHER:
        text = f"{text} {rng.choice(others)}"
    if rng.random() < LEAD:
        text = f"{rng.choice(LEAD_INS)} {text}"
    if rng.random() < LOWER:
        text = text.lower()
    if rng.random() < NO_MARK:
        text = text.rstrip("?!. ")
    return text or question


def _drop_words(text: str, rng: random.Random) -> str:
    words = text.split()
    kept = [word for word in words if rng.random() >= DROP]
    return " ".join(kept) if len(kept) >= 2 else text
