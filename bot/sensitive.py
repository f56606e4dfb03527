"""The shapes of secrets and personal data that must never be learned."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Span = tuple[int, int]


def _all(value: str) -> int:
    return len(value)


@dataclass(frozen=True)
class Rule:
    """What to look for, and what stands in its place.

    The group "value", where there is one, is the part that goes. `accept` says how much of it,
    from its start, really is one: its length, or 0 for a harmless look-alike.
    """

    placeholder: str
    pattern: re.Pattern[str]
    accept: Callable[[str], int] = _all

    def spans(self, text: str) -> Iterator[Span]:
        """Yield where values stand in `text`, in order, without overlap."""
        group = "value" if "value" in self.pattern.groupindex else 0
        for match in self.pattern.finditer(text):
            length = self.accept(match[group])
            if length:
                yield match.start(group), match.start(group) + length


# --- secrets ---------------------------------------------------------------------------------

_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----[\s\S]*?(?:-----END [A-Z ]*-----|\Z)"
)
_URL_LOGIN = re.compile(r"(?<=://)(?P<value>[^\s/@:\[\]]*:[^\s/@\[\]]+)(?=@)")
_TOKEN = re.compile(
    r"""(?<![A-Za-z0-9])(?:
      xox[a-z]-[\w-]{8,} | xapp-[\w-]{10,}                       # Slack
    | gh[pousr]_\w{16,} | github_pat_\w{16,} | glpat-[\w-]{16,}  # GitHub, GitLab
    | (?:AKIA|ASIA)[0-9A-Z]{16}                                  # AWS
    | (?:sk|pk|rk)_(?:live|test)_\w{8,} | whsec_\w{8,}           # Stripe
    | sk-[\w-]{16,}                                              # OpenAI, Anthropic
    | AIza[\w-]{30,} | ya29\.[\w-]{16,}                          # Google
    | hf_[A-Za-z0-9]{16,} | npm_[A-Za-z0-9]{30,} | pypi-[\w-]{30,}
    | SG\.[\w-]{16,}\.[\w-]{16,} | (?:SK|AC)[0-9a-f]{32}         # SendGrid, Twilio
    | dop_v1_\w{32,} | shp(?:at|ca|pa|ss)_\w{16,} | ATATT\w{16,}
    | eyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?                       # JWT
    | AGE-SECRET-KEY-1\w{20,}
    | \d{8,10}:AA[\w-]{30,}                                      # Telegram
    )""",
    re.VERBOSE,
)
# 40 signs alone may be anything: only near a word that says so, or near the id that goes with it
# (which is redacted by then). https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_access-keys.html
_AWS_SIGNS = r"(?<![\w/+=.-])(?P<value>[A-Za-z0-9/+]{40})(?![\w/+=-])"
_AWS_WORD = r"(?:(?<![A-Za-z])(?:aws|amazon)|secret)"
_AWS_AFTER = re.compile(rf"{_AWS_WORD}[\s\S]{{0,80}}?{_AWS_SIGNS}", re.IGNORECASE)
_AWS_BEFORE = re.compile(rf"{_AWS_SIGNS}(?=[\s\S]{{0,80}}?{_AWS_WORD})", re.IGNORECASE)
_WEBHOOK = re.compile(r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<value>[\w/-]+)")
_BEARER = re.compile(r"\b(?:Bearer|Basic|Token)\s+(?P<value>[\w.~+/-]{16,}={0,2})", re.IGNORECASE)
_GIVEAWAY = (
    r"(?:pass(?:word|wd|phrase|code)|pwd|pw|passwort|kennwort|secret(?:[-_ ]?access)?(?:[-_ ]?key)?"
    r"|token|credentials?|(?:api|access|auth|private|encryption|licen[cs]e|account|master|signing)"
    r"[-_ ]?key|apikey)"
)
_VALUE = r"['\"`]?(?P<value>[^\s'\"`,;<>\[\](){}]{4,})"
_ASSIGNED = re.compile(
    rf"(?<![A-Za-z]){_GIVEAWAY}['\"`]?\s{{0,3}}(?::=|=>|->|=)\s{{0,3}}{_VALUE}", re.IGNORECASE
)
# After a colon a sentence may follow ("password: see the vault"): a word counts where it ends the
# line, within a sentence only what no word looks like.
_LISTED = re.compile(
    rf"(?<![A-Za-z]){_GIVEAWAY}['\"`]?\s{{0,3}}:\s{{0,3}}{_VALUE}(?=['\"`]?(?:\s*$|[,;)}}\]]))",
    re.IGNORECASE | re.MULTILINE,
)
_NAMED = re.compile(rf"(?<![A-Za-z]){_GIVEAWAY}['\"`]?\s{{0,3}}:\s{{0,3}}{_VALUE}", re.IGNORECASE)
_SAID = re.compile(
    rf"(?<![A-Za-z]){_GIVEAWAY}\s+(?:is|was|ist|war)\s*(?:now|set to|currently)?:?\s*['\"`]?"
    r"(?P<value>[^\s'\"`,;<>\[\](){}]{4,})",
    re.IGNORECASE,
)
_OPTION = re.compile(
    rf"(?<![\w-])--?[a-z-]*{_GIVEAWAY}\s+['\"]?(?P<value>[^\s'\"`,;<>\[\](){{}}-][^\s'\"`<>\[\]]{{3,}})",
    re.IGNORECASE,
)
_CURL_USER = re.compile(
    r"(?<![\w-])(?:-u|--user)[ =]['\"]?[\w.@-]+:(?P<value>[^\s'\"`\[\]<>$]{4,})"
)
_PIN = re.compile(r"\bPIN(?: code)?\s*(?:is|:|=)\s*(?P<value>\d{4,8})\b", re.IGNORECASE)

_WORDS_NOT_VALUES_TEXT = """
    required optional none null true false empty wrong incorrect invalid valid expired changed
    reset missing unknown hidden here below above yours stored needed never always correct rotated
    revoked rejected accepted unset undefined string text your value blank mandatory unused
