"""Questions worded anew: the same fact should be found however it is asked for.

Plain and without a model. What a question becomes is a function of the generator that is passed
in, so a run that was interrupted draws the same words again.
"""

from __future__ import annotations

import random
import re
from collections import Counter
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
DROPPED = 0.12  # of the words
LOWER = 0.3
NO_MARK = 0.3
HOUSE = 0.2  # of the questions have a house word in them
MOST_HOUSE_WORDS = 3
LEAST_HOUSE = 3  # questions


def vary(question: str, rng: random.Random, *, share: float, others: Sequence[str] = ()) -> str:
    """Word `question` anew with probability `share`; else return it unchanged.

    Args:
        question: the question as it was asked.
        rng: the source of every choice.
        share: how often anything changes at all, 0 to 1.
        others: other wordings of the same question, from trained rows only.
    """
    if rng.random() >= share:
        return question
    text = _thin(question, rng)
    if others and rng.random() < ANOTHER:
        text = f"{text} {_thin(rng.choice(others), rng)}"
    if rng.random() < LEAD:
        text = f"{rng.choice(LEAD_INS)} {text}"
    if rng.random() < LOWER:
        text = text.lower()
    if rng.random() < NO_MARK:
        text = text.rstrip("?!. ")
    return text or question


def _thin(text: str, rng: random.Random) -> str:
    words = text.split()
    kept = [word for word in words if rng.random() >= DROPPED]
    return " ".join(kept) if len(kept) >= 2 else text


def house_words(questions: Sequence[str], everyday: Sequence[str]) -> list[str]:
    """The words that many questions share and everyday prompts never use: the product's name.

    Returns:
        At most three, the commonest first, as they are usually written.
    """
    common = {word.casefold() for prompt in everyday for word in _words(prompt)}
    seen: Counter[str] = Counter()
    spelt: dict[str, Counter[str]] = {}
    for question in questions:
        for word in set(_words(question)):
            seen[word.casefold()] += 1
            spelt.setdefault(word.casefold(), Counter())[word] += 1
    least = max(LEAST_HOUSE, HOUSE * len(questions))
    often = [word for word, n in seen.most_common() if n >= least and word not in common]
    return [spelt[word].most_common(1)[0][0] for word in often[:MOST_HOUSE_WORDS]]


def name_house(prompt: str, word: str, rng: random.Random) -> str:
    """The prompt as somebody would ask it about the house's own product."""
    bare = prompt.rstrip("?!. ")
    forms = (f"{bare} in {word}?", f"{word}: {prompt}", f"{bare} with {word}?", f"{word} {prompt}")
    return rng.choice(forms)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text)
