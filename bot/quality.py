"""What is too poor to be learned from: each refusal says why, for the person who approved it."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

from bot.hollow import why_hollow
from bot.prompt import MAX_QUESTION_CHARS
from bot.redaction import bare

MAX_ANSWER_CHARS = 3000  # what one Slack text block holds, so that quoting needs no cutting

_LINK = re.compile(r"\w+://\S+")
_FILLER_TEXT = """
    hi hello hey hiya yo moin hallo good morning afternoon evening day there all everyone team
    folks guys thanks thank you thx ty cheers ok okay yes no yep yeah yup nope sure great cool nice
    please pls welcome works worked that it did done same me too plus one lol hmm ah oh exactly
    anyone anybody here can could someone somebody help i need have a question bye np problem
"""
_FILLER = frozenset(_FILLER_TEXT.split())


_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_LONG_CODE = 15  # lines
_LONGEST_WORD = 300  # characters: longer ones are data, unless they are a link
_OVER_AND_OVER = 12  # words, of which hardly one in six is another
# Text that could steer whoever reads it in a prompt, and the marks of chat templates.
_STEERS = re.compile(
    r"\b(?:ignore|disregard|forget|override)\b(?:\W+\w+){0,4}?\W+"
    r"(?:instructions?|prompts?|rules|guidelines)\b"
    r"|\b(?:reveal|print|show|repeat|leak|output)\b(?:\W+\w+){0,3}?\W+"
    r"(?:system prompt|(?:hidden|secret|system|your) (?:instructions|prompt))\b"
    r"|\byou are now (?:in )?(?:a |an |the )?(?:\w+ )?(?:mode|dan|jailbroken|unrestricted)\b"
    r"|<\|[\w-]+\|>|\[/?INST\]|<</?SYS>>|^\s*(?:###\s*)?(?:system|assistant)\s*:",
    re.IGNORECASE | re.MULTILINE,
)


def refusal(question: str, answer: str) -> str | None:
    """Why nothing can be learned from a clean question and answer, in words; None if it can."""
    return _refuse_question(question) or _refuse_answer(question, answer)


def normalised(text: str) -> str:
    """`text` as far as it matters for being the same question: words in lower case."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def same(one: str, other: str) -> bool:
    """Whether two texts say the same words."""
    return normalised(one) == normalised(other)


def is_filler(text: str) -> bool:
    """Whether it is made of nothing but greetings, thanks, yes, no, and the like."""
    return set(normalised(text).split()) <= _FILLER


def _refuse_question(question: str) -> str | None:
    if len(question) > MAX_QUESTION_CHARS:
        return f"the question is longer than {MAX_QUESTION_CHARS} characters"
    return _refuse_empty("question", question, fewest_words=2) or _refuse_noise(
        "question", question
    )


def _refuse_answer(question: str, answer: str) -> str | None:
    if len(answer) > MAX_ANSWER_CHARS:
        return f"the answer is longer than {MAX_ANSWER_CHARS} characters"
    if reason := _refuse_empty("answer", answer, fewest_words=1):
        return reason
    if same(question, answer):
        return "the answer only repeats the question"
    if answer.rstrip().endswith("[…]"):
        return "the answer was cut short"
    if _asks_back(answer):
        return "the answer is a question itself"
    return _refuse_noise("answer", answer) or why_hollow(answer) or _refuse_dump(answer)


def _refuse_empty(what: str, text: str, fewest_words: int) -> str | None:
    if not text:
        return f"the {what} is empty"
    words = normalised(bare(text)).split()
    if not words:
        return f"nothing is left of the {what} after redaction, or it has no words"
    if not normalised(_LINK.sub(" ", bare(text))):
        return f"the {what} is only a link"
    if is_filler(bare(text)):
        return f"the {what} is only a greeting, thanks or a yes or no"
    if len(words) < fewest_words:
        return f"the {what} is too short"
    return None


def _refuse_noise(what: str, text: str) -> str | None:
    if _is_unprintable(text):
        return f"the {what} has characters that cannot be seen or printed"
    if _STEERS.search(text):
        return f"the {what} reads like instructions to a language model"
    words = normalised(_LINK.sub(" ", text)).split()
    if any(len(word) > _LONGEST_WORD for word in words):
        return f"the {what} has a word of more than {_LONGEST_WORD} characters: that is no text"
    if len(words) >= _OVER_AND_OVER and len(set(words)) * 6 <= len(words):
        return f"the {what} says the same few words over and over"
    return None


def _is_unprintable(text: str) -> bool:
    """Control characters, text that runs backwards, or more marks and joiners than letters."""
    kinds = Counter(unicodedata.category(sign) for sign in text if sign not in "\t\n\r")
    turned = any("\u202a" <= sign <= "\u202e" or "\u2066" <= sign <= "\u2069" for sign in text)
    unseen = sum(kinds[kind] for kind in ("Cf", "Cn", "Co", "Cs"))
    marks = kinds["Mn"] + kinds["Me"]
    return bool(kinds["Cc"]) or turned or unseen * 4 > len(text) or marks * 2 > len(text)


def _refuse_dump(answer: str) -> str | None:
    code = [piece.count("\n") for piece in _CODE.findall(answer)]
    if sum(code) > _LONG_CODE and not normalised(_CODE.sub(" ", answer)):
        return "the answer is a long piece of code or a log without a word on it"
    return None


def _asks_back(answer: str) -> bool:
    ends = re.findall(r"[.!?…](?=\s|$)", answer.strip())
    return answer.strip().endswith("?") and set(ends) == {"?"}
