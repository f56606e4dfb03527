"""Taking secrets and personal data out of text before it is learned.

Known shapes only: e-mail addresses, phone numbers, US social security numbers, bank and card
numbers (checksums verified), and keys, tokens and passwords. Names and postal addresses are not
recognised. Technical text (ports, versions, dates, hosts, paths, commands) is left alone. Libraries
were weighed: detect-secrets reports secrets in quoted source code instead of replacing them in
prose, and phonenumbers needs to know the country to see a national number.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from urllib.parse import quote

from bot.sensitive import RULES, Rule, Span

PLACEHOLDER = re.compile(r"\[(?:email|phone|secret|ssn|iban|card)\]")
# Shorter values are ordinary words and numbers too often to be hunted for everywhere.
_SHORTEST_VALUE = 4
_SEPARATORS = r"[ ()./\-]*"
# Invisible characters and full-width letters would otherwise hide an address from every rule.
_INVISIBLE = re.compile("(?<=[!-~])[\u00ad\u200b-\u200d\u2060\ufeff]+(?=[!-~])")
_FULL_WIDTH = {0xFF01 + i: 0x21 + i for i in range(94) if chr(0x21 + i).isalnum()} | {0xFF20: "@"}


def redact(text: str, keep: Collection[str] = ()) -> str:
    """Return `text` with a placeholder such as ``[email]`` for each secret or personal detail.

    A value that was found once goes everywhere in the text, also where it stands without the word
    that gave it away. Redacting twice changes nothing more.

    Args:
        text: plain text (see `bot.mrkdwn.plain`).
        keep: what the house itself publishes, never redacted: an address or a number, exactly as
            written, or a domain, for each address there.
    """
    return redact_together([text], keep)[0]


def redact_together(texts: Sequence[str], keep: Collection[str] = ()) -> list[str]:
    """Redact texts that belong together: a value found in one of them goes from all of them."""
    kept = {value.casefold() for value in keep}
    current = [_visible(text) for text in texts]
    while (cleaner := _pass(current, kept)) != current:
        current = cleaner
    return current


def _pass(texts: list[str], kept: set[str]) -> list[str]:
    found: dict[str, str] = {}
    for rule in RULES:
        for index, text in enumerate(texts):
            spans = [span for span in rule.spans(text) if not _is_kept(_at(text, span), rule, kept)]
            found.update((_at(text, span), rule.placeholder) for span in spans)
            texts = [*texts[:index], _replace(text, spans, rule), *texts[index + 1 :]]
    for value, placeholder in sorted(found.items(), key=lambda item: -len(item[0])):
        texts = [_outside(text, _traces(value, placeholder), placeholder) for text in texts]
    return texts


def _is_kept(value: str, rule: Rule, kept: Collection[str]) -> bool:
    """Whether the house publishes it. A domain is that of an address: passwords hold @, too."""
    whole = value.casefold()
    domain = whole.rpartition("@")[2] if rule.placeholder == "[email]" else whole
    return any(one in kept for one in (whole, domain, f"@{domain}"))


def _at(text: str, span: Span) -> str:
    return text[span[0] : span[1]]


def _visible(text: str) -> str:
    return _INVISIBLE.sub("", text.translate(_FULL_WIDTH))


def _replace(text: str, spans: list[Span], rule: Rule) -> str:
    for start, end in reversed(spans):
        text = f"{text[:start]}{rule.placeholder}{text[end:]}"
    return text


def _outside(text: str, pattern: re.Pattern[str] | None, placeholder: str) -> str:
    """Replace `pattern`, but not inside placeholders (a password may be the word "secret")."""
    if pattern is None:
        return text
    pieces = []
    start = 0
    for match in PLACEHOLDER.finditer(text):
        pieces += [pattern.sub(placeholder, text[start : match.start()]), match[0]]
        start = match.end()
    return "".join([*pieces, pattern.sub(placeholder, text[start:])])


def _traces(value: str, placeholder: str) -> re.Pattern[str] | None:
    """What `value` may look like elsewhere, or None where looking would do harm."""
    if len(value) < _SHORTEST_VALUE:
        return None
    if placeholder in ("[phone]", "[card]", "[iban]", "[ssn]"):
        return _respaced(value, placeholder)
    forms = "|".join(re.escape(form) for form in sorted({value, quote(value, safe="")}, key=len))
    border = (r"(?<!\w)", r"(?!\w)") if len(value) < 6 else ("", "")
    return re.compile(f"{border[0]}(?:{forms}){border[1]}", re.IGNORECASE)


def _respaced(value: str, placeholder: str) -> re.Pattern[str]:
    """The same digits with other separators; of a phone number also without its country code."""
    signs = [sign for sign in value if sign.isalnum()]
    prefix = ""
    if placeholder == "[phone]" and len(signs) > 8:
        signs = signs[-8:]
        prefix = rf"\+?\(?(?:\d{_SEPARATORS}){{0,7}}"
    digits = _SEPARATORS.join(signs)
    return re.compile(rf"(?<![\w]){prefix}{digits}(?!\w)", re.IGNORECASE)


def placeholders(*texts: str) -> list[str]:
    """The placeholders in the texts, such as ``[email]``, each as often as it stands there."""
    return [found for text in texts for found in PLACEHOLDER.findall(text)]


def bare(text: str) -> str:
    """Return `text` without placeholders: what is left to learn from."""
    return PLACEHOLDER.sub(" ", text)
