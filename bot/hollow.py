"""Answers that helped in their thread, and help nobody who asks later."""

from __future__ import annotations

import re

from bot.courtesies import cut

_SENTENCES = re.compile(r"[.!?…\n]+|(?<=\w), ")
_REASONS = {
    "the answer only says that somebody does not know": (
        r"sorry",
        r"(?:i|we) (?:really |honestly )?(?:don'?t|do not) know(?: (?:that|it|yet|either|sorry))*",
        r"(?:i (?:have |'ve )?)?(?:got )?no (?:idea|clue)",
        r"(?:i'?m |i am )?not (?:really |quite )?sure",
        r"idk",
        r"dunno",
        r"(?:i |we )?(?:can'?t|cannot) (?:help|answer|say)(?: (?:you|that|this|with that))*",
        r"as an ai\b.*",
        r"i(?:'m| am) (?:unable|not able) to (?:help|answer)\b.*",
    ),
    "the answer points to something that is not in it": (
        r"(?:please )?(?:see|look|read|scroll|check) (?:above|below|up|up there|the thread)",
        r"(?:as|like) (?:i )?(?:said|wrote|mentioned)(?: (?:above|before|already))?",
        r"(?:please )?(?:check|see|look at) your (?:dms?|inbox|e?-?mails?|messages)",
        r"(?:(?:i|i'?ll|i will|we) )?(?:just )?(?:sent|send|dm'?e?d?|emailed) you(?: .{0,30})?",
        r"(?:please )?(?:dm|ping|call|message) me(?: .{0,30})?",
        r"same as (?:above|before|last time)",
        r"\^+",
        r"this",
    ),
    "the answer says that something was done, not how to do it": (
        r"(?:it'?s |it is |that'?s |(?:it |that )?should be |is )?(?:all )?"
        r"(?:done|fixed|resolved|solved|working|back|up)"
        r"(?: (?:it|again|now|for you|and running|online))*",
        r"(?:it |that )?(?:should |does )?works? (?:again|now|for me)(?: (?:now|again))?",
        r"(?:i |we )?(?:have |'ve )?(?:just |now )?"
        r"(?:fixed|restarted|reset|rebooted|changed|did|redeployed) (?:it|that|this|them)"
        r"(?: (?:now|again|for you))*",
        r"(?:please )?(?:try|retry|check)(?: it)?(?: once)? (?:again|now)",
    ),
}
_FORMS = {why: re.compile("|".join(forms)) for why, forms in _REASONS.items()}


def why_hollow(answer: str) -> str | None:
    """What each sentence of an answer is short of, in words; None if one says more."""
    said = cut(answer).casefold().replace("\u2019", "'")
    sentences = [one.strip(" ,:;-*_()") for one in _SENTENCES.split(said)]
    reasons = [_why(one) for one in sentences if one]
    return next(iter(reasons), None) if all(reasons) else None


def _why(sentence: str) -> str | None:
    return next((why for why, form in _FORMS.items() if form.fullmatch(sentence)), None)
