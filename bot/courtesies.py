"""Cutting greetings, thanks and sign-offs off what people say to each other.

Only whole sentences and the words of address before one go: nothing is reworded, and code stays.
"""

from __future__ import annotations

import re

_CODE = re.compile(r"(```.*?(?:```|\Z))", re.DOTALL)
# The space between two sentences. Looked for only where space begins: a long run is read once.
_ENDS = re.compile(r"(?<!\s)(\s*\n\s*|(?<=[.!?…])[ \t]+)")
_EMOJI = re.compile(r":[a-z0-9_+'-]+:(?::skin-tone-\d:)?|[:;=][-o']?[)(\]\[dp/\\|*](?!\w)", re.I)
# Whom a message is for: a mention, as Slack writes it.
_ADDRESS = re.compile(r"(?m)^[ \t]*(?:<@[^<>\n]*>[ \t]*[,:;!.-]*[ \t]*)+|\A\s*[,:;]+[ \t]+")
_THEM = r"(?i:there|all|everyone|everybody|team|folks|guys|again|friends|mate)"
_HELLOS = (
    r"hi|hiya|hello|hey|heya|yo|howdy|moin|hallo|greetings|good (?:morning|afternoon|evening|day)"
)
_HELLO = re.compile(
    rf"^\s*(?i:(?:guys|folks|everyone|everybody|team)(?=,)|(?:{_HELLOS})\b)"
    rf"(?:,?[ \t]+{_THEM}|[ \t]+<@[^<>\n]*>|[ \t]+@?[A-Z]\w*(?:-\w+)*){{0,2}}"
    r"[ \t]*(?:[,!.;:]+|-+(?=\s)|\n|$)\s*"
)
# A sentence of these words alone says nothing …
_EMPTY_TEXT = """
    hi hiya hello hey heya yo howdy moin hallo greetings good morning afternoon evening day there
    all everyone everybody team folks guys again mate friends thanks thank you thx ty tks cheers
    lot lots a so much very many advance in anyway np yw welcome pleasure most problem worries no
    regards best kind bye later lol haha please pls help me anyone anybody here someone somebody can
    could question have i got quick any
"""
_EMPTY = frozenset(_EMPTY_TEXT.split())
# … if one of these is among them: "no", "all" and "later" alone may be the answer.
_KIND_TEXT = """
    hi hiya hello hey heya yo howdy moin hallo greetings thanks thank thx ty tks cheers np yw
    welcome pleasure regards bye lol haha question help worries problem morning afternoon evening
    anyone anybody someone somebody
"""
_KIND = frozenset(_KIND_TEXT.split())
_SIGN_OFF = re.compile(
    r"(?:i )?hope (?:that|this|it)(?: all)? (?:helps|helped|works)(?: you)?(?: out)?"
    r"|let me know if (?:that|this|it) (?:helps|works|helped|worked)(?: for you)?"
    r"|let (?:me|us) know (?:if|should) you (?:need|have) (?:any(?:thing)?|more|further)\b.{0,40}"
    r"|(?:you'?re|you are|ur) (?:very |most )?welcome"
    r"|(?:don'?t mention it|any ?time|my pleasure|no (?:problem|worries)(?: at all)?)"
    r"|good luck(?: with (?:it|that))?|(?:glad|happy) (?:to help|i could help|it (?:works|helped))"
    r"|(?:many )?thanks?(?: you)?(?: very| so)?(?: much| a lot)?(?: in advance)?"
    r"(?: for (?:the|your|any|all|all your) (?:help|time|answers?|reply|advice))?"
    r"|(?:thanks|cheers|regards|best regards|kind regards),? ?[a-z]+|best, ?[a-z]+",
    re.IGNORECASE,
)


def cut(text: str) -> str:
    """A message (mrkdwn or plain) without what is only courtesy; all of it if nothing else is."""
    pieces = _CODE.split(text)
    # Odd pieces are code.
    pieces[::2] = [_cut_prose(piece) for piece in pieces[::2]]
    rest = "".join(pieces).strip()
    return rest if _says_something(rest) else text.strip()


def is_courtesy(text: str) -> bool:
    """Whether there is nothing but courtesy in a message."""
    return not _says_something(_cut_prose(text))


def _cut_prose(prose: str) -> str:
    parts = _ENDS.split(_HELLO.sub("", _ADDRESS.sub("", prose)))
    kept = [
        part + (parts[at + 1] if at + 1 < len(parts) else "")
        for at, part in enumerate(parts)
        if at % 2 == 0 and not _is_kind(part)
    ]
    return "".join(kept)


def _is_kind(sentence: str) -> bool:
    said = " ".join(_EMOJI.sub(" ", sentence).replace("\u2019", "'").split()).strip(" .,!?…-~*_")
    if not said:
        return bool(sentence.strip()) and _says_nothing_else(sentence)
    words = re.findall(r"\w+", said.casefold())
    if words and set(words) <= _EMPTY and not _KIND.isdisjoint(words):
        return True
    return bool(_SIGN_OFF.fullmatch(said) or _HELLO.fullmatch(sentence))


def _says_nothing_else(sentence: str) -> bool:
    """Whether what has no words is a face or a dot, and not a sign that means something."""
    return not re.sub(r"[.,!…~]", "", _EMOJI.sub("", sentence)).strip()


def _says_something(text: str) -> bool:
    return bool(re.search(r"\w", _EMOJI.sub("", text)))
