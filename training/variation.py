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
LEAD = 0.4
ANOTHER = 0.25
MOST_DROPPED = 0.24  # of the words; each time a share between none and this
INSERTED = 0.0  # of the words, from other questions
SHUFFLED = 0.0
LOWER = 0.3
NO_MARK = 0.3


def vary(
    question: str,
    others: Sequence[str],
    rng: random.Random,
    *,
    share: float,
    strangers: Sequence[str] = (),
) -> str:
    """Word `question` anew with probability `share`; else return it unchanged.

    Args:
        question: the question as it was asked.
        others: other wordings of the same question, from trained rows only.
        rng: the source of every choice.
        share: how often anything changes at all, 0 to 1.
        strangers: questions about something else, whose words may get in between.
    """
    if rng.random() >= share:
        return question
    parts = [question]
    if others and rng.random() < ANOTHER:
        parts.append(rng.choice(others))
    dropped = rng.random() * MOST_DROPPED
    parts = [_thin(part, dropped, rng) for part in parts]
    rng.shuffle(parts)
    words = _mixed(" ".join(parts).split(), strangers, rng)
    if rng.random() < SHUFFLED:
        words = _turned(words, rng)
    text = " ".join(words)
    if rng.random() < LEAD:
        text = f"{rng.choice(LEAD_INS)} {text}"
    if rng.random() < LOWER:
        text = text.lower()
    if rng.random() < NO_MARK:
        text = text.rstrip("?!. ")
    return text or question


def _thin(text: str, dropped: float, rng: random.Random) -> str:
    words = text.split()
    kept = [word for word in words if rng.random() >= dropped]
    return " ".join(kept) if len(kept) >= 2 else text


def _mixed(words: list[str], strangers: Sequence[str], rng: random.Random) -> list[str]:
    if not strangers or not INSERTED:
        return words
    mixed: list[str] = []
    for word in words:
        if rng.random() < INSERTED:
            mixed.append(rng.choice(rng.choice(strangers).split()))
        mixed.append(word)
    return mixed


def _turned(words: list[str], rng: random.Random) -> list[str]:
    """The end of the question before its beginning."""
    if len(words) < 4:
        return words
    at = rng.randrange(1, len(words))
    return words[at:] + words[:at]