"""
_WORDS_NOT_VALUES = frozenset(_WORDS_NOT_VALUES_TEXT.split())


def _given(value: str) -> int:
    """A value that was assigned: not a variable, a path, a call, or a stand-in for a value."""
    trimmed = value.rstrip(".,;:!?")
    if trimmed.casefold() in _WORDS_NOT_VALUES or len(trimmed) < 4:
        return 0
    if trimmed[0] in "$%/~.*" or trimmed.casefold().startswith(("xxx", "...", "your", "my_")):
        return 0
    return len(trimmed)


def _spoken(value: str) -> int:
    """A value in a sentence ("the token is valid …"): only what no word looks like."""
    spoken = value[: _given(value)]
    odd = any(sign.isdigit() for sign in spoken) and (len(spoken) >= 6 or not spoken.isdigit())
    return len(spoken) if odd or _has_symbol(spoken) else 0


def _aws_key(value: str) -> int:
    """Random signs: not the hash of a commit, a path or a long name."""
    mixed = (str.isupper, str.islower, str.isdigit)
    random = all(any(map(kind, value)) for kind in mixed) and value.count("/") < 5
    return len(value) if random else 0


def _has_symbol(value: str) -> bool:
    return any(sign in "!#$%&*+=?@^_~" for sign in value)


# --- personal data ---------------------------------------------------------------------------

# Looks like an address, is a systemd unit or the image for a dense screen.
_NOT_TLDS = r"(?:service|socket|timer|target|mount|path|png|jpe?g|svg|gif|webp)"
_EMAIL = re.compile(
    # Bounded, as RFC 5321 bounds it: an endless run of letters must not be tried from each of them.
    r"(?<!\w)(?!git@)\w(?:[\w.+'’-]|%(?!40)){0,63}+\s?(?:@|%40|[\[({]\s?(?:at|@)\s?[\])}])\s?"
    r"(?:[\w-]+\s?(?:\.|[\[({]\s?(?:dot|\.)\s?[\])}])\s?)+"
    rf"(?!{_NOT_TLDS}\b)[^\W\d_]{{2,24}}(?![\w@])",
    re.IGNORECASE,
)
_EMAIL_ALOUD = re.compile(
    r"(?<!\w)\w[\w.+-]{0,63}+ at [\w-]+(?: dot [\w-]+)*"
    r" dot (?:com|org|net|io|de|edu|gov|co|uk|eu|info|dev)\b",
    re.IGNORECASE,
)
_IBAN = re.compile(r"(?<![\w-])[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]){11,30}(?![A-Z0-9])", re.IGNORECASE)
_SSN = re.compile(r"(?<![\w.-])(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}(?![\w-])")
_SSN_SAID = re.compile(
    r"\b(?:SSN|social security (?:number|no\.?))(?: is)?[: #]{0,3}"
    r"(?P<value>(?!000|666|9)\d{3}[ -]?(?!00)\d\d[ -]?(?!0000)\d{4})(?![\w-])",
    re.IGNORECASE,
)
_CARD = re.compile(r"(?<![\w.+-])\d(?:[ -]?\d){12,18}(?!\w)")
_GAP = r"[ ./\-]?\(?(?:0\))?[ ./\-]?"
_PHONE_WORD = (
    r"(?:(?:tele)?phone|telefon|tel|mobile|mobil|cell|fax|handy|rufnummer|hotline|whatsapp"
    r"|(?:call|ring|text|reach|phone)(?: (?:me|us|him|her|them))?(?: (?:at|on|under))?)"
)
_PHONE_SAID = re.compile(
    rf"\b{_PHONE_WORD}\.?(?: ?(?:number|no\.?|nr\.?))?(?: is)?[: ]{{0,3}}"
    r"(?P<value>[+(]{0,2}\d(?:[ ()./\-]{0,2}\d){5,16})(?![\w]|[.:]\d)",
    re.IGNORECASE,
)
_PHONE_WORLD = re.compile(rf"(?<![\w+])\+(?:\(?\d{{1,4}}\)?{_GAP}){{2,8}}(?!\w)")
_PHONE_00 = re.compile(r"(?<![\w.:/=#-])00[1-9]\d{0,2}(?:[ ./()\-]{1,2}\d{2,}){2,5}(?!\w)")
_PHONE_US = re.compile(
    r"(?<![\w.:/=#-])(?:\+?1[ .-]?)?"
    r"(?:\([2-9]\d{2}\) ?\d{3}[ .-]|[2-9]\d{2}(?P<s>[.-])\d{3}(?P=s))\d{4}(?![\w-])"
)
_PHONE_TRUNK = re.compile(
    r"(?<![\w.:/=#-])(?:\(0[1-9]\d{1,4}\) ?|0[1-9]\d{0,4}[ /]|01[5-7]\d-)"
    r"\d{2,}(?:[ -]\d{2,}){0,4}(?![\w:-])"
)


def _long_enough(value: str) -> int:
    return len(value.rstrip(" ./-(")) if 7 <= sum(map(str.isdigit, value)) <= 16 else 0


def _dialled(value: str) -> int:
    """A number with its trunk zero: not file modes, bits, dates or a physical address."""
    digits = "".join(filter(str.isdigit, value))
    groups = re.findall(r"\d+", value)
    plausible = 9 <= len(digits) <= 12 and len(groups) < 6 and not set(digits) <= set("01")
    return len(value) if plausible and not all(group[0] == "0" for group in groups) else 0


def _iban(value: str) -> int:
    return _longest(value, range(15, 35), _mod97)


def _card(value: str) -> int:
    return _longest(value, range(14, 20), _luhn)


def _longest(value: str, lengths: range, valid: Callable[[str], bool]) -> int:
    """How much of `value` passes the checksum: what follows a number may look like more of it."""
    ends = [index + 1 for index, sign in enumerate(value) if sign.isalnum()]
    for length in reversed(lengths):
        whole_group = len(ends) == length or (
            len(ends) > length and not value[ends[length - 1]].isalnum()
        )
        if whole_group and valid("".join(filter(str.isalnum, value[: ends[length - 1]]))):
            return ends[length - 1]
    return 0


def _mod97(number: str) -> bool:
    turned = number[4:] + number[:4]
    return int("".join(str(int(sign, 36)) for sign in turned)) % 97 == 1


def _luhn(number: str) -> bool:
    if not re.match(r"4|5[1-5]|2[2-7]|3[4678]|6[0245]", number) or len(set(number)) < 2:
        return False
    doubled = [int(sign) * (1 + place % 2) for place, sign in enumerate(reversed(number))]
    return sum(sum(divmod(digit, 10)) for digit in doubled) % 10 == 0


# Secrets first: a password in a URL would otherwise pass for half an e-mail address.
RULES = (
    Rule("[secret]", _PRIVATE_KEY),
    Rule("[secret]", _URL_LOGIN),
    Rule("[secret]", _TOKEN),
    Rule("[secret]", _AWS_AFTER, _aws_key),
    Rule("[secret]", _AWS_BEFORE, _aws_key),
    Rule("[secret]", _WEBHOOK),
    Rule("[secret]", _BEARER, _spoken),
    Rule("[secret]", _CURL_USER, _given),
    Rule("[secret]", _OPTION, _given),
    Rule("[secret]", _ASSIGNED, _given),
    Rule("[secret]", _LISTED, _given),
    Rule("[secret]", _NAMED, _spoken),
    Rule("[secret]", _SAID, _spoken),
    Rule("[secret]", _PIN),
    Rule("[email]", _EMAIL),
    Rule("[email]", _EMAIL_ALOUD),
    Rule("[ssn]", _SSN),
    Rule("[ssn]", _SSN_SAID),
    Rule("[iban]", _IBAN, _iban),
    Rule("[card]", _CARD, _card),
    Rule("[phone]", _PHONE_SAID, _long_enough),
    Rule("[phone]", _PHONE_WORLD, _long_enough),
    Rule("[phone]", _PHONE_00, _long_enough),
    Rule("[phone]", _PHONE_US),
    Rule("[phone]", _PHONE_TRUNK, _dialled),
)
